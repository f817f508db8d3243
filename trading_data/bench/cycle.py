"""The steps of archiving the price journals, called as the assets call them.

Does not belong here: what they are compared with (`references`), and filling journals (`rows`).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from trading_data.archive.aggregates.refresh import refresh
from trading_data.archive.database import Archive
from trading_data.archive.ledger import Loaded, archived_ranges
from trading_data.archive.load import load_pending
from trading_data.archive.trim import trim_archived
from trading_data.bench.rows import Bars
from trading_data.bench.servers import BenchRig
from trading_data.datasets import PRICE
from trading_data.errors import ServerError
from trading_data.intake.import_rows import import_rows
from trading_data.intake.snapshot import BATCH_ENTRIES, DrainedBatch, snapshot
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.live.journal import find_journals


@dataclass
class Cycle:
    """The results of one drain, load and trim, and the seconds of the steps."""

    drained: list[DrainedBatch] = field(default_factory=list)
    loaded: list[Loaded] = field(default_factory=list)
    trimmed: int = 0
    journals: int = 0
    snapshot_seconds: float = 0.0
    load_seconds: float = 0.0

    def expect(self, what: str, count: int) -> None:
        """Check that exactly `count` entries were `inserted` (or `unchanged`), and all but the last of each journal trimmed.

        Raises:
            ServerError: they were not; the time of wrong work means nothing.
        """
        loaded = sum(getattr(batch, what) for batch in self.loaded)
        remaining = count - self.trimmed  # 0 where the last entries of the cycle before were trimmed instead
        if loaded != count or remaining not in (0, self.journals):
            raise ServerError(
                f"a bench archived {loaded:,} entries as {what} and trimmed {self.trimmed:,}, instead of {count:,}: another "
                "program uses its servers, or this is a bug; run `trading-data verify` on your own servers"
            )


def drain(client: Client, archive: Archive, intake: Intake, earliest: datetime) -> Iterator[DrainedBatch]:
    """Drain as the asset `price_snapshot` does."""
    archived = archived_ranges(archive, PRICE, find_journals(client, PRICE))
    return snapshot(client, intake, PRICE, earliest=earliest, archived=archived, run_id="bench")


def load(client: Client, archive: Archive, intake: Intake, cycle: Cycle) -> None:
    """Load as the asset `price_data` does under memory pressure: trim after each batch, without a hot window."""
    before = len(cycle.loaded)
    for loaded in load_pending(archive, intake, PRICE, run_id="bench"):
        cycle.loaded.append(loaded)
        _trim(client, archive, cycle)
    if len(cycle.loaded) == before:
        _trim(client, archive, cycle)


def _trim(client: Client, archive: Archive, cycle: Cycle) -> None:
    trimmed = trim_archived(client, archive, PRICE, hot_window=timedelta(0))
    cycle.trimmed += trimmed.removed
    cycle.journals = trimmed.journals


def run_cycle(client: Client, archive: Archive, intake: Intake, earliest: datetime) -> Cycle:
    """Drain everything, load it, trim it."""
    cycle = Cycle()
    began = time.perf_counter()
    cycle.drained = list(drain(client, archive, intake, earliest))
    drained = time.perf_counter()
    load(client, archive, intake, cycle)
    cycle.snapshot_seconds, cycle.load_seconds = drained - began, time.perf_counter() - drained
    return cycle


def archived(rig: BenchRig, bars: Bars) -> None:
    """Archive bars as if from a file, and refresh the aggregates."""
    table = bars.table()
    slices = (table.slice(at, BATCH_ENTRIES) for at in range(0, table.num_rows, BATCH_ENTRIES))
    for _ in import_rows(rig.intake, PRICE, "bench", slices, origin="file", earliest=rig.earliest):
        pass
    for _ in load_pending(rig.archive, rig.intake, PRICE):
        pass
    refresh_all(rig)


def refresh_all(rig: BenchRig) -> None:
    """Refresh every aggregate, the finest first."""
    for aggregate in PRICE.aggregates:
        refresh(rig.archive, PRICE, aggregate)
