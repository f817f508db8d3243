"""Health of the archive tier: disk, chunks, compression, statements, locks, connections, replication, archived log.

A figure that the server does not offer has no number, and a reason: the embedded engine has one session and keeps no statistics,
an extension may be missing, a privilege may not be granted. None of these is an error, and none is a zero.

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
"""With fewer page reads the cache is not judged."""
ENOUGH_SCANS = 100
ENOUGH_ROWS = 10_000
"""With fewer rows bloat is not judged."""
_SHOWN = 10
_OFTEN = 10
"""Statements with fewer calls, such as those of a migration, are shown and not judged."""
_LOCAL = ("127.0.0.1", "localhost", "::1", "")
_ALONE = "the server has one session and keeps no statistics (embedded engine)"

Rows = list[tuple[Any, ...]]


def measure_timescale(archive: Archive, *, sizes: bool = True, disk: Path | None = None) -> Figures:
    """The figures of the archive tier, in short read-only transactions.

    Args:
        archive: where.
        sizes: also measure tables on disk, which takes about a millisecond a chunk on the embedded engine.
        disk: a folder on the data's disk; None for the folder that a server on this machine names, or the home of an
            embedded one.

    Raises:
        ArchiveTierError: the archive is away.
        SchemaError: the schema is not this release's.
    """
    check_schema(archive)
    figures: list[Metric] = []
    texts: dict[str, tuple[str, ...]] = {}
    with archive.transaction(snapshot=True, lock="1s", statement="10s") as cursor:
        query = _Queries(cursor)
        cursor.execute(statement("health_server"))
        keeps, size, most, replica, hashes = cursor.fetchone() or (False, 0, 1, False, 0)
        alone = not keeps
        folder = query("health_folder")
        figures += [
            Metric("timescale.database.bytes", size, "bytes"),
            Metric("timescale.entry_hashes.bytes", hashes, "bytes"),
            *_disk(disk or _folder(archive, folder, alone=alone), alone),
            *_sessions(query, most, alone),
            *_locks(query, alone),
            *_database(query, alone),
            *_replication(query, replica, alone),
            *_archiver(query, alone),
        ]
        slowest, lines = _slowest(query)
        figures.append(slowest)
        if lines:
            texts["slowest statements"] = lines
    largest: list[tuple[float, str]] = []
    for dataset in DATASETS.values():
        with archive.transaction(snapshot=True, lock="1s", statement="10s") as cursor:
            figures += _of_dataset(_Queries(cursor), dataset, alone)
            if sizes:
                figures += _sizes(_Queries(cursor), dataset, largest)
    if largest:
        texts["largest chunks"] = tuple(lines for _, lines in sorted(largest, reverse=True)[:_SHOWN])
    return Figures(tuple(figures), texts)


class _Queries:
    """Statements that a server may refuse: each runs in a savepoint of its own, and a refusal is a reason, not an error."""

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
            rows: Rows = cursor.fetchall()
        except psycopg2.Error as error:
            if cursor.connection.closed:
                raise
            cursor.execute("rollback to savepoint health")
            return f"refused: {str(error).strip().partition(chr(10))[0]}"
        cursor.execute("release savepoint health")
        return rows


def _figures(
    rows: Rows | str, wanted: Iterable[tuple[str, str, Callable[[tuple[Any, ...]], Any]]], subject: str = ""
) -> Iterator[Metric]:
    """Figures from one row, each by name, unit, and a function of the row; a text in place of rows is the reason."""
    for name, unit, read in wanted:
        value = (
            rows
            if isinstance(rows, str)
            else read(rows[0])
            if rows
            else "the server has no statistics of this database"
        )
        if isinstance(value, str):
            yield Metric(name, None, unit, subject, value)
        else:
            yield Metric(name, float(value), unit, subject)


def _folder(archive: Archive, reply: Rows | str, *, alone: bool) -> Path | None:
    """The folder of the data, if the server is on this machine and the folder exists here; an embedded server's is in the home."""
    if isinstance(reply, str) or parts_of(archive.url).host not in _LOCAL:
        return None
    folder = Settings.from_env().home if alone else Path(reply[0][0])
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
            "this is not the embedded server's own home"
            if alone
            else "the server's disk cannot be seen from this machine"
        )
        yield Metric("timescale.disk.free", None, "bytes", "", why)
        yield Metric("timescale.disk.free_ratio", None, "ratio", "", why)
        return
    yield Metric("timescale.disk.free", usage.free, "bytes")
    yield Metric("timescale.disk.free_ratio", usage.free / usage.total, "ratio")


def _sessions(query: _Queries, most: int, alone: bool) -> Iterator[Metric]:
    rows = _ALONE if alone else query("health_sessions")
    hidden = "the transactions of others are hidden from this role: `grant pg_monitor` to it"
    yield from _figures(
        rows,
        [
            ("timescale.connections", "count", lambda row: row[0]),
            ("timescale.connections.ratio", "ratio", lambda row: row[0] / most),
            ("timescale.transactions.longest", "s", lambda row: hidden if row[3] and not row[1] else row[1]),
            ("timescale.transactions.idle", "count", lambda row: hidden if row[3] and not row[2] else row[2]),
        ],
    )


def _locks(query: _Queries, alone: bool) -> Iterator[Metric]:
    rows = _ALONE if alone else query("health_locks")
    wanted = [
        ("timescale.locks.waiting", "count", lambda row: row[0]),
        ("timescale.locks.longest_wait", "s", lambda row: row[1]),
    ]
    yield from _figures(rows, wanted)


def _database(query: _Queries, alone: bool) -> Iterator[Metric]:
    rows = _ALONE if alone else query("health_database")
    few = f"fewer than {ENOUGH_PAGES} pages asked for since the statistics began"
    yield from _figures(
        rows,
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


def _replication(query: _Queries, replica: bool, alone: bool) -> Iterator[Metric]:
    none = "there is no replica"
    if replica:
        yield from _figures(query("health_replay"), [("timescale.replica.lag", "s", lambda row: row[0] or 0.0)])
        return
    rows = _ALONE if alone else query("health_replication")
    yield from _figures(
        rows,
        [
            ("timescale.replicas", "count", lambda row: row[0]),
            ("timescale.replica.lag", "s", lambda row: (row[1] or 0.0) if row[0] else none),
            ("timescale.replica.behind", "bytes", lambda row: (row[2] or 0.0) if row[0] else none),
        ],
    )


def _archiver(query: _Queries, alone: bool) -> Iterator[Metric]:
    rows = _ALONE if alone else query("health_archiver")
    off = "archive_mode is off"
    never = "nothing was archived yet"

    def failing(row: tuple[Any, ...]) -> float:
        """1 if the last attempt failed."""
        return float(row[4] is not None and (row[3] is None or row[4] < row[3]))

    yield from _figures(
        rows,
        [
            ("timescale.log.failing", "count", lambda row: off if row[0] == "off" else failing(row)),
            (
                "timescale.log.age",
                "s",
                lambda row: off if row[0] == "off" else never if row[3] is None else row[3],
            ),
        ],
    )


def _slowest(query: _Queries) -> tuple[Metric, tuple[str, ...]]:
    name, unit = "timescale.statements.slowest", "s"
    where = query("health_statements_view")
    if isinstance(where, str) or not where:
        why = where if isinstance(where, str) else "the extension pg_stat_statements is not installed in this database"
        return Metric(name, None, unit, "", why), ()
    rows = query("health_slowest", statements=Identifier(where[0][0], "pg_stat_statements"))
    if isinstance(rows, str):
        return Metric(name, None, unit, "", rows), ()
    lines = tuple(
        f"{mean * 1e3:,.1f} ms on average, {calls:,} calls, {total:,.1f} s in all: {text}"
        for text, calls, mean, total in rows
    )
    often = [mean for _, calls, mean, _ in rows if calls >= _OFTEN]
    why = "" if often else f"no slow statement was called {_OFTEN} times"
    return Metric(name, float(often[0]) if often else None, unit, "", why), lines


def _of_dataset(query: _Queries, dataset: Dataset, alone: bool) -> Iterator[Metric]:
    subject = dataset.table
    # The nightly job has not yet seen a chunk that was made since yesterday, for example by a file of old days.
    values = {"table": dataset.table, "due": _due(dataset), "turn": now() - DAY}
    yield from _figures(
        query("health_chunks", values),
        [
            ("timescale.chunks", "count", lambda row: row[0]),
            ("timescale.chunks.compressed", "count", lambda row: row[1]),
            ("timescale.chunks.overdue", "count", lambda row: row[2]),
        ],
        subject,
    )
    yield from _figures(
        query("health_columnstore", values),
        [
            (
                "timescale.table.compression",
                "ratio",
                lambda row: row[0] / row[1] if row[1] else "no chunk is compressed yet",
            )
        ],
        subject,
    )
    yield from _figures(
        _ALONE if alone else query("health_tables", values),
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
        subject,
    )


def _due(dataset: Dataset) -> datetime:
    """Chunks that end before this should be compressed; the nightly job has one more day for that."""
    return now() - dataset.compress_after - DAY


def _sizes(query: _Queries, dataset: Dataset, largest: list[tuple[float, str]]) -> Iterator[Metric]:
    subject = dataset.table
    rows = query("health_sizes", {"table": dataset.table})
    if isinstance(rows, str):
        yield Metric("timescale.table.bytes", None, "bytes", subject, rows)
        return
    largest += [(size, f"{name} of {subject}: {size / 1e6:,.1f} MB") for name, size, _ in rows[:_SHOWN]]
    yield Metric("timescale.table.bytes", sum(size for _, size, _ in rows), "bytes", subject)
    yield Metric("timescale.table.index_bytes", sum(index for _, _, index in rows), "bytes", subject)
