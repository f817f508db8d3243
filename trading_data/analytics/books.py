"""The archive's books, read for people: which batch a row came from, and which entry of which journal that was.

Belongs here: batches, the versions of rows, and the entries they can be traced to. Does not: the answers made of these
(`compliance`, `provenance`).
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL

from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.archive.sql import names_of, said, statement
from trading_data.datasets import codec
from trading_data.datasets.declaration import Dataset
from trading_data.live.journal import EntryId, raw
from trading_data.reader.archive_queries import Range, whole_minutes
from trading_data.times import now

Key = tuple[Any, ...]
"""What names a row: subject and time, or subject and identity."""


@dataclass(frozen=True)
class LedgerRow:
    """A row of the ledger. `journals` are the ranges it was made of, as the ledger has them."""

    batch_id: int
    origin: str
    content_hash: str
    snapshot_run: str
    load_run: str
    drained_at: datetime
    archived_at: datetime
    journals: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class EntryOrigin:
    """The part of a batch that holds a row's entry.

    Attributes:
        journal: the journal; or the file, the vendor's name, or the key of the latest value (as the ledger writes it).
        first_entry, last_entry: the entries of it that the batch was made of, from and up to and with; a file's are
            called `row 1` and so on. None where the batch has single entries of many and it is not known which.
        entries: how many those are.
        entry_id: the entry itself where it is known.
    """

    journal: str | None = None
    first_entry: str | None = None
    last_entry: str | None = None
    entries: int | None = None
    entry_id: str | None = None


@dataclass(frozen=True)
class RowVersion:
    """A row as it is or was: `values` by column. What replaced it and when is None for the row as it is."""

    values: Mapping[str, Any]
    batch_id: int
    replaced_by: int | None
    replaced_at: datetime | None


class LedgerBatches:
    """What the ledger says of some batches of a dataset."""

    def __init__(self, cursor: Cursor, dataset: Dataset, batches: Iterable[int]) -> None:
        """Read it."""
        self._dataset = dataset
        values = {"batches": sorted(set(batches))}
        cursor.execute(statement("ledger_batches"), values)
        self._batches = {row[0]: LedgerRow(*row) for row in cursor.fetchall()}
        cursor.execute(statement("quarantine_retried"), values)
        self._retried: dict[tuple[int, Key], set[tuple[str, str]]] = defaultdict(set)
        found = cursor.fetchall()
        for (batch_id, journal, entry_id, _), key in zip(found, _keys(dataset, [row[3] for row in found]), strict=True):
            if key is not None:
                self._retried[batch_id, key].add((journal, entry_id))

    def batch(self, batch_id: int) -> LedgerRow | None:
        """A batch, if the ledger knows it."""
        return self._batches.get(batch_id)

    def source(self, batch_id: int, key: Key) -> EntryOrigin:
        """Where in its batch the row of a key came from."""
        batch = self.batch(batch_id)
        if batch is None:
            return EntryOrigin()
        if batch.origin == "quarantine":
            return self._of_retry(batch, key)
        prefix = self._dataset.latest_prefix if batch.origin == "latest" else None
        name = ledger_name(self._dataset.journal_of(key[0]) if prefix is None else prefix + key[0])
        ranges = batch.journals
        if batch.origin in ("journal", "latest"):
            ranges = [range_ for range_ in ranges if range_["journal"] == name]
        if len(ranges) != 1:
            return EntryOrigin()
        (one,) = ranges
        first, last = (_called(batch.origin, one[end]) for end in ("first", "last"))
        return EntryOrigin(one["journal"], first, last, one["count"], first if one["count"] == 1 else None)

    def _of_retry(self, batch: LedgerRow, key: Key) -> EntryOrigin:
        """A batch of single entries: the one that had this key when it was rejected, unless there are several or none."""
        found = {(journal["journal"], journal["first"]) for journal in batch.journals}
        if len(found) > 1:
            found &= self._retried.get((batch.batch_id, key), set())
        if len(found) == 1:
            ((journal, entry_id),) = found
            return EntryOrigin(journal, entry_id, entry_id, 1, entry_id)
        names = {journal["journal"] for journal in batch.journals}
        return EntryOrigin(names.pop() if len(names) == 1 else None, entries=len(batch.journals))


def row_versions(
    cursor: Cursor,
    dataset: Dataset,
    start: datetime,
    end: datetime,
    subject: str | None = None,
    kept: Range | None = None,
) -> dict[Key, list[RowVersion]]:
    """The versions of each row of [start, end), oldest first, of one subject or of all; keys in the order of time.

    `kept` is where the rows themselves are looked for, if not everywhere in that range.
    """
    names = {
        **names_of(dataset),
        "columns": SQL(", ").join(said(dataset, name, "known") for name in dataset.names),
        "old_columns": SQL(", ").join(said(dataset, name, "old") for name in dataset.names),
        "said": said(dataset, dataset.key[1], "known"),
    }
    low, high = whole_minutes(dataset, (start, end)) if kept is None else kept
    values = {"dataset": dataset.name, "start": start, "end": end, "low": low, "high": high, "subject": subject}
    cursor.execute(statement("row_versions", **names), values)
    width = len(dataset.names)
    found: dict[Key, list[RowVersion]] = defaultdict(list)
    for row in sorted(cursor.fetchall(), key=lambda row: (row[-1] is None, row[-1] or 0)):
        version = RowVersion(dict(zip(dataset.names, row[:width], strict=True)), *row[width:-1])
        found[key_of(dataset, version.values)].append(version)
    order = (dataset.key[1], *dataset.named_by)
    return dict(sorted(found.items(), key=lambda one: [one[1][-1].values[name] for name in order]))


def key_of(dataset: Dataset, values: Mapping[str, Any]) -> Key:
    """What names the row with these values."""
    return tuple(values[name] for name in dataset.named_by)


def readable(dataset: Dataset, payloads: Sequence[str]) -> pa.Table:
    """Rejected entries as columns of the dataset, null where a value is missing or cannot be read; rules are not applied."""
    entries = [_fields(dataset, payload) for payload in payloads]
    values = {
        name: pa.array([None if (value := entry.get(name)) is None else raw(value) for entry in entries], pa.binary())
        for name in dataset.names
    }
    return codec.check(dataset, values, now(), now()).table


def _fields(dataset: Dataset, payload: str) -> dict[str, str | None]:
    entry = json.loads(payload)
    fields: dict[str, str | None] = dict(entry["fields"])
    journal: str = entry["journal"]
    if dataset.carried and dataset.carried not in fields and journal.startswith(dataset.prefix):
        fields[dataset.carried] = journal[len(dataset.prefix) :]
    return fields


def _keys(dataset: Dataset, payloads: Sequence[str]) -> list[Key | None]:
    rows = readable(dataset, payloads)
    pairs = zip(*(rows[name].to_pylist() for name in dataset.named_by), strict=True)
    return [None if None in pair else pair for pair in pairs]


def _called(origin: str, entry: str) -> str:
    """An entry's name where it came from: a file's rows are counted from 1."""
    return f"row {EntryId.parse(entry).seq + 1}" if origin in ("file", "vendor") else entry
