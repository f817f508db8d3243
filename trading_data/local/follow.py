"""Dagster's partitions follow the home's first day while `up` runs: older data move it, and the code location loads anew.

Belongs here: seeing that it moved, once a move. Does not: the day (`first_day`), and loading (`local.processes`).
"""

import threading
from collections.abc import Callable
from pathlib import Path

from trading_data.first_day import first_day


class FirstDayFollower:
    """Loads the code location anew, beside whoever asks, when older data moved the first day."""

    def __init__(self, home: Path, load_anew: Callable[[], str]) -> None:
        """The day that `home` names now is what is shown. `load_anew` says why it failed, or nothing."""
        self._home, self._load_anew = home, load_anew
        self._shown = first_day(home)
        self._done: list[str] = []
        self._worker: threading.Thread | None = None

    def said(self) -> str:
        """What became of a move, once; empty otherwise. Cheap, and never waits."""
        if self._worker is not None:
            if self._worker.is_alive():
                return ""
            self._worker = None
            return self._words(self._done.pop())
        day = first_day(self._home)
        if day is not None and day != self._shown:
            self._shown = day
            self._worker = threading.Thread(target=lambda: self._done.append(self._load_anew()), daemon=True)
            self._worker.start()
        return ""

    def _words(self, failed: str) -> str:
        if failed:
            return (
                f"older rows came, and the partitions do not show them yet ({failed}): press Reload on Dagster's page "
                "Deployment; the rows themselves are there"
            )
        return f"older rows came: Dagster's partitions begin on {self._shown} now"
