"""The account of a database: rows and hashes per table and chunk, buckets of aggregates, sequences; and its identity.

Each statement is bounded by one chunk, so that none takes long or much memory, whatever the size of the database.

Belongs here: counting and comparing. Does not: dumping and restoring (`dump`).
"""

import hashlib
from collections.abc import Iterator
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import Identifier

from trading_data.archive.aggregates.compare import fingerprint_of_rows
from trading_data.archive.database import Archive
from trading_data.archive.sql import identifiers, statement
from trading_data.datasets import TABLES
from trading_data.datasets.declaration import Aggregate
from trading_data.printable import counted
from trading_data.times import utc


def identity(cursor: Cursor) -> str:
    """The identity of a database: a text that it shares with its restores only; empty before the first migration.

    It is made of the moment of the first migration, to the microsecond, which a dump includes.
    """
    cursor.execute("select to_regclass('archive_migration') is not null")
    if not (cursor.fetchone() or (False,))[0]:
        return ""
    cursor.execute(
        "select name, extract(epoch from applied_at)::text from archive_migration order by applied_at, name limit 1"
    )
    first = cursor.fetchone()
    return hashlib.sha256(repr(first).encode()).hexdigest()[:32] if first else ""


def migrations_applied(cursor: Cursor) -> dict[str, str]:
    """Names and hashes of the migrations."""
    cursor.execute("select name, sha256 from archive_migration order by name")
    return dict(cursor.fetchall())


def versions(cursor: Cursor) -> dict[str, Any]:
    """Of the server: `postgresql`, `postgresql_number`, `timescaledb` (empty if it is not installed), `one_session`."""
    cursor.execute("select current_setting('server_version'), current_setting('server_version_num')::int, version()")
    shown, number, version_text = cursor.fetchone() or ("", 0, "")
    cursor.execute("select extversion from pg_extension where extname = 'timescaledb'")
    row = cursor.fetchone()
    return {
        "postgresql": shown,
        "postgresql_number": number,
        "timescaledb": row[0] if row else "",
        "one_session": "emscripten" in version_text.lower(),
    }


def account(cursor: Cursor) -> dict[str, Any]:
    """The account of all tables, in the caller's snapshot.

    Returns:
        `chunks`: table or aggregate → [{chunk, start, end, rows, hash}]. `tables`: schema.table → [rows, hash]. `sequences`: name →
        where it stands.
    """
    ours = {dataset.table for dataset in TABLES.values()}
    cursor.execute(statement("backup_tables"))
    plain = [(schema, name) for schema, name, _ in cursor.fetchall() if name not in ours]
    chunks: dict[str, list[dict[str, Any]]] = {}
    for dataset in TABLES.values():
        chunks[dataset.table] = [
            _chunk(name, start, end, *fingerprint_of_rows(cursor, dataset, start, end))
            for name, start, end in _ranges(cursor, dataset.table)
        ]
        for aggregate in dataset.aggregates:
            chunks[aggregate.name] = [
                _chunk(name, start, end, *_buckets(cursor, aggregate, start, end))
                for name, start, end in _ranges(cursor, aggregate.name)
            ]
    tables = {f"{schema}.{name}": list(_table(cursor, schema, name)) for schema, name in plain}
    return {"chunks": chunks, "tables": tables, "sequences": sequences(cursor)}


def sequences(cursor: Cursor) -> dict[str, int | None]:
    """The present value of every sequence; sequences do not belong to a snapshot."""
    cursor.execute(statement("backup_sequences"))
    return dict(cursor.fetchall())


def account_of(archive: Archive) -> dict[str, Any]:
    """`account` in a transaction of its own. Raises ArchiveTierError if the server does not answer."""
    with archive.transaction(snapshot=True, statement="2h") as cursor:
        return account(cursor)


def rows_of(account: dict[str, Any]) -> int:
    """The number of rows in the datasets' tables, by an account."""
    return sum(chunk["rows"] for dataset in TABLES.values() for chunk in account["chunks"].get(dataset.table, ()))


def differences(expected: dict[str, Any], restored: dict[str, Any]) -> list[str]:
    """A line for each table, chunk and sequence that differs from the account in the manifest."""
    lines = []
    for table in sorted({*expected["chunks"], *restored["chunks"]}):
        sides = [{chunk["start"]: chunk for chunk in side["chunks"].get(table, ())} for side in (expected, restored)]
        for start in sorted({*sides[0], *sides[1]}):
            before, after = sides[0].get(start), sides[1].get(start)
            if _chunk_text(before) != _chunk_text(after):
                name = (before or after or {}).get("chunk")
                lines.append(
                    f"{table} from {start[:10]} ({name}): {_chunk_text(after)}; the backup has {_chunk_text(before)}"
                )
    for name in sorted({*expected["tables"], *restored["tables"]}):
        before, after = expected["tables"].get(name), restored["tables"].get(name)
        if before != after:
            lines.append(f"{name}: {after}; the backup has {before}")
    for name, minimum in expected["sequences"].items():
        if minimum is not None and (restored["sequences"].get(name) or 0) < minimum:
            lines.append(f"{name} stands at {restored['sequences'].get(name)}; in the backup it had come to {minimum}")
    return lines


def not_empty(cursor: Cursor) -> list[str]:
    """The tables with rows; those about the schema do not count."""
    cursor.execute(statement("backup_tables"))
    names = []
    for schema, name, _ in cursor.fetchall():
        if name == "archive_migration":
            continue
        cursor.execute(statement("backup_some", table=Identifier(schema, name)))
        if (cursor.fetchone() or (False,))[0]:
            names.append(name)
    return names


def _ranges(cursor: Cursor, relation: str) -> list[tuple[str, Any, Any]]:
    cursor.execute(statement("backup_chunks"), {"relation": relation})
    return cursor.fetchall()


def _buckets(cursor: Cursor, aggregate: Aggregate, start: Any, end: Any) -> tuple[int, str]:
    names = {
        "relation": Identifier(aggregate.name),
        "columns": identifiers(aggregate.columns),
        "time": Identifier("bucket"),
    }
    cursor.execute(statement("fingerprint", **names), {"start": start, "end": end})
    return cursor.fetchone() or (0, "")


def _table(cursor: Cursor, schema: str, name: str) -> Iterator[Any]:
    cursor.execute(statement("backup_table", table=Identifier(schema, name)))
    yield from cursor.fetchone() or (0, "")


def _chunk(name: str, start: Any, end: Any, rows: int, digest: str) -> dict[str, Any]:
    bounds = [utc(bound, "chunk").isoformat() for bound in (start, end)]
    return {"chunk": name, "start": bounds[0], "end": bounds[1], "rows": rows, "hash": digest}


def _chunk_text(chunk: dict[str, Any] | None) -> str:
    return (
        "nothing"
        if chunk is None
        else f"{counted(chunk['rows'], 'row')} with hash {chunk['hash']} to {chunk['end'][:10]}"
    )
