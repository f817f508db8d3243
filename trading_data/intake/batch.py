"""A batch: entries on their way into the archive, in the order of their acceptance, as one Parquet file.

Besides the dataset's columns a row has `_journal` (its position in the batch's list of journals), `_ms` and `_seq` (its
entry id). A rejected entry has nulls in the dataset's columns, and `_kind`, `_reason` and `_payload` (the whole entry).

Belongs here: the format of the file. Does not: its location (`intake.store`), and the validation of entries (`datasets.codec`).
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trading_data.datasets import codec, dataset_named
from trading_data.datasets.declaration import Dataset
from trading_data.errors import IntakeError
from trading_data.live.journal import EntryId
from trading_data.live.ranges import FIRST_INCARNATION, EntryRange

MOST_DAYS = 100
_DAY_US = 86_400_000_000
_FORM, _FORMS = "2", ("1", "2")
_SMALL = 100_000
"""Bytes of a Parquet file below which one thread reads faster."""
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
    """The entries of one incarnation of a journal in a batch.

    Attributes:
        journal: the stream's key; for other origins, the source of the entries.
        after, first, last: entry ids; `after` is exclusive, `first` is empty if no entry was left to read.
        count: number of entries.
        missing: number of entries added after `after` and removed before the journal was read.
        incarnation: number of the journal's incarnation (see `live.ranges`); 0 for other origins.
        anchor: digest of the entry `last`; empty if not known.
        added: number of entries ever added to the journal, up to and with `last`; None if not known.
    """

    journal: str
    after: str
    first: str
    last: str
    count: int
    missing: int = 0
    incarnation: int = 0
    anchor: str = ""
    added: int | None = None

    @property
    def last_id(self) -> EntryId:
        """`last`, parsed."""
        return EntryId.parse(self.last)

    @property
    def entries(self) -> EntryRange:
        """The range of entry ids that a durable batch accounts for."""
        return EntryRange(self.incarnation, EntryId.parse(self.after), self.last_id, self.anchor, self.added)


@dataclass(frozen=True)
class Batch:
    """Entries of one dataset. `origin` is journal, latest, file, vendor or quarantine; `created` is aware UTC.

    `journals` are the drained ranges (origin journal), or name the source of the entries. `since` is the earliest time at which
    the entries can have been accepted, where their ids do not show it (origin latest); aware UTC. `subjects` are those of its
    good entries, and perhaps more; `span` has their first and last time, microseconds since 1970. Both are None if the file was
    written by a release whose heads lacked them.
    """

    dataset: str
    origin: str
    created: datetime
    run_id: str
    journals: tuple[JournalRange, ...]
    table: pa.Table
    since: datetime | None = None
    subjects: frozenset[str] | None = field(default=None, compare=False)
    span: tuple[int, int] | None = field(default=None, compare=False)

    @cached_property
    def ranges(self) -> tuple[tuple[str, EntryRange], ...]:
        """The journals and ranges that the batch accounts for; none for other origins."""
        return tuple((range_.journal, range_.entries) for range_ in self.journals) if self.origin == "journal" else ()

    @cached_property
    def of_journal(self) -> dict[str, list[JournalRange]]:
        """The ranges of each journal."""
        parts: dict[str, list[JournalRange]] = {}
        for part in self.journals:
            parts.setdefault(part.journal, []).append(part)
        return parts

    @property
    def good(self) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """A mask of the good entries."""
        mask: np.ndarray[Any, np.dtype[np.bool_]] = pc.is_null(self.table["_kind"]).to_numpy()
        return mask

    @property
    def rows(self) -> pa.Table:
        """The good entries, without the columns of rejects."""
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
    """Cut a batch's table into consecutive slices (start, stop) of at most `most` chunks (UTC days, if not declared otherwise).

    A transaction locks every chunk it touches, and the server has room for some thousand locks.
    """
    days = pc.fill_null(table[dataset.key[1]].cast(pa.int64()), -1).to_numpy() // (_DAY_US * dataset.chunk.days)
    if len(days) and np.count_nonzero(np.diff(np.sort(days))) < most:
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
    dataset = dataset_named(batch.dataset)
    times = pc.min_max(batch.table[dataset.key[1]].cast(pa.int64())).as_py()
    head = {
        "form": _FORM,
        "dataset": batch.dataset,
        "origin": batch.origin,
        "created": batch.created.isoformat(),
        "run_id": batch.run_id,
        "journals": [vars(journal) for journal in batch.journals],
        "since": batch.since and batch.since.isoformat(),
        "subjects": batch.table[dataset.about].unique().drop_null().to_pylist(),
        "span": None if times["min"] is None else [times["min"], times["max"]],
    }
    table = batch.table.replace_schema_metadata({_META: json.dumps(head).encode()})
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", use_dictionary=texts, write_statistics=False)
    return out.getvalue()


def decode(data: bytes, where: str) -> Batch:
    """The batch in a Parquet file's bytes.

    Raises:
        IntakeError: it is damaged, not a batch, or of a newer form.
    """
    try:
        table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=len(data) > _SMALL)
        return _with_head(table.schema, table, where)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise IntakeError(f"{where} is damaged or not a batch: {error}") from error


def decode_head(data: bytes, where: str) -> Batch:
    """As `decode`, but without the entries: `table` is empty."""
    try:
        schema = pq.read_schema(io.BytesIO(data))
        return _with_head(schema, schema.empty_table(), where)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise IntakeError(f"{where} is damaged or not a batch: {error}") from error


def _with_head(schema: pa.Schema, table: pa.Table, where: str) -> Batch:
    head = json.loads((schema.metadata or {})[_META])
    if head["form"] not in _FORMS:
        raise IntakeError(f"{where} was written by a newer release (form {head['form']}): upgrade before loading it")
    journals = tuple(_range(journal, head["origin"]) for journal in head["journals"])
    return Batch(
        head["dataset"],
        head["origin"],
        datetime.fromisoformat(head["created"]),
        head["run_id"],
        journals,
        table.replace_schema_metadata(None),
        datetime.fromisoformat(head["since"]) if head.get("since") else None,
        frozenset(head["subjects"]) if "subjects" in head else _subjects(head, journals),
        tuple(head["span"]) if head.get("span") else None,
    )


def _subjects(head: dict[str, Any], journals: Sequence[JournalRange]) -> frozenset[str] | None:
    """What a head of a release before 0.2 says of its subjects: each is in the key of its journal, if every one has its own."""
    dataset = dataset_named(head["dataset"])
    if not dataset.carried or head["origin"] != "journal":
        return None
    return frozenset(part.journal.removeprefix(dataset.prefix) for part in journals if part.count)


def _range(fields: dict[str, Any], origin: str) -> JournalRange:
    """A range of the head. Form 1 had no incarnations; it marked a journal that had gone back (`rewound`)."""
    if "rewound" in fields:
        back = fields.pop("rewound")
        fields["incarnation"] = FIRST_INCARNATION + back if origin == "journal" else 0
    return JournalRange(**fields)
