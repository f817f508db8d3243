"""The first day partition of a home that nobody named one for: kept in a file of the home, and moved back by older data.

Only what Dagster shows begins there. Rows are accepted from `TRADING_DATA_START` on, and what is green is remembered by day, so
moving the first day back loses nothing.

Belongs here: the file. Does not: partitions (`orchestration.partitions`).
"""

import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path

_NAME = "first_day"


def first_day(home: Path) -> date | None:
    """The day that the home's file names; None if it has none, or not a day."""
    try:
        return date.fromisoformat((home / _NAME).read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None


def settle(home: Path, held: Iterable[date], today: date) -> date:
    """Name the first day of a home: the oldest of `held` and of what the file names, or today if there is nothing."""
    known = first_day(home)
    day = min([*held, *([] if known is None else [known])], default=today)
    if day != known:
        _write(home, day)
    return day


def move_back(home: Path, day: date) -> bool:
    """Begin at `day` from now on if the home's file names a later one; whether it did."""
    known = first_day(home)
    if known is None or day >= known:
        return False
    _write(home, day)
    return True


def _write(home: Path, day: date) -> None:
    home.mkdir(parents=True, exist_ok=True)
    aside = home / f".{_NAME}.{os.getpid()}"
    aside.write_text(f"{day}\n", encoding="ascii")
    aside.replace(home / _NAME)
