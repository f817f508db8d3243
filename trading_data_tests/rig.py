"""The helpers of all tests: records with defaults, each step of the archive path, and reading tables.

Belongs here: helpers without assertions. Does not: fixtures (`conftest`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg2.sql import SQL, Composable, Identifier, Literal

from trading_data import Bar, Fill, LiveStore, MarketData, Measurement
from trading_data.archive.aggregates.refresh import refresh
from trading_data.archive.database import Archive
from trading_data.archive.ledger import Account, Loaded, account, archived_ranges
from trading_data.archive.load import load_pending
from trading_data.archive.trim import Trimmed, trim_archived
from trading_data.datasets import DATASETS, TABLES, TRADE
from trading_data.datasets.codec import plain
from trading_data.datasets.declaration import Dataset
from trading_data.intake.snapshot import DrainedBatch, snapshot
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.live.journal import find_journals, inspect
from trading_data.settings import Settings
from trading_data.times import day_start, now

if TYPE_CHECKING:
    import dagster as dg

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
MOMENT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
"""A Friday afternoon within the archive's range and before today."""

_BOOKS = (
    "archive_ledger",
    "archive_range",
    "archive_entry_hash",
    "archive_subject_hash",
    "archive_said_again",
    "archive_acknowledged",
    "archive_quarantine",
    "archive_revision",
    "archive_refresh",
    "archive_coverage",
    "archive_source",
    "archive_disagreement",
    "archive_asked",
    "archive_dropped",
)

_FILLED_BOOKS = SQL(" union all ").join(
    SQL("select {}, pg_relation_size({}) > 65536 where exists (select from {})").format(
        Literal(name), Literal(name), Identifier(name)
    )
    for name in _BOOKS
)
"""The bookkeeping tables that have rows, and whether each is large: deleting few rows takes a tenth of the time of truncating."""

_WITH_CHUNKS = SQL("""
    select h.table_name from _timescaledb_catalog.hypertable h
    where exists (select from pg_inherits where inhparent = format('%I.%I', h.schema_name, h.table_name)::regclass)
    union all
    select a.user_view_name from _timescaledb_catalog.continuous_agg a
    join _timescaledb_catalog.hypertable h on h.id = a.mat_hypertable_id
    where exists (select from pg_inherits where inhparent = format('%I.%I', h.schema_name, h.table_name)::regclass)
""")
"""Hypertables and continuous aggregates that have a chunk."""


def local_instance(folder: Path) -> "dg.DagsterInstance":
    """An instance of Dagster on SQLite in `folder`, without its statistics, which would leave ids in the user's home."""
    import dagster as dg  # Dagster takes two seconds to import

    return dg.DagsterInstance.local_temp(str(folder), overrides={"telemetry": {"enabled": False}})


def bar(symbol: str = "AAPL", minute: int = 0, **values: Any) -> Bar:
    """A bar `minute` minutes after MOMENT."""
    given = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 100.0, "source": "test", **values}
    return Bar(symbol=symbol, timestamp=given.pop("timestamp", MOMENT + timedelta(minutes=minute)), **given)


def fill(order_id: str = "o1", execution_id: str = "e1", minute: int = 0, **values: Any) -> Fill:
    """A fill `minute` minutes after MOMENT."""
    given: dict[str, Any] = {
        "timestamp": MOMENT + timedelta(minutes=minute),
        "symbol": "AAPL",
        "side": "buy",
        "quantity": Decimal(10),
        "price": Decimal("11.25"),
        "commission": Decimal("0.5"),
        "strategy": "momentum",
        "source": "test",
        **values,
    }
    return Fill(order_id=order_id, execution_id=execution_id, **given)


def measurement(name: str = "latency", minute: int = 0, value: float = 1.5, unit: str = "ms") -> Measurement:
    """A measurement `minute` minutes after MOMENT."""
    return Measurement(name, MOMENT + timedelta(minutes=minute), value, unit)


class Rig:
    """Both tiers and the intake, with a method for each step of the archive path."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.datasets = settings, DATASETS
        self.client = connect_for_archiver(settings.require_redis_url())
        self.store = LiveStore.from_url(settings.require_redis_url())
        self.archive = Archive(settings.require_timescale_url())
        self.intake = Intake(settings.intake_uri)
        self.reader = MarketData(self.client, self.archive, self.intake, EARLIEST)

    def clean(self) -> None:
        """Empty both tiers and the intake."""
        self.client.flushdb()
        for dataset in TABLES.values():
            for file in self.intake.pending(dataset.name):
                self.intake.delete(file)
        with self.archive.transaction() as cursor:
            cursor.execute(_FILLED_BOOKS)
            for name, large in cursor.fetchall():
                cursor.execute(SQL("truncate {}" if large else "delete from {}").format(Identifier(name)))
            cursor.execute(_WITH_CHUNKS)
            filled = {name for (name,) in cursor.fetchall()}
            groups = [
                [dataset.table, *(aggregate.name for aggregate in reversed(dataset.aggregates))]
                for dataset in TABLES.values()
            ]
            together = [name for group in groups if filled.intersection(group) for name in group]
            if together:
                cursor.execute(SQL("truncate {}").format(SQL(", ").join(map(Identifier, together))))

    def close(self) -> None:
        """Close the connections."""
        self.reader.close()
        self.store.close()

    def entry(self, journal: str, fields: Mapping[Any, Any]) -> str:
        """Add a raw entry, as any producer can."""
        added: bytes = self.client.xadd(journal, dict(fields))  # type: ignore[assignment]
        return added.decode()

    def entry_at(self, journal: str, entry_id: str, record: Measurement) -> None:
        """Add a measurement with a given entry id, as a server with another clock would."""
        fields = {name: str(getattr(record, name)) for name in ("metric_name", "value", "unit")}
        self.client.xadd(journal, {**fields, "timestamp": record.timestamp.isoformat()}, id=entry_id)  # type: ignore[dict-item]

    def snapshot(self, dataset: Dataset, **options: Any) -> list[DrainedBatch]:
        """Drain the journals of a dataset."""
        archived = archived_ranges(self.archive, dataset, find_journals(self.client, dataset))
        return list(snapshot(self.client, self.intake, dataset, earliest=EARLIEST, archived=archived, **options))

    def load(self, dataset: Dataset) -> list[Loaded]:
        """Load the waiting batches of a dataset."""
        return list(load_pending(self.archive, self.intake, dataset, run_id="test"))

    def trim(self, dataset: Dataset, hot_window: timedelta = timedelta(0)) -> Trimmed:
        """Trim the journals of a dataset."""
        return trim_archived(self.client, self.archive, dataset, hot_window=hot_window)

    def refresh(self, dataset: Dataset) -> None:
        """Refresh all aggregates of a dataset."""
        for aggregate in dataset.aggregates:
            refresh(self.archive, dataset, aggregate)

    def archive_all(self, dataset: Dataset) -> list[Loaded]:
        """Snapshot, load, trim, refresh."""
        self.snapshot(dataset)
        loaded = self.load(dataset)
        self.trim(dataset)
        self.refresh(dataset)
        return loaded

    def account(self, dataset: Dataset) -> Account:
        """The account of a dataset."""
        return account(self.archive, dataset)

    def accepted(self, dataset: Dataset) -> int:
        """Entries ever added to the journals of a dataset."""
        return sum(info.added for info in inspect(self.client, find_journals(self.client, dataset)).values())

    def query(self, statement: str | Composable, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement."""
        with self.archive.transaction() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()


def today() -> datetime:
    """Midnight UTC of today."""
    return day_start(now().date())


def refuse(rig: Rig, *fills: Fill) -> None:
    """Put fills into quarantine as releases before 009_fills.sql did, which refused two fills at one moment."""
    for fill in fills:
        rig.entry("journal:trade", {name: plain(getattr(fill, name)) for name in TRADE.names} | {"side": "later"})
    rig.archive_all(TRADE)
    rig.query("""
        update archive_quarantine as known set kind = 'key taken', payload = fixed::json,
               digest = encode(sha256(convert_to(fixed, 'UTF8')), 'hex')
        from (select quarantine_id, replace(payload::text, '"later"', '"buy"') as fixed from archive_quarantine) as corrected
        where known.quarantine_id = corrected.quarantine_id and kind = 'unknown side' returning 1
    """)
