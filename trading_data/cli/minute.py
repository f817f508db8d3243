"""What happened in the last minute, in one line, while `up` runs.

Belongs here: asking the ledger and Dagster, and the words. Does not: printing (`cli.up`).
"""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from trading_data.archive.database import Archive
from trading_data.archive.ledger import Account, account
from trading_data.datasets import DATASETS
from trading_data.errors import TradingDataError
from trading_data.printable import counted
from trading_data.settings import Settings
from trading_data.times import now

EVERY = 60.0
_SHOWN = 4


@dataclass(frozen=True)
class Told:
    """What Dagster knows: the keys of the alerts that are open, and the jobs of the runs that failed in the last minute."""

    alerts: Sequence[str]
    failed: Sequence[str]


class MinuteLine:
    """Asks once a minute, by a clock that nobody sets."""

    def __init__(self, settings: Settings, home: Path) -> None:
        """The archive that the settings name, and Dagster's instance in `home`; nothing is asked of the latter yet."""
        self._settings, self._home = settings, home
        self._archive = Archive(settings.require_timescale_url(), connect_timeout=2, statement="5s")
        self._asked = time.monotonic()
        self._before: dict[str, Account] | None = None
        with suppress(TradingDataError):
            self._before = self._accounts()

    def said(self) -> str:
        """The line, empty while the minute is not over or the archive does not answer."""
        if time.monotonic() - self._asked < EVERY:
            return ""
        since = now() - timedelta(seconds=time.monotonic() - self._asked)
        self._asked = time.monotonic()
        try:
            found = self._accounts()
        except TradingDataError:
            return ""
        before, self._before = self._before, found
        return "" if before is None else f"{now():%H:%M}Z  {line(before, found, self._told(since))}"

    def _accounts(self) -> dict[str, Account]:
        return {name: account(self._archive, dataset) for name, dataset in DATASETS.items()}

    def _told(self, since: datetime) -> Told | None:
        from trading_data.orchestration.examine import last_minute

        try:
            return Told(*last_minute(self._settings, self._home, since))
        except TradingDataError:
            return None


def line(before: dict[str, Account], after: dict[str, Account], told: Told | None) -> str:
    """What was archived between two moments by dataset, open alerts, failed runs; None where Dagster could not be asked."""
    parts, rejected = [], 0
    for name, one in after.items():
        added = one.inserted - before[name].inserted
        rejected += one.quarantined - before[name].quarantined
        if added:
            parts.append(f"{name} {added:,}")
    said = [f"rows archived: {', '.join(parts) or 'none'}"]
    if rejected:
        said.append(f"rejected entries: {rejected:,}, see `trading-data quarantine list`")
    if told is None:
        return "; ".join([*said, "Dagster's storage does not answer"])
    said.append(f"open alerts: {_named(told.alerts)}")
    said.append(f"failed runs: {_named(told.failed)}")
    return "; ".join([*said, *(["see `trading-data doctor`"] if told.alerts or told.failed else [])])


def _named(names: Sequence[str]) -> str:
    """How many there are and which, `none` or `3 (price, 2 trade)`."""
    if not names:
        return "none"
    found = [name if count == 1 else f"{count} {name}" for name, count in Counter(names).items()]
    more = f", {counted(len(found) - _SHOWN, 'other')}" if len(found) > _SHOWN else ""
    return f"{len(names)} ({', '.join(found[:_SHOWN])}{more})"
