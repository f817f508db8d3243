"""How well the archive tier is: disk, chunks, compression, statements, locks, connections, replication, archived log.

What a server does not offer is a figure without a number that says why: the embedded engine has one session and keeps no
statistics, an extension may be missing, a right may not be granted. Nothing of that is an error, and nothing a zero.

Belongs here: measuring. Does not: judging, and the datasets' own way into the archive (`flow`).
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import Composable, Identifier

from trading_data.archive.database import Archive, parts_of
from trading_data.archive.schema.migrate import check_schema
from trading_data.archive.sql import statement
from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Dataset
from trading_data.operations.health.metric import Figures, Metric
from trading_data.settings import Settings
from trading_data.times import DAY, now

ENOUGH_PAGES = 10_000
"""Fewer pages asked for say nothing about the cache."""
ENOUGH_SCANS = 100
ENOUGH_ROWS = 10_000
"""Fewer rows say nothing about bloat."""
_SHOWN = 10
_OFTEN = 10
"""Statements called less often, such as those of a migration, are shown, not judged."""
_LOCAL = ("127.0.0.1", "localhost", "::1", "")
_ALONE = "the server has one session and keeps no statistics (embedded engine)"

Rows = list[tuple[Any, ...]]


def measure_timescale(archive: Archive, *, sizes: bool = True, disk: Path | None = None) -> Figures:
    """The figures of the archive tier, in short read-only transactions.

    Args:
        archive: where.
        sizes: also what tables take on disk, which costs about a millisecond a chunk on the embedded engine.
        disk: a folder on the data's disk; None for what the server says of itself if it is on this machine, and for the
            home if it is the embedded one.

    Raises:
        ArchiveTierError: the archive is away.
        SchemaError: the schema is not this release's.
    """
    check_schema(archive)
    figures: list[Metric] = []
    texts: dict[str, tuple[str, ...]] = {}
    with archive.transaction(snapshot=True, lock="1s", statement="10s") as cursor:
        ask = _Asking(cursor)
        cursor.execute(statement("health_server"))
        keeps, size, most, replica, hashes = cursor.fetchone() or (False, 0, 1, False, 0)
        alone = not keeps
        folder = ask("health_folder")
        figures += [
            Metric("timescale.database.bytes", size, "bytes"),
            Metric("timescale.entry_hashes.bytes", hashes, "bytes"),
            *_disk(disk or _folder(archive, folder, alone=alone), alone),
            *_sessions(ask, most, alone),
            *_locks(ask, alone),
            *_database(ask, alone),
            *_replication(ask, replica, alone),
            *_archiver(ask, alone),
        ]
        slowest, said = _slowest(ask)
        figures.append(slowest)
        if said:
            texts["slowest statements"] = said
    largest: list[tuple[float, str]] = []
    for dataset in DATASETS.values():
        with archive.transaction(snapshot=True, lock="1s", statement="10s") as cursor:
            figures += _of_dataset(_Asking(cursor), dataset, alone)
            if sizes:
                figures += _sizes(_Asking(cursor), dataset, largest)
    if largest:
        texts["largest chunks"] = tuple(said for _, said in sorted(largest, reverse=True)[:_SHOWN])
    return Figures(tuple(figures), texts)


class _Asking:
    """Statements that a server may refuse: each is asked for itself, and a refusal is a reason, not an error."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def __call__(self, name: str, values: dict[str, Any] | None = None, **names: Composable) -> Rows | str:
        """The rows, or why there are none.

        Raises:
            psycopg2.Error: the connection broke.
        """
        cursor = self._cursor
        cursor.execute("savepoint health")
        try:
            cursor.execute(statement(name, **names), values or {})
            found: Rows = cursor.fetchall()
        except psycopg2.Error as error:
            if cursor.connection.closed:
                raise
            cursor.execute("rollback to savepoint health")
            return f"refused: {str(error).strip().partition(chr(10))[0]}"
        cursor.execute("release savepoint health")
        return found


def _figures(
    rows: Rows | str, wanted: Iterable[tuple[str, str, Callable[[tuple[Any, ...]], Any]]], of: str = ""
) -> Iterator[Metric]:
    """Figures from one row: each has a name, a unit, and how it is read from the row; a text instead says why there is none."""
    for name, unit, read in wanted:
        value = (
            rows if isinstance(rows, str) else read(rows[0]) if rows else "the server says nothing about this database"
        )
        if isinstance(value, str):
            yield Metric(name, None, unit, of, value)
        else:
            yield Metric(name, float(value), unit, of)


def _folder(archive: Archive, said: Rows | str, *, alone: bool) -> Path | None:
    """The data's folder, where the server is on this machine and says so truly; the embedded one's is in the home."""
    if isinstance(said, str) or parts_of(archive.url).host not in _LOCAL:
        return None
    folder = Settings.from_env().home if alone else Path(said[0][0])
    try:
        return folder if (folder if alone else folder / "PG_VERSION").exists() else None
    except OSError:
        return None


def _disk(folder: Path | None, alone: bool) -> Iterator[Metric]:
    try:
        usage = None if folder is None else shutil.disk_usage(folder)
    except OSError:
        usage = None
    if usage is None:
        why = (
            "this is not the embedded server's own home" if alone else "the server's disk is not this machine's to see"
        )
        yield Metric("timescale.disk.free", None, "bytes", "", why)
        yield Metric("timescale.disk.free_ratio", None, "ratio", "", why)
        return
    yield Metric("timescale.disk.free", usage.free, "bytes")
    yield Metric("timescale.disk.free_ratio", usage.free / usage.total, "ratio")


def _sessions(ask: _Asking, most: int, alone: bool) -> Iterator[Metric]:
    found = _ALONE if alone else ask("health_sessions")
    hidden = "the transactions of others are hidden from this role: `grant pg_monitor` to it"
    yield from _figures(
        found,
        [
            ("timescale.connections", "count", lambda row: row[0]),
            ("timescale.connections.ratio", "ratio", lambda row: row[0] / most),
            ("timescale.transactions.longest", "s", lambda row: hidden if row[3] and not row[1] else row[1]),
            ("timescale.transactions.idle", "count", lambda row: hidden if row[3] and not row[2] else row[2]),
        ],
    )


def _locks(ask: _Asking, alone: bool) -> Iterator[Metric]:
    found = _ALONE if alone else ask("health_locks")
    wanted = [
        ("timescale.locks.waiting", "count", lambda row: row[0]),
        ("timescale.locks.longest_wait", "s", lambda row: row[1]),
    ]
    yield from _figures(found, wanted)


def _database(ask: _Asking, alone: bool) -> Iterator[Metric]:
    found = _ALONE if alone else ask("health_database")
    few = f"fewer than {ENOUGH_PAGES} pages asked for since the statistics began"
    yield from _figures(
        found,
        [
            (
                "timescale.cache.hits",
                "ratio",
                lambda row: few if row[0] + row[1] < ENOUGH_PAGES else row[0] / (row[0] + row[1]),
            ),
            ("timescale.deadlocks", "count", lambda row: row[2]),
            ("timescale.rollbacks", "count", lambda row: row[3]),
            ("timescale.temporary", "bytes", lambda row: row[4]),
            ("timescale.oldest_transaction", "count", lambda row: row[5]),
        ],
    )


def _replication(ask: _Asking, replica: bool, alone: bool) -> Iterator[Metric]:
    none = "there is no replica"
    if replica:
        yield from _figures(ask("health_replay"), [("timescale.replica.lag", "s", lambda row: row[0] or 0.0)])
        return
    found = _ALONE if alone else ask("health_replication")
    yield from _figures(
        found,
        [
            ("timescale.replicas", "count", lambda row: row[0]),
            ("timescale.replica.lag", "s", lambda row: (row[1] or 0.0) if row[0] else none),
            ("timescale.replica.behind", "bytes", lambda row: (row[2] or 0.0) if row[0] else none),
        ],
    )


def _archiver(ask: _Asking, alone: bool) -> Iterator[Metric]:
    found = _ALONE if alone else ask("health_archiver")
    off = "archive_mode is off"
    never = "nothing was archived yet"

    def failing(row: tuple[Any, ...]) -> float:
        """1 if the last attempt failed."""
        return float(row[4] is not None and (row[3] is None or row[4] < row[3]))

    yield from _figures(
        found,
        [
            ("timescale.log.failing", "count", lambda row: off if row[0] == "off" else failing(row)),
            (
                "timescale.log.age",
                "s",
                lambda row: off if row[0] == "off" else never if row[3] is None else row[3],
            ),
        ],
    )


def _slowest(ask: _Asking) -> tuple[Metric, tuple[str, ...]]:
    name, unit = "timescale.statements.slowest", "s"
    where = ask("health_statements_view")
    if isinstance(where, str) or not where:
        why = where if isinstance(where, str) else "the extension pg_stat_statements is not installed in this database"
        return Metric(name, None, unit, "", why), ()
    found = ask("health_slowest", statements=Identifier(where[0][0], "pg_stat_statements"))
    if isinstance(found, str):
        return Metric(name, None, unit, "", found), ()
    said = tuple(
        f"{mean * 1e3:,.1f} ms in the mean, {calls:,} calls, {total:,.1f} s in all: {text}"
        for text, calls, mean, total in found
    )
    often = [mean for _, calls, mean, _ in found if calls >= _OFTEN]
    why = "" if often else f"no slow statement was called {_OFTEN} times"
    return Metric(name, float(often[0]) if often else None, unit, "", why), said


def _of_dataset(ask: _Asking, dataset: Dataset, alone: bool) -> Iterator[Metric]:
    of = dataset.table
    # A chunk that was made since yesterday, as by a file of old days, has not had its night yet.
    values = {"table": dataset.table, "due": _due(dataset), "turn": now() - DAY}
    yield from _figures(
        ask("health_chunks", values),
        [
            ("timescale.chunks", "count", lambda row: row[0]),
            ("timescale.chunks.compressed", "count", lambda row: row[1]),
            ("timescale.chunks.overdue", "count", lambda row: row[2]),
        ],
        of,
    )
    yield from _figures(
        ask("health_columnstore", values),
        [
            (
                "timescale.table.compression",
                "ratio",
                lambda row: row[0] / row[1] if row[1] else "no chunk is compressed yet",
            )
        ],
        of,
    )
    yield from _figures(
        _ALONE if alone else ask("health_tables", values),
        [
            (
                "timescale.table.index_scans",
                "ratio",
                lambda row: (
                    row[0] / (row[0] + row[1])
                    if row[0] + row[1] >= ENOUGH_SCANS
                    else f"fewer than {ENOUGH_SCANS} scans"
                ),
            ),
            (
                "timescale.table.dead_rows",
                "ratio",
                lambda row: (
                    row[3] / (row[2] + row[3]) if row[2] + row[3] >= ENOUGH_ROWS else f"fewer than {ENOUGH_ROWS} rows"
                ),
            ),
        ],
        of,
    )


def _due(dataset: Dataset) -> datetime:
    """Chunks that end before this should be compressed; one more day is the time that the nightly job has."""
    return now() - dataset.compress_after - DAY


def _sizes(ask: _Asking, dataset: Dataset, largest: list[tuple[float, str]]) -> Iterator[Metric]:
    of = dataset.table
    found = ask("health_sizes", {"table": dataset.table})
    if isinstance(found, str):
        yield Metric("timescale.table.bytes", None, "bytes", of, found)
        return
    largest += [(size, f"{name} of {of}: {size / 1e6:,.1f} MB") for name, size, _ in found[:_SHOWN]]
    yield Metric("timescale.table.bytes", sum(size for _, size, _ in found), "bytes", of)
    yield Metric("timescale.table.index_bytes", sum(index for _, _, index in found), "bytes", of)
