"""The state of every subject's day, from the coverage, an exchange's calendar and the answers of vendors.

    no calendar   the calendar does not know the day: it began later, ends before, or cannot be made
    closed        the exchange has no session that day
    complete      every minute of the session has a bar
    no trade      minutes are without a bar, and a vendor's answer after the session has none for them
    open          the session is not over, so that minutes are still to come; only on request
    missing       minutes are without a bar, and no vendor has answered yet
    unrepairable  minutes are without a bar, and the vendor refused, or failed again and again

Belongs here: these rules, the days to fill, and their plot. Does not: asking vendors (`sources.backfill`).
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from trading_data.archive.coverage import MINUTES
from trading_data.archive.database import Archive
from trading_data.archive.sql import statement
from trading_data.calendars import TradingCalendar
from trading_data.calendars.open_intervals import micros_of
from trading_data.datasets.declaration import Dataset
from trading_data.printable import counted
from trading_data.times import DAY, day_start, now

if TYPE_CHECKING:
    import pandas as pd

CLOSED, COMPLETE, NO_TRADE, MISSING, UNREPAIRABLE = "closed", "complete", "no trade", "missing", "unrepairable"
NO_CALENDAR, OPEN = "no calendar", "open"
MOST_ATTEMPTS = 5
"""Failures of a vendor on one subject's day, after which it is no longer requested every night."""
SETTLED_AFTER = timedelta(minutes=30)
"""How long after a session's close a vendor's answer is final: bars of the last minutes come late."""


def known_subjects(archive: Archive, dataset: Dataset) -> dict[str, date]:
    """Every subject with rows, and its first day."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("covered_subjects"), {"dataset": dataset.name})
        return dict(cursor.fetchall())


def day_states(
    archive: Archive,
    dataset: Dataset,
    calendar: TradingCalendar,
    start: date,
    end: date,
    subjects: Iterable[str] | None = None,
    *,
    only: Iterable[date] | None = None,
    unfinished: bool = False,
) -> "pd.DataFrame":
    """The state of each subject on each UTC day of [start, end).

    Args:
        archive: the archive tier; the cost does not depend on the number of rows.
        dataset: the dataset.
        calendar: when the exchange is open.
        start: first day.
        end: day after the last; days whose session is not over are left out, and so are days to come.
        subjects: subjects, each from `start` on; None for all with rows, each from its first day on.
        only: days of the range; None for all.
        unfinished: include the day whose session is not over, as `open`.

    Returns:
        `subject` (str), `day` (`datetime.date`), `state` (str), `rows`, `held`, `expected` (int64: rows in all, minutes of
        the session that have one, minutes of the session), `vendor`, `said` (str, empty where no vendor was asked), `outside`
        (int64: minutes outside of sessions that have a row), `first_outside` (UTC: the first of them, or NaT); sorted.
        Where the state is `no calendar`, `held`, `expected` and `outside` are 0 and mean nothing; `calendar.known` says why.

    Raises:
        ArchiveTierError: the archive is away.
    """
    import pandas as pd

    moment = now()
    since = known_subjects(archive, dataset) if subjects is None else dict.fromkeys(sorted(set(subjects)), start)
    expected = calendar.by_day(max(start, min(since.values(), default=start)), min(end, moment.date() + DAY))
    over = expected["close"].isna() | (expected["close"] <= pd.Timestamp(moment))
    over &= expected["known"] | (expected["day"] < moment.date())
    wanted = over | unfinished
    if only is not None:
        wanted &= expected["day"].isin(set(only))
    running = set(expected.loc[~over, "day"])
    expected = expected[wanted.to_numpy()]
    days = expected["day"].tolist()
    values = {
        "dataset": dataset.name,
        "subjects": list(since),
        "sinces": list(since.values()),
        "days": days,
        "grids": [
            _grid(calendar, day, minutes > 0) for day, minutes in zip(days, expected["expected_minutes"], strict=True)
        ],
        "settled": [None if pd.isna(close) else (close + SETTLED_AFTER).to_pydatetime() for close in expected["close"]],
        "start": start,
        "end": end,
    }
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("day_states"), values)
        asked = ["outcome", "attempts", "settled", "vendor", "said", "outside", "first_outside"]
        frame = pd.DataFrame(cursor.fetchall(), columns=["subject", "day", "rows", "held", "expected", *asked])
    unknown = frame["day"].isin(set(expected.loc[~expected["known"], "day"]))
    frame["state"] = _classify(frame, unknown, frame["day"].isin(running))
    frame["first_outside"] = pd.to_datetime(frame["first_outside"], utc=True).mask(unknown)
    frame["outside"] = frame["outside"].mask(unknown, 0)
    return frame[["subject", "day", "state", "rows", "held", "expected", "vendor", "said", "outside", "first_outside"]]


def to_fill(states: "pd.DataFrame") -> list[tuple[date, date]]:
    """The contiguous ranges of days with missing minutes, both ends included; closed days do not split a range."""
    return list(_ranges(states.loc[states["state"] == MISSING, "day"], states.loc[states["state"] == CLOSED, "day"]))


def _ranges(missing: "Sequence[date] | pd.Series", closed: "Sequence[date] | pd.Series") -> Iterator[tuple[date, date]]:
    bridge = set(closed)
    first: date | None = None
    last: date | None = None
    for day in sorted(set(missing)):
        if last is not None and all(last + timedelta(days=n) in bridge for n in range(1, (day - last).days)):
            last = day
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = day
    if first is not None and last is not None:
        yield first, last


def _grid(calendar: TradingCalendar, day: date, is_open: bool) -> str:
    """The minutes of the day on which the exchange is open, as `archive.coverage` writes them."""
    bits = np.zeros(MINUTES, dtype=np.uint8)
    if is_open:
        starts = micros_of(calendar.grid(day_start(day), day_start(day) + DAY, timedelta(minutes=1)))
        bits[starts // 60_000_000 % MINUTES] = 1
    return np.packbits(bits).tobytes().hex()


def _classify(frame: "pd.DataFrame", unknown: "pd.Series", running: "pd.Series") -> "pd.Series":
    import pandas as pd

    answered, settled = frame["outcome"] == "answered", frame["settled"].fillna(False).astype(bool)
    given_up = (frame["outcome"] == "refused") | ((frame["outcome"] == "failed") & (frame["attempts"] >= MOST_ATTEMPTS))
    conditions = [
        unknown,
        running,
        frame["expected"] == 0,
        frame["held"] >= frame["expected"],
        answered & settled,
        given_up,
    ]
    states = [NO_CALENDAR, OPEN, CLOSED, COMPLETE, NO_TRADE, UNREPAIRABLE]
    state = np.select([condition.to_numpy(dtype=bool) for condition in conditions], states, MISSING)
    return pd.Series(state, index=frame.index, dtype="str")


MARKS = {CLOSED: " ", COMPLETE: "█", NO_TRADE: "▒", MISSING: "·", UNREPAIRABLE: "x", NO_CALENDAR: "?", OPEN: "o"}
PART, OUTSIDE = "▄", "+"
"""A day that misses some of its minutes; a closed day with rows."""
LEGEND = (
    "█ complete   ▄ missing in part   · missing   ▒ no trade   x unrepairable   ? no calendar   o open   "
    "+ closed, with rows   (blank: closed)"
)


def heat_map(states: "pd.DataFrame", *, most: int = 40, days: int = 92) -> str:
    """The last `days` days of the `most` subjects with most missing minutes, of `states.day_states`; empty for an empty frame."""
    if not len(states):
        return ""
    shown = sorted(states["day"].unique())[-days:]
    recent = states[states["day"].isin(shown)]
    lacking = (recent["expected"] - recent["held"]).clip(lower=0).groupby(recent["subject"]).sum()
    subjects = lacking.sort_values(ascending=False, kind="stable").index[:most]
    mark = recent["state"].map(MARKS)
    mark = mark.mask((recent["state"] == MISSING) & (recent["held"] > 0), PART)
    mark = mark.mask((recent["state"] == CLOSED) & (recent["rows"] > 0), OUTSIDE)
    marks = recent.assign(mark=mark).pivot(index="subject", columns="day", values="mark")
    width = max(len(str(subject)) for subject in subjects)
    lines = [f"{'':{width}}  {shown[0]} … {shown[-1]}"]
    for subject in sorted(subjects):
        row = marks.loc[subject].reindex(shown).fillna(" ")
        lines.append(f"{subject:{width}}  {''.join(row)}")
    if len(lacking) > most:
        lines.append(f"{counted(len(lacking) - most, 'more subject, which misses', 'more subjects, which miss')} less")
    return "\n".join([*lines, LEGEND])


def by_state(states: "pd.DataFrame") -> dict[str, int]:
    """The number of subject days in each state; `no calendar` and `open` only if there are any."""
    counts = states["state"].value_counts()
    return {state: int(counts.get(state, 0)) for state in MARKS if state not in (NO_CALENDAR, OPEN) or state in counts}
