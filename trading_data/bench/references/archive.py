"""What `archive` is measured against: the servers' own limit, and the script that somebody would write instead.

The limit reads each journal whole, ten a request, without parsing a reply, and then sends rows by binary COPY that were encoded
before. The script is the same way by libraries: redis-py with hiredis, Arrow, pgpq and psycopg2. It trims what it has copied and
keeps no account of anything.
"""

import io
import time
from collections.abc import Sequence
from itertools import chain
from typing import Any

import pgpq
import pyarrow as pa
import redis
from psycopg2.sql import SQL, Identifier

from trading_data.bench.references.wire import packed, send_all, wire

TABLE = "bench_limit"
_TOGETHER = 10
_BLOCK = 200_000
_BUFFER = 1 << 20
_PREFIX = "journal:price:"
_FLOATS = ("open", "high", "low", "close", "volume")


def fresh_table(connection: Any) -> None:
    """An empty hypertable with the columns, key and chunks of `price_data`; no aggregates, no columnstore."""
    with connection.cursor() as cursor:
        cursor.execute(SQL("drop table if exists {}").format(Identifier(TABLE)))
        cursor.execute(SQL("create table {} (like price_data including all)").format(Identifier(TABLE)))
        cursor.execute(
            "select create_hypertable(%s, by_range('timestamp', interval '1 day'), create_default_indexes => false)",
            (TABLE,),
        )


def read_whole(client: Any, journals: Sequence[str]) -> float:
    """Seconds to receive all entries of these journals, unparsed."""
    commands = [packed("XRANGE", journal, "-", "+") for journal in journals]
    requests = [b"".join(commands[at : at + _TOGETHER]) for at in range(0, len(commands), _TOGETHER)]
    with wire(client) as line:
        began = time.perf_counter()
        send_all(line, requests)
        return time.perf_counter() - began


def encode(table: pa.Table) -> bytes:
    """Rows in the binary format of COPY."""
    encoder = pgpq.ArrowToPostgresBinaryEncoder(table.schema)
    head = encoder.write_header()
    rows = [encoder.write_batch(batch) for batch in table.combine_chunks().to_batches()]
    return b"".join((head, *rows, encoder.finish()))


def encode_blocks(table: pa.Table) -> list[bytes]:
    """Rows of `price_data` in the binary format of COPY, 200,000 a block, as of batch 1."""
    rows = table.append_column("batch_id", pa.repeat(pa.scalar(1, pa.int64()), table.num_rows))
    return [encode(rows.slice(at, _BLOCK)) for at in range(0, rows.num_rows, _BLOCK)]


def copy(connection: Any, table: str, names: Sequence[str], blocks: Sequence[bytes]) -> float:
    """Seconds of a COPY of each block, each committed; `names` are the columns in their order."""
    columns = SQL(", ").join(map(Identifier, names))
    command = SQL("copy {} ({}) from stdin (format binary)").format(Identifier(table), columns).as_string(connection)
    began = time.perf_counter()
    with connection.cursor() as cursor:
        for block in blocks:
            cursor.copy_expert(command, io.BytesIO(block), size=_BUFFER)
    return time.perf_counter() - began


def script(url: str, connection: Any) -> float:
    """Seconds of XRANGE, Arrow, COPY and XTRIM, ten journals at a time; entries stay lists, as dicts take twice as long."""
    client: Any = redis.Redis.from_url(url)
    client.set_response_callback("XRANGE", lambda reply, **_: reply)
    began = time.perf_counter()
    names = sorted(name.decode() for name in client.scan_iter(f"{_PREFIX}*", 10_000))
    for at in range(0, len(names), _TOGETHER):
        pipeline = client.pipeline(transaction=False)
        for name in names[at : at + _TOGETHER]:
            pipeline.execute_command("XRANGE", name, "-", "+")
        read = dict(zip(names[at : at + _TOGETHER], pipeline.execute(), strict=True))
        table = pa.concat_tables([_rows(name, entries) for name, entries in read.items() if entries])
        copy(connection, TABLE, table.column_names, [encode(table)])
        for name, entries in read.items():
            if entries:
                pipeline.xtrim(name, minid=entries[-1][0], approximate=False)
        pipeline.execute()
    client.close()
    return time.perf_counter() - began


def _rows(journal: str, entries: list[Any]) -> pa.Table:
    fields = list(chain.from_iterable(fields for _, fields in entries))
    width = len(entries[0][1])
    texts = {
        fields[at].decode(): pa.array(fields[at + 1 :: width], pa.binary()).cast(pa.string())
        for at in range(0, width, 2)
    }
    return pa.table(
        {
            "symbol": pa.repeat(journal.removeprefix(_PREFIX), len(entries)),
            "timestamp": texts["timestamp"].cast(pa.timestamp("us", "UTC")),
            **{name: texts[name].cast(pa.float64()) for name in _FLOATS},
            "source": texts["source"],
            "batch_id": pa.repeat(pa.scalar(1, pa.int64()), len(entries)),
        }
    )
