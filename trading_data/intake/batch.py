"""A batch: entries on their way into the archive, in the order in which they were accepted, as one Parquet file.

Beside the dataset's columns a row has `_journal` (its position in the batch's list of journals), `_ms` and `_seq` (its
entry id). A rejected entry has nulls in the dataset's columns, and `_kind`, `_reason` and `_payload`: the whole entry.

Belongs here: the file's form. Does not: where files lie (`intake.store`), and what is good or bad (`datasets.codec`).
"""

import io
import json
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trading_data.datasets import codec
from trading_data.datasets.declaration import Dataset
from trading_data.errors import IntakeError
from trading_data.live.journal import BEGINNING, EntryId

MOST_DAYS = 100
_DAY_US = 86_400_000_000
_FORM = "1"
_SMALL = 100_000
"""Bytes of a Parquet file."""
_META = b"trading_data"
_EXTRA = (
    ("_journal", pa.int32()),
    ("_ms", pa.uint64()),
    ("_seq", pa.uint64()),
    ("_kind", pa.string()),
    ("_reason", pa.string()),
    ("_payload", pa.string()),
)


@dataclass(frozen=True)
class JournalRange:
    """The entries of one journal in a batch: after `after` (exclusive), from `first` to `last`, `count` of them.

    `missing` entries were added to the journal after `after` and had gone when it was read. `rewound` says that the
    journal had gone back behind what was drained from it before (it was flushed, or its server lost its newest
    entries), so that its entries may have been archived already.
    """

    journal: str
    after: str
    first: str
    last: str
    count: int
    missing: int = 0
    rewound: bool = False

    @property
    def last_id(self) -> EntryId:
        """`last`, parsed."""
        return EntryId.parse(self.last)

    @property
    def certain(self) -> bool:
        """Whether an entry at or before the archived watermark is surely one that was archived."""
        return not self.rewound and EntryId.parse(self.after) > BEGINNING


@dataclass(frozen=True)
class Batch:
    """Entries of one dataset. `origin` is journal, latest, file, vendor or quarantine; `created` is aware UTC.

    `journals` are the ranges drained (origin journal), or name where the entries came from with an empty range.
    """

    dataset: str
    origin: str
    created: datetime
    run_id: str
    journals: tuple[JournalRange, ...]
    table: pa.Table

    @property
    def rows(self) -> pa.Table:
        """The good entries, all columns but those of rejects."""
        good = self.table.drop_columns(["_kind", "_reason", "_payload"])
        kinds = self.table["_kind"]
        return good if kinds.null_count == len(kinds) else good.filter(pc.is_null(kinds))

    @property
    def rejects(self) -> pa.Table:
        """The rejected entries: `_journal`, `_ms`, `_seq`, `_kind`, `_reason`, `_payload`."""
        return self.table.filter(pc.is_valid(self.table["_kind"])).select([name for name, _ in _EXTRA])


def schema(dataset: Dataset) -> pa.Schema:
    """The Arrow schema of a batch's table."""
    return pa.schema([*codec.schema(dataset), *(pa.field(name, kind) for name, kind in _EXTRA)])


def cut_by_days(dataset: Dataset, table: pa.Table, most: int = MOST_DAYS) -> list[tuple[int, int]]:
    """Cut a batch's table into consecutive slices (start, stop) of at most `most` UTC days each.

    A transaction takes locks on every chunk it touches, and the server has room for some thousands.
    """
    days = pc.fill_null(table[dataset.key[1]].cast(pa.int64()), -1).to_numpy() // _DAY_US
    if len(np.unique(days)) <= most:
        return [(0, table.num_rows)]
    cuts, start, seen = [], 0, set[int]()
    for at, day in enumerate(days.tolist()):
        if day not in seen and len(seen) == most:
            cuts.append((start, at))
            start, seen = at, set()
        seen.add(day)
    return [*cuts, (start, table.num_rows)]


def encode(batch: Batch) -> bytes:
    """The batch as a Parquet file."""
    head = {
        "form": _FORM,
        "dataset": batch.dataset,
        "origin": batch.origin,
        "created": batch.created.isoformat(),
        "run_id": batch.run_id,
        "journals": [asdict(found) for found in batch.journals],
    }
    table = batch.table.replace_schema_metadata({_META: json.dumps(head).encode()})
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", use_dictionary=texts, write_statistics=False)
    return out.getvalue()


def decode(data: bytes, where: str) -> Batch:
    """The batch in a Parquet file's bytes.

    Raises:
        IntakeError: it is no such file, or of a newer form.
    """
    try:
        # Other threads cost a small file more than they bring.
        table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=len(data) > _SMALL)
        return _with_head(table.schema, table, where)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise IntakeError(f"{where} is damaged or is no batch: {error}") from error


def decode_head(data: bytes, where: str) -> Batch:
    """As `decode`, but without reading the entries: `table` is empty."""
    try:
        found = pq.read_schema(io.BytesIO(data))
        return _with_head(found, found.empty_table(), where)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise IntakeError(f"{where} is damaged or is no batch: {error}") from error


def _with_head(found: pa.Schema, table: pa.Table, where: str) -> Batch:
    head = json.loads((found.metadata or {})[_META])
    if head["form"] != _FORM:
        raise IntakeError(f"{where} was written by a newer release (form {head['form']}): upgrade before loading it")
    return Batch(
        head["dataset"],
        head["origin"],
        datetime.fromisoformat(head["created"]),
        head["run_id"],
        tuple(JournalRange(**found) for found in head["journals"]),
        table.replace_schema_metadata(None),
    )
