"""Both tiers at a glance, for `trading-data status`."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trading_data import __version__
from trading_data.archive.chunks import chunks, compression_ratio
from trading_data.archive.database import Archive
from trading_data.archive.ledger import Account, account, archived_ranges, quarantine_waiting
from trading_data.archive.schema.drift import archive_drift
from trading_data.archive.schema.migrate import check_schema
from trading_data.archive.verify.losses import heads
from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Dataset
from trading_data.intake import accounted
from trading_data.intake.store import Intake
from trading_data.live.connection import Client, MemoryReading, address, live_errors, read_memory
from trading_data.live.journal import find_journals, inspect


@dataclass(frozen=True)
class DatasetStatus:
    """One dataset: its journals, what waits, what is archived.

    `undrained` and `unarchived` count journal entries after the noted positions, and at most as many as the journal holds.
    `damaged` has a line for each unreadable batch, with reason and remedy; its entries are not counted.
    """

    dataset: str
    journals: int
    entries: int
    undrained: int
    unarchived: int
    waiting_batches: int
    quarantined: int
    account: Account
    chunks: int
    compressed_chunks: int
    compression_ratio: float | None
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """Both tiers."""

    version: str
    live: str
    live_version: str
    memory: MemoryReading
    archive: str
    archive_version: str
    datasets: tuple[DatasetStatus, ...]
    waiting_refreshes: int
    policy_drift: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "version": self.version,
            "live": {
                "server": self.live,
                "version": self.live_version,
                "memory_used": self.memory.used,
                "memory_limit": self.memory.limit,
                "memory_ratio": round(self.memory.ratio, 4),
            },
            "archive": {
                "server": self.archive,
                "version": self.archive_version,
                "waiting_refreshes": self.waiting_refreshes,
                "policy_drift": list(self.policy_drift),
            },
            "datasets": {
                status.dataset: {
                    **{name: value for name, value in vars(status).items() if name not in ("dataset", "account")},
                    **{name: value for name, value in vars(status.account).items() if name != "newest"},
                    "accepted": status.account.accepted,
                    "newest": None if status.account.newest is None else status.account.newest.isoformat(),
                }
                for status in self.datasets
            },
        }


def gather(client: Client, archive: Archive, intake: Intake) -> Status:
    """Read the status of both tiers.

    Raises:
        LiveTierError, ArchiveTierError: a tier does not answer.
        SchemaError: the schema is not this release's.
    """
    memory = read_memory(client, time.time())
    check_schema(archive)
    return Status(
        __version__,
        address(client),
        live_version(client),
        memory,
        archive.address,
        archive_version(archive),
        tuple(_dataset(client, archive, intake, dataset) for dataset in DATASETS.values()),
        _waiting_refreshes(archive),
        tuple(archive_drift(archive)),
    )


def live_version(client: Client) -> str:
    """The live server's kind and version."""
    with live_errors(client):
        info = client.info("server")
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info['redis_version']}"


def archive_version(archive: Archive) -> str:
    """The versions of TimescaleDB and PostgreSQL."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute("select extversion from pg_extension where extname = 'timescaledb'")
        extension = (cursor.fetchone() or ("missing",))[0]
        cursor.execute("show server_version")
        server = (cursor.fetchone() or ("?",))[0]
    return f"TimescaleDB {extension} on PostgreSQL {server.partition(' ')[0]}"


def undrained(client: Client, archive: Archive, intake: Intake, dataset: Dataset) -> int:
    """Journal entries that are neither archived nor in the intake."""
    infos = inspect(client, find_journals(client, dataset))
    known = accounted.accounted_for(client, intake, dataset, archived_ranges(archive, dataset, list(infos)))
    return accounted.undrained(accounted.of_this_incarnation(client, known, infos), infos)


def _dataset(client: Client, archive: Archive, intake: Intake, dataset: Dataset) -> DatasetStatus:
    infos = inspect(client, find_journals(client, dataset))
    archived = archived_ranges(archive, dataset, list(infos))
    current = accounted.of_this_incarnation(client, archived, infos)
    not_archived = [name for name, info in infos.items() if name not in current or current[name][-1].last < info.last]
    all_chunks = chunks(archive, dataset)
    files = intake.pending(dataset.name)
    batches = heads(intake, files)
    known = accounted.with_waiting(archived, batches.heads.values())
    waiting = accounted.undrained(accounted.of_this_incarnation(client, known, infos), infos)
    return DatasetStatus(
        dataset.name,
        len(infos),
        sum(info.length for info in infos.values()),
        waiting,
        waiting + batches.entries if not_archived else 0,
        len(files),
        sum(count for count, _ in quarantine_waiting(archive, dataset).values()),
        account(archive, dataset),
        len(all_chunks),
        sum(chunk.compressed for chunk in all_chunks),
        compression_ratio(all_chunks),
        batches.damaged,
    )


def _waiting_refreshes(archive: Archive) -> int:
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute("select count(*) from archive_refresh")
        return int((cursor.fetchone() or (0,))[0])


def newest_age(dataset_status: DatasetStatus, now: datetime) -> float | None:
    """Seconds since the newest archived row's own time."""
    return None if dataset_status.account.newest is None else (now - dataset_status.account.newest).total_seconds()
