"""The first day partition of a home without `TRADING_DATA_START`: kept in a file of the home, and moved back by older data.

It only limits the partitions that Dagster shows. Rows are accepted from `TRADING_DATA_START` on, and Dagster keeps its results
by day, so moving the first day back loses nothing.

Belongs here: the file. Does not: partitions (`orchestration.partitions`).
"""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

from trading_data.files import replacing

_NAME = "first_day"


def first_day(home: Path) -> date | None:
    """The day in the home's file; None if the file is missing or does not hold a day."""
    try:
        return date.fromisoformat((home / _NAME).read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None


def settle_first_day(home: Path, held: Iterable[date], today: date) -> date:
    """Set the first day of a home to the oldest of `held` and the day in the file, or to `today` if there is neither."""
    known = first_day(home)
    day = min([*held, *([] if known is None else [known])], default=today)
    if day != known:
        _write(home, day)
    return day


def move_back(home: Path, day: date) -> bool:
    """Set the first day to `day` if the home's file has a later one; returns whether it was moved."""
    known = first_day(home)
    if known is None or day >= known:
        return False
    _write(home, day)
    return True


def _write(home: Path, day: date) -> None:
    home.mkdir(parents=True, exist_ok=True)
    with replacing(home / _NAME) as aside:
        aside.write_text(f"{day}\n", encoding="ascii")
