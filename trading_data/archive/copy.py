"""Rows to the server by COPY: binary where every type has a binary form, text where exact numbers are carried as text.

Belongs here: encoding. Does not: which rows.
"""

import io

import pgpq
import pyarrow as pa
import pyarrow.csv
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Identifier

from trading_data.archive.sql import identifiers
from trading_data.datasets.declaration import Dataset

_BUFFER = 1 << 20


def copy_rows(cursor: Cursor, dataset: Dataset, target: str, rows: pa.Table, batch_id: int) -> None:
    """COPY the dataset's columns of `rows`, with `batch_id`, into the table `target`."""
    if not rows.num_rows:
        return
    table = rows.select(list(dataset.names))
    table = table.append_column("batch_id", pa.repeat(pa.scalar(batch_id, pa.int64()), table.num_rows))
    exact = any(column.type == "decimal" for column in dataset.columns)
    data = _csv(table) if exact else _binary(table)
    form = SQL("(format csv)") if exact else SQL("(format binary)")
    command = SQL("copy {} ({}) from stdin {}").format(Identifier(target), identifiers(table.column_names), form)
    cursor.copy_expert(command, data, size=_BUFFER)


def _binary(table: pa.Table) -> io.BytesIO:
    encoder = pgpq.ArrowToPostgresBinaryEncoder(table.schema)
    out = io.BytesIO()
    out.write(encoder.write_header())
    for block in table.combine_chunks().to_batches():
        out.write(encoder.write_batch(block))
    out.write(encoder.finish())
    out.seek(0)
    return out


def _csv(table: pa.Table) -> io.BytesIO:
    out = io.BytesIO()
    options = pa.csv.WriteOptions(include_header=False, quoting_style="needed")
    pa.csv.write_csv(table, out, options)
    out.seek(0)
    return out
