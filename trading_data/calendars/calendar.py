"""Trading sessions of an exchange: the moments inside a session, the minutes a day should hold, the reason of a gap.

The sessions are those of the library `exchange_calendars`, which knows holidays, early closes and breaks, from the first
requested day to about a year ahead of today; some calendars begin later or end earlier. Outside that range it is unknown whether
a market is open. Most methods raise then; `by_day`, `outside` and `knows` return "unknown" instead, for callers that can do
without a calendar.

Belongs here: the library's calendars in this package's terms. Does not: the arithmetic and types of times (`open_intervals`).
"""

import difflib
import warnings
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trading_data.calendars.open_intervals import (
    DAY_US,
    MICROSECOND,
    MINUTE_US,
    Mask,
    Micros,
    Stretches,
    Times,
    as_text,
    dates_of,
    index_of,
    micros_of,
    moment_of,
    of_moment,
)
from trading_data.errors import BadInput
from trading_data.times import DAY, day_start, utc

if TYPE_CHECKING:
    import pandas as pd

FIRST_DAY = date(2000, 1, 1)
"""The default first day of a calendar."""

Sessions = tuple[Micros, Micros, Micros]
"""Label (midnight of the session's day), open and close of each session, in order."""
Part = tuple[datetime, datetime, Literal["closed", "missing"]]

_COMMON = ("XNYS", "XNAS", "XLON", "XETR", "XTKS", "XHKG", "CMES", "24/5", "24/7")
_building = Lock()


class TradingCalendar:
    """The sessions of one market. Times go in aware, or as text with a zone, and come out in UTC; ranges are half-open.

    A session is named by its day in the exchange's own zone, and may lie in two UTC days (CMES opens at 22:00 or 23:00
    UTC of the day before). Breaks within a session (XTKS, XHKG) are closed.

    `name` is the library's name: `XNYS` for the alias `NYSE`, too.

    `known` is the range of the calendar in words, for example "the calendar XSAU knows 2021-01-01T00:00:00Z up to
    2027-11-28T00:00:00Z", or why it has none.
    """

    def __init__(
        self, name: str, sessions: Sessions, stretches: Stretches, start: int, end: int, unusable: str = ""
    ) -> None:
        """Use `named` instead; all times are microseconds since 1970."""
        self.name, self._sessions, self._stretches = name, sessions, stretches
        self._start, self._end = start, end
        self.known = unusable or f"the calendar {name} knows {as_text(start)} up to {as_text(end)}"

    @property
    def start(self) -> datetime:
        """The first moment that the calendar knows."""
        return moment_of(self._start)

    @property
    def end(self) -> datetime:
        """The first moment after its range."""
        return moment_of(self._end)

    @classmethod
    def named(cls, name: str, start: date = FIRST_DAY) -> "TradingCalendar":
        """The calendar of an exchange, by its market identifier code (`XNYS`), an alias (`NYSE`), or `24/7`.

        Made with the first call, which takes about half a second; kept after that. A calendar that the library lists but
        cannot make knows no day.

        Args:
            name: as `exchange_calendars` spells it.
            start: first day wanted; a calendar that begins later begins when it does.

        Raises:
            BadInput: there is no exchange of that name.
        """
        with _building:
            return _made(name, start)

    @classmethod
    def configured(cls, name: str) -> "TradingCalendar":
        """As `named`, for a name from the settings: an unknown name gives a calendar that knows no day.

        A mistake in a setting must not fail a run or a command that can do without the calendar.
        """
        try:
            return cls.named(name)
        except BadInput as error:
            return _without_days(name, str(error))

    def knows(self, times: Times) -> Mask:
        """Which of `times` lie in the calendar's range; a boolean array of the same length.

        Raises:
            BadInput: the times are of another type, without a zone, or missing.
        """
        micros = micros_of(times)
        return (micros >= self._start) & (micros < self._end)

    def outside(self, times: Times) -> Mask:
        """Which of `times` are known to lie outside every session; False for those that the calendar does not know.

        Raises:
            BadInput: the times are of another type, without a zone, or missing.
        """
        return self.knows(times) & ~self._stretches.holds(micros_of(times))

    def sessions(self, start: datetime | str, end: datetime | str) -> "pd.DataFrame":
        """The sessions of which a part lies in [start, end), early closes included.

        Returns:
            `session` (`datetime.date`), `open`, `close` (datetime64[us, UTC]), in order.

        Raises:
            BadInput: `start` is after `end`, or the calendar does not know all of the range.
        """
        import pandas as pd

        low, high = self.range_of(start, end)
        labels, opens, closes = self._sessions
        inside = (opens < high) & (closes > low)
        return pd.DataFrame(
            {"session": dates_of(labels[inside]), "open": index_of(opens[inside]), "close": index_of(closes[inside])}
        )

    def inside(self, times: Times) -> Mask:
        """Which of `times` are in a session: open <= time < close, and in no break.

        Args:
            times: a pyarrow array of timestamps with a zone, a pandas series or index of them, or a numpy array of
                datetime64, which has no zones and is taken as UTC.

        Returns:
            A boolean array of the same length.

        Raises:
            BadInput: the times are of another type, without a zone, missing, or outside what the calendar knows.
        """
        micros = micros_of(times)
        if len(micros):
            self._check(int(micros.min()), int(micros.max()) + 1)
        return self._stretches.holds(micros)

    def expected_minutes(self, day: date) -> "pd.DatetimeIndex":
        """The starts of the minutes of the session of `day`, breaks left out; empty if there is none.

        Returns:
            datetime64[us, UTC], in order: 390 for a whole day of XNYS.

        Raises:
            BadInput: the calendar does not know that day.
        """
        label, _ = self.range_of(day_start(day), day_start(day) + DAY)
        labels, opens, closes = self._sessions
        at = int(np.searchsorted(labels, label))
        if at == len(labels) or labels[at] != label:
            return index_of(labels[:0])
        return index_of(self._stretches.buckets(int(opens[at]), int(closes[at]), MINUTE_US))

    def expected_by_day(self, start: date, end: date) -> "pd.DataFrame":
        """The expected minutes of each UTC day of [start, end).

        A day may have parts of two sessions or of none: minutes are counted by the UTC day in which they lie.

        Returns:
            `day` (`datetime.date`), `expected_minutes` (int64, 0 on a closed day), `open` and `close` (datetime64[us, UTC]:
            first opening and last closing within the day, NaT on a closed one); one row per day.

        Raises:
            BadInput: `start` is after `end`, or the calendar does not know all of the range.
        """
        self.range_of(day_start(start), day_start(end))
        return self.by_day(start, end).drop(columns="known")

    def by_day(self, start: date, end: date) -> "pd.DataFrame":
        """As `expected_by_day`, for any days, with the column `known` (bool): whether the calendar knows the whole day.

        A day that it does not know has 0 minutes and neither opening nor closing, and must not be mistaken for a closed one.
        """
        import pandas as pd

        low, high = of_moment(day_start(start)), of_moment(day_start(end))
        days = np.arange(low, high, DAY_US)
        known = (days >= self._start) & (days + DAY_US <= self._end)
        total, opening, closing = self._stretches.by_day(low, max(low, high))
        total[~known] = 0
        closed = pd.Series(total == 0)
        return pd.DataFrame(
            {
                "day": dates_of(days),
                "expected_minutes": total // MINUTE_US,
                "open": pd.Series(index_of(opening)).mask(closed),
                "close": pd.Series(index_of(closing)).mask(closed),
                "known": known,
            }
        )

    def explain_gap(self, start: datetime | str, end: datetime | str) -> list[Part]:
        """The gap [start, end) in data as parts: `closed` (night, weekend, holiday, break) or `missing`; in order.

        Raises:
            BadInput: `start` is after `end`, or the calendar does not know all of the range.
        """
        low, high = self.range_of(start, end)
        if low == high:
            return []
        starts, ends, closed = self.split(np.array([low]), np.array([high]))[1:]
        return [
            (moment_of(begin), moment_of(stop), "closed" if shut else "missing")
            for begin, stop, shut in zip(starts.tolist(), ends.tolist(), closed.tolist(), strict=True)
        ]

    def split(self, starts: Micros, ends: Micros) -> tuple[Micros, Micros, Micros, Mask]:
        """`explain_gap` for many ranges at once, in microseconds since 1970; none of them is empty.

        Returns:
            Position of the range that each part is of, the parts' starts and ends, and whether the market is closed in it.

        Raises:
            BadInput: the calendar does not know all of them.
        """
        if len(starts):
            self._check(int(starts.min()), int(ends.max()))
        parts = self._stretches.split(starts, ends)
        return parts.of, parts.start, parts.end, ~parts.open

    def grid(self, start: datetime | str, end: datetime | str, width: timedelta) -> "pd.DatetimeIndex":
        """The starts in [start, end) of the buckets of `width` in which the market is open, at least partly.

        Buckets are aligned to midnight UTC, as everywhere in this package.

        Returns:
            datetime64[us, UTC], in order.

        Raises:
            BadInput: `start` is after `end`, or the calendar does not know all of the range, or a day is no multiple of `width`.
        """
        low, high = self.range_of(start, end)
        if width <= timedelta(0) or DAY % width:
            raise BadInput(f"a day must be a multiple of the width of a bucket, and {width} does not divide a day")
        return index_of(self._stretches.buckets(low, high, width // MICROSECOND))

    def range_of(self, start: datetime | str, end: datetime | str) -> tuple[int, int]:
        """[start, end) in microseconds since 1970.

        Raises:
            BadInput: `start` is after `end`, a zone is missing, or the calendar does not know all of the range.
        """
        first, last = utc(start, "start"), utc(end, "end")
        if first > last:
            raise BadInput(f"start {first.isoformat()} is after end {last.isoformat()}")
        low, high = of_moment(first), of_moment(last)
        self._check(low, high)
        return low, high

    def _check(self, low: int, high: int) -> None:
        if low < self._start or high > self._end:
            earlier = ", or name the calendar with an earlier start" if low < self._start else ""
            raise BadInput(
                f"{self.known} (at most about a year ahead), and {as_text(low)} up to {as_text(high)} is outside that range: "
                f"choose a shorter range{earlier}"
            )


@cache
def _made(name: str, start: date) -> TradingCalendar:
    import pandas as pd

    library = import_module("exchange_calendars")
    known = library.get_calendar_names()
    if name not in known:
        near = [
            *difflib.get_close_matches(str(name).upper(), known, 3),
            *(common for common in _COMMON if common in known),
        ]
        raise BadInput(
            f"there is no exchange {name!r}; known are {', '.join(dict.fromkeys(near))} and others, {len(known)} in all "
            "(see `exchange_calendars.get_calendar_names()`)"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", getattr(pd.errors, "Pandas4Warning", DeprecationWarning))
            return _from_library(*_fabricated(library, name, start))
    except (NotImplementedError, ValueError, library.errors.CalendarError) as error:
        reason = str(error).strip().partition("\n")[0]
        return _without_days(name, f"exchange_calendars {library.__version__} cannot make {name}: {reason:.200}")


def _without_days(name: str, why: str) -> TradingCalendar:
    none = np.zeros(0, dtype=np.int64)
    return TradingCalendar(name, (none, none, none), Stretches(none, none), 0, 0, unusable=why)


def _fabricated(library: Any, name: str, start: date) -> tuple[Any, date]:
    """The library's calendar from `start`, or from where it can begin, and that day."""
    try:
        return library.get_calendar(name, start=start.isoformat()), start
    except ValueError:
        bound = library.get_calendar(name).bound_min()
        if bound is None or bound.date() <= start:
            raise
        return library.get_calendar(name, start=bound), bound.date()


def _from_library(calendar: Any, first: date) -> TradingCalendar:
    schedule = calendar.schedule
    labels = micros_of(schedule.index.tz_localize(UTC))
    opens, closes = micros_of(schedule["open"]), micros_of(schedule["close"])
    breaks = schedule["break_start"].notna().to_numpy()
    before, after = micros_of(schedule["break_start"][breaks]), micros_of(schedule["break_end"][breaks])
    stretches = Stretches(
        np.concatenate([opens[~breaks], opens[breaks], after]),
        np.concatenate([closes[~breaks], before, closes[breaks]]),
    )
    # A session beyond either end, which is not known, may reach in as far as the others reach out of their own day.
    late, early = max(int((closes - labels).max()) - DAY_US, 0), min(int((opens - labels).min()), 0)
    last = of_moment(day_start(type(calendar).default_end().date() + DAY))
    return TradingCalendar(
        calendar.name, (labels, opens, closes), stretches, of_moment(day_start(first)) + late, last + early
    )
