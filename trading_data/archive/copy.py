"""Rows to the server by COPY: in binary form, or as text for datasets with exact numbers (decimals)."""

import io
from collections.abc import Iterator
from typing import Any

import pgpq
import pyarrow as pa
import pyarrow.csv
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Identifier

from trading_data.archive.sql import REPORTED, identifiers
from trading_data.datasets.declaration import Dataset

_BUFFER = 1 << 20
_ROWS = 10_000


def copy_rows(
    cursor: Cursor,
    dataset: Dataset,
    target: str,
    rows: pa.Table,
    batch_id: int,
    entry: pa.Array | None = None,
    stored: pa.Array | None = None,
) -> None:
    """COPY the dataset's columns of `rows`, with `batch_id` (and `entry`), into the table `target`.

    `stored` are the moments (int64, µs since 1970) of rows that are not kept at the time they report.
    """
    if not rows.num_rows:
        return
    table = rows.select(list(dataset.names))
    if stored is not None:
        time = dataset.key[1]
        table = table.append_column(REPORTED, table[time])
        table = table.set_column(table.schema.get_field_index(time), time, stored.cast(table.schema.field(time).type))
    table = table.append_column("batch_id", pa.repeat(pa.scalar(batch_id, pa.int64()), table.num_rows))
    if entry is not None:
        table = table.append_column("entry", entry)
    exact = any(column.type == "decimal" for column in dataset.columns)
    data: Any = _csv(table) if exact else _Readable(binary(table))
    form = SQL("(format csv)") if exact else SQL("(format binary)")
    command = SQL("copy {} ({}) from stdin {}").format(Identifier(target), identifiers(table.column_names), form)
    cursor.copy_expert(command, data, size=_BUFFER)


def binary(table: pa.Table) -> Iterator[bytes]:
    """Rows in the binary form of COPY, block by block; the columns must have the types of the target."""
    encoder = pgpq.ArrowToPostgresBinaryEncoder(table.schema)
    yield encoder.write_header()
    for block in table.combine_chunks().to_batches(max_chunksize=_ROWS):
        yield encoder.write_batch(block)
    yield encoder.finish()


class _Readable:
    """Blocks as a file: each is made while the server works on the ones before."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._rest = blocks, b""

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; none at the end."""
        while not self._rest and (block := next(self._blocks, None)) is not None:
            self._rest = block
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def _csv(table: pa.Table) -> io.BytesIO:
    out = io.BytesIO()
    options = pa.csv.WriteOptions(include_header=False, quoting_style="needed")
    pa.csv.write_csv(table, out, options)
    out.seek(0)
    return out
