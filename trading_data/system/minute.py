"""What happened in the last minute, in one line, while `up` runs.

Belongs here: asking the ledger, and the words. Does not: printing (`cli.up`).
"""

import time
from contextlib import suppress

from trading_data.archive.database import Archive
from trading_data.archive.ledger import Account, account
from trading_data.datasets import DATASETS
from trading_data.errors import TradingDataError
from trading_data.times import now

EVERY = 60.0


class Minute:
    """Asks once a minute, by a clock that nobody sets."""

    def __init__(self, url: str) -> None:
        """The archive at `url`; nothing is asked yet."""
        self._archive = Archive(url, connect_timeout=2, statement="5s")
        self._asked = time.monotonic()
        self._before: dict[str, Account] | None = None
        with suppress(TradingDataError):
            self._before = self._accounts()

    def said(self) -> str:
        """The line, empty while the minute is not over or the archive does not answer."""
        if time.monotonic() - self._asked < EVERY:
            return ""
        self._asked = time.monotonic()
        try:
            found = self._accounts()
        except TradingDataError:
            return ""
        before, self._before = self._before, found
        return "" if before is None else f"{now():%H:%M}Z  {line(before, found)}"

    def _accounts(self) -> dict[str, Account]:
        return {name: account(self._archive, dataset) for name, dataset in DATASETS.items()}


def line(before: dict[str, Account], after: dict[str, Account]) -> str:
    """What was archived between two moments, by dataset."""
    parts, rejected = [], 0
    for name, one in after.items():
        added = one.inserted - before[name].inserted
        rejected += one.quarantined - before[name].quarantined
        if added:
            parts.append(f"{name} {added:,}")
    said = f"rows archived: {', '.join(parts)}" if parts else "nothing new was archived"
    return said + (f"; rejected entries: {rejected:,}, see `trading-data quarantine list`" if rejected else "")
