"""Importing tables into the intake: files and vendor history enter the archive by the same path as live data.

Belongs here: a table of the dataset's columns to batches. Does not: reading files (`trading_data.sources.files.read`) or vendors.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

import numpy as np
import pyarrow as pa

from trading_data.datasets import codec
from trading_data.datasets.codec import plain
from trading_data.datasets.declaration import Dataset
from trading_data.datasets.rules import Reason
from trading_data.intake import batch
from trading_data.intake.batch import Batch, JournalRange
from trading_data.intake.entries import blank_bad, sparse
from trading_data.intake.snapshot import DrainedBatch, describe
from trading_data.intake.store import Intake
from trading_data.times import now

ROW = "row"
"""An optional column with the number of each row, from 0, for tables that lack some rows or have them in another order."""
CONTENT = "sha256:"
"""Begins a `run_id` that is the digest of a file: the load recognises by it rows that an earlier import of the file rejected."""
OnReject = Callable[[int, Reason, Mapping[str, object]], None]
"""Called with a rejected row's number (1 is the first), the reason, and the row's values as they came."""


def import_rows(
    intake: Intake,
    dataset: Dataset,
    name: str,
    tables: Iterable[pa.Table],
    *,
    origin: str,
    earliest: datetime,
    run_id: str = "",
    on_reject: OnReject = lambda *_: None,
) -> Iterator[DrainedBatch]:
    """Write tables (each with exactly the dataset's columns, text or typed) into the intake, one batch per table.

    The batches include rejected rows, with all their values. `name` is the source of the rows, for the ledger and the
    quarantine; `run_id` names a run or, by `CONTENT`, the bytes of a file. `on_reject` is called for each rejected row. A table
    may have a column `ROW`.
    """
    row = 0
    for table in tables:
        moment = now()
        length = table.num_rows
        numbers = table[ROW].to_numpy() if ROW in table.column_names else np.arange(row, row + length)
        accepted = np.full(length, round(moment.timestamp() * 1000), dtype=np.uint64)
        checked = codec.check(dataset, {column: table[column] for column in dataset.names}, moment, earliest)
        good, positions = codec.by_position(checked.bad, length)
        columns = blank_bad(checked.table, good) if positions else checked.table.columns
        payloads = []
        for at in positions:
            values = table.select(dataset.names).slice(at, 1).to_pylist()[0]
            payloads.append(_payload(name, int(numbers[at]), values))
            on_reject(int(numbers[at]) + 1, checked.bad[at], values)
        batch_table = pa.Table.from_arrays(
            [
                *columns,
                pa.array(np.zeros(length, dtype=np.int32)),
                pa.array(accepted),
                pa.array(numbers.astype(np.uint64)),
                sparse(length, positions, [checked.bad[at].kind for at in positions]),
                sparse(length, positions, [checked.bad[at].text for at in positions]),
                sparse(length, positions, payloads),
            ],
            schema=batch.schema(dataset),
        )
        for start, stop in batch.cut_by_days(dataset, batch_table) if length else ():
            first, last = f"{accepted[0]}-{numbers[start]}", f"{accepted[0]}-{numbers[stop - 1]}"
            where = JournalRange(name, "0-0", first, last, stop - start)
            part = Batch(dataset.name, origin, moment, run_id, (where,), batch_table.slice(start, stop - start))
            yield describe(dataset, intake.put(part), part)
        row += length


def _payload(name: str, row: int, values: dict[str, object]) -> str:
    pairs = [(field, None if value is None else _text(value)) for field, value in values.items()]
    return json.dumps({"journal": name, "id": f"row {row + 1}", "fields": pairs})


def _text(value: object) -> str:
    """A rejected value as text that can be converted back, bytes that are not UTF-8 included."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else plain(value)
