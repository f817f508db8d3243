"""The origin of archived rows, from the ledger: the versions of a row, their batches, and the entries they can be traced to.

Belongs here: these lookups. Does not: the reports (`compliance`, `provenance`), the search in a journal (`journal_search`).
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
from trading_data.archive.sql import names_of, reported_column, statement
from trading_data.datasets import codec
from trading_data.datasets.declaration import Dataset
from trading_data.live.journal import EntryId, raw
from trading_data.reader.archive_queries import whole_minutes
from trading_data.reader.query import Range
from trading_data.times import now

Key = tuple[Any, ...]
"""The identifying values of a row: subject and time, or subject and identity."""


@dataclass(frozen=True)
class LedgerRow:
    """A row of the ledger. `journals` are the ranges in the batch, as the ledger has them."""

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
    """The part of a batch that contains a row's entry.

    Attributes:
        journal: the journal; or the file, the vendor's name, or the key of the latest value (as in the ledger).
        first_entry, last_entry: the first and the last of its entries in the batch, both inclusive; those of a file are called
            `row 1` and so on. None if the batch has single entries of many journals and the right one is unknown.
        entries: the number of these entries.
        entry_id: the entry itself, if known.
    """

    journal: str | None = None
    first_entry: str | None = None
    last_entry: str | None = None
    entries: int | None = None
    entry_id: str | None = None


@dataclass(frozen=True)
class RowVersion:
    """A present or past version of a row: `values` by column. The replacing batch and its time are None for the present one."""

    values: Mapping[str, Any]
    batch_id: int
    replaced_by: int | None
    replaced_at: datetime | None


class LedgerBatches:
    """The ledger rows of some batches of a dataset."""

    def __init__(self, cursor: Cursor, dataset: Dataset, batches: Iterable[int]) -> None:
        """Read them from the ledger."""
        self._dataset = dataset
        values = {"batches": sorted(set(batches))}
        cursor.execute(statement("ledger_batches"), values)
        self._batches = {row[0]: LedgerRow(*row) for row in cursor.fetchall()}
        cursor.execute(statement("quarantine_retried"), values)
        self._retried: dict[tuple[int, Key], set[tuple[str, str]]] = defaultdict(set)
        entries = cursor.fetchall()
        keys = _keys(dataset, [payload for *_, payload in entries])
        for (batch_id, journal, entry_id, _), key in zip(entries, keys, strict=True):
            if key is not None:
                self._retried[batch_id, key].add((journal, entry_id))

    def batch(self, batch_id: int) -> LedgerRow | None:
        """A batch; None if it is not in the ledger."""
        return self._batches.get(batch_id)

    def source(self, batch_id: int, key: Key) -> EntryOrigin:
        """The part of the batch from which the row with this key came."""
        batch = self.batch(batch_id)
        if batch is None:
            return EntryOrigin()
        if batch.origin == "quarantine":
            return self._source_of_retried(batch, key)
        prefix = self._dataset.latest_prefix if batch.origin == "latest" else None
        name = ledger_name(self._dataset.journal_of(key[0]) if prefix is None else prefix + key[0])
        ranges = batch.journals
        if batch.origin in ("journal", "latest"):
            ranges = [range_ for range_ in ranges if range_["journal"] == name]
        if len(ranges) != 1:
            return EntryOrigin()
        (journal,) = ranges
        first, last = (_entry_name(batch.origin, journal[end]) for end in ("first", "last"))
        return EntryOrigin(journal["journal"], first, last, journal["count"], first if journal["count"] == 1 else None)

    def _source_of_retried(self, batch: LedgerRow, key: Key) -> EntryOrigin:
        """Of a batch of single entries, the one that had this key when it was rejected, if there is exactly one."""
        candidates = {(journal["journal"], journal["first"]) for journal in batch.journals}
        if len(candidates) > 1:
            candidates &= self._retried.get((batch.batch_id, key), set())
        if len(candidates) == 1:
            ((journal, entry_id),) = candidates
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
    """The versions of each row of [start, end), oldest first, of one subject or of all; keys ordered by time.

    `kept` is the range of stored moments that is searched for the present rows; by default the minutes of [start, end).
    """
    names = {
        **names_of(dataset),
        "columns": SQL(", ").join(reported_column(dataset, name, "known") for name in dataset.names),
        "old_columns": SQL(", ").join(reported_column(dataset, name, "old") for name in dataset.names),
        "moment": reported_column(dataset, dataset.key[1], "known"),
    }
    low, high = whole_minutes(dataset, (start, end)) if kept is None else kept
    values = {"dataset": dataset.name, "start": start, "end": end, "low": low, "high": high, "subject": subject}
    cursor.execute(statement("row_versions", **names), values)
    width = len(dataset.names)
    by_key: dict[Key, list[RowVersion]] = defaultdict(list)
    for row in sorted(cursor.fetchall(), key=lambda row: (row[-1] is None, row[-1] or 0)):
        version = RowVersion(dict(zip(dataset.names, row[:width], strict=True)), *row[width:-1])
        by_key[key_of(dataset, version.values)].append(version)
    order = (dataset.key[1], *dataset.named_by)
    return dict(sorted(by_key.items(), key=lambda pair: [pair[1][-1].values[name] for name in order]))


def key_of(dataset: Dataset, values: Mapping[str, Any]) -> Key:
    """The key of the row with these values."""
    return tuple(values[name] for name in dataset.named_by)


def parse_rejected(dataset: Dataset, payloads: Sequence[str]) -> pa.Table:
    """Rejected entries as columns of the dataset, null where a value is missing or unreadable; no rules are applied."""
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
    rows = parse_rejected(dataset, payloads)
    pairs = zip(*(rows[name].to_pylist() for name in dataset.named_by), strict=True)
    return [None if None in pair else pair for pair in pairs]


def _entry_name(origin: str, entry: str) -> str:
    """The name of an entry at its origin: the rows of files are counted from 1."""
    return f"row {EntryId.parse(entry).seq + 1}" if origin in ("file", "vendor") else entry
