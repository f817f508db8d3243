"""A heat map of gap states as text, with a line per subject and a character per day, for a terminal and for run metadata."""

from typing import TYPE_CHECKING

from trading_data.calendars.states import CLOSED, COMPLETE, MISSING, NO_CALENDAR, NO_TRADE, OPEN, UNREPAIRABLE
from trading_data.printable import counted

if TYPE_CHECKING:
    import pandas as pd

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
