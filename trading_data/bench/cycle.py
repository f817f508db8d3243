"""The steps of archiving the price journals, called as the assets call them, and the bare operations that they are compared with.

Belongs here: these steps and operations. Does not: filling journals (`rows`).
"""

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa
from psycopg2.extensions import connection as Connection  # noqa: N812
from psycopg2.sql import SQL, Identifier

from trading_data.archive.aggregates.refresh import refresh
from trading_data.archive.copy import binary
from trading_data.archive.database import Archive
from trading_data.archive.ledger import Loaded, archived_ranges
from trading_data.archive.load import load_pending
from trading_data.archive.sql import identifiers
from trading_data.archive.trim import trim_archived
from trading_data.bench.measure import seconds
from trading_data.bench.rows import Bars
from trading_data.bench.servers import BenchRig
from trading_data.bench.wire import packed, send_all, wire
from trading_data.datasets import PRICE
from trading_data.errors import ServerError
from trading_data.intake.import_rows import import_rows
from trading_data.intake.snapshot import BATCH_ENTRIES, DrainedBatch, snapshot
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.live.journal import BEGINNING, ReadRange, find_journals, inspect, raw
from trading_data.live.journal_reader import ROWS_PER_PAGE, pages

LIMIT_TABLE = "bench_limit"
_COPY = "copy {} ({}) from stdin (format binary)"
_BUFFER = 1 << 20


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


def read_requests(client: Client) -> list[bytes]:
    """The packed requests by which the archiver reads all price journals from the beginning, one per page."""
    infos = inspect(client, find_journals(client, PRICE))
    ranges = [ReadRange(name, BEGINNING, info.last, info.length) for name, info in infos.items()]
    return [
        b"".join(
            packed("XRANGE", raw(range_.journal), f"({range_.after}", str(range_.upto), "COUNT", count)
            for range_, count in page.asked
        )
        for page in pages(client, ranges, ROWS_PER_PAGE)
    ]


def raw_read(client: Client, requests: list[bytes]) -> float:
    """Seconds to receive the replies to these requests, without parsing them."""
    with wire(client) as line:
        return seconds(lambda: send_all(line, requests))


def encoded(table: pa.Table, size: int = BATCH_ENTRIES) -> list[bytes]:
    """Rows in the binary format of COPY, in blocks of the size of a batch."""
    ids = pa.repeat(pa.scalar(1, pa.int64()), table.num_rows)
    rows = table.append_column("batch_id", ids)
    return [b"".join(binary(rows.slice(at, size))) for at in range(0, rows.num_rows, size)]


def fresh_table(connection: Connection, name: str = LIMIT_TABLE) -> None:
    """A new hypertable like `price_data`: the same columns, key and chunks; no aggregates, no columnstore."""
    with connection.cursor() as cursor:
        cursor.execute(SQL("drop table if exists {}").format(Identifier(name)))
        cursor.execute(SQL("create table {} (like price_data including all)").format(Identifier(name)))
        cursor.execute(
            "select create_hypertable(%s, by_range('timestamp', interval '1 day'), create_default_indexes => false)",
            (name,),
        )


def copy_into(connection: Connection, name: str, blocks: list[bytes]) -> float:
    """Seconds of a binary COPY of each block, each committed."""
    columns = identifiers([*PRICE.names, "batch_id"])
    command = SQL(_COPY).format(Identifier(name), columns).as_string(connection)

    def copy() -> None:
        with connection.cursor() as cursor:
            for block in blocks:
                cursor.copy_expert(command, io.BytesIO(block), size=_BUFFER)

    return seconds(copy)
