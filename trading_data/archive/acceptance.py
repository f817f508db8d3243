"""When and where the entries of a batch were accepted. `order` compares what this module reads from a batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.order import MILLISECOND_US, Accepted, journal_moment
from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.archive.sql import statement
from trading_data.archive.versions import Indices, microseconds_of, moment_of
from trading_data.datasets.declaration import Dataset
from trading_data.intake.batch import Batch
from trading_data.live.journal import EntryId
from trading_data.live.ranges import EntryRange


class Acceptance:
    """The acceptance of the good rows of a batch, by position."""

    def __init__(
        self,
        dataset: Dataset,
        batch: Batch,
        rows: pa.Table,
        archived: Callable[[str], Sequence[EntryRange]],
        retried: Mapping[int, Accepted] | None = None,
    ) -> None:
        """Compute nothing yet.

        Args:
            dataset: the batch's.
            batch: where the rows are from.
            rows: its good rows.
            archived: returns the archived ranges of a journal, by its name in the ledger.
            retried: for entries from quarantine, when each was accepted first, by position in the batch.
        """
        self._dataset, self._batch, self._rows, self._retried = dataset, batch, rows, retried
        self._archived = archived
        self._drained = microseconds_of(batch.created)

    @property
    def first_us(self) -> int:
        """When the first of the rows was accepted: microseconds since 1970."""
        if self._retried is not None:
            return min(accepted.first_us for accepted in self._retried.values())
        return microseconds_of(bounds_of(self._batch)[0])

    def of(self, at: int) -> Accepted:
        """When and where a row was accepted."""
        code = self._rows["_journal"][at].as_py()
        if self._retried is not None:
            return self._retried[code]
        batch = self._batch
        if batch.origin != "journal":
            return Accepted(*_outside_journals(batch), sampled=batch.origin == "latest")
        entry = EntryId(self._rows["_ms"][at].as_py(), self._rows["_seq"][at].as_py())
        journal = batch.journals[code]
        return from_journal(ledger_name(journal.journal), journal.incarnation, entry, self._drained)

    def last_us(self, positions: Indices) -> Indices:
        """The latest moment at which each row can have been accepted: microseconds since 1970."""
        if self._retried is not None:
            codes = self._rows["_journal"].to_numpy()[positions].tolist()
            return np.array([self._retried[code].last_us for code in codes], dtype=np.int64)
        if self._batch.origin != "journal":
            return np.full(len(positions), _outside_journals(self._batch)[1], dtype=np.int64)
        ms = self._rows["_ms"].to_numpy()[positions].astype(np.uint64)
        first = np.minimum(ms, np.uint64(self._drained // MILLISECOND_US)).astype(np.int64) * MILLISECOND_US
        last: Indices = np.minimum(first + MILLISECOND_US - 1, self._drained)
        return last

    def journal_of(self, at: int) -> str:
        """The journal for entries of the row's subject, as the ledger names it."""
        return ledger_name(self._dataset.journal_of(self._rows[self._dataset.subject][at].as_py()))

    def surely_after(self, at: int, moment_us: int) -> bool:
        """Whether a row is certainly newer than any row accepted at or before a moment (µs since 1970)."""
        if self._retried is not None:
            return False
        if self._batch.origin != "journal":
            return _outside_journals(self._batch)[0] > moment_us
        ms, code = self._ids[at]
        return moment_us < ms * MILLISECOND_US <= self._drained and self._one_incarnation[code]

    @cached_property
    def _one_incarnation(self) -> list[bool]:
        return [
            all(part.incarnation == journal.incarnation for part in self._archived(ledger_name(journal.journal)))
            for journal in self._batch.journals
        ]

    @cached_property
    def _ids(self) -> list[tuple[int, int]]:
        return list(zip(self._rows["_ms"].to_pylist(), self._rows["_journal"].to_pylist(), strict=True))


@dataclass(frozen=True)
class RowOrigin:
    """A row's batch in the archive: its id, its origin, and the first and last moment of its acceptance (µs since 1970)."""

    batch_id: int
    origin: str
    first_us: int
    last_us: int


def accepted_of(cursor: Cursor, rows: Sequence[tuple[RowOrigin, str]]) -> list[Accepted]:
    """The acceptance of archived rows, each given with the journal of its subject (as the ledger names it)."""
    wanted = {(row.batch_id, journal) for row, journal in rows if row.origin == "journal"}
    parts: dict[tuple[int, str], tuple[EntryRange, EntryId]] = {}
    if wanted:
        batches, journals = (sorted(set(column)) for column in zip(*wanted, strict=True))
        cursor.execute(statement("batch_ranges"), {"batches": batches, "journals": journals})
        for batch_id, journal, incarnation, after, last, first in cursor.fetchall():
            entry_range = EntryRange(incarnation, EntryId.parse(after), EntryId.parse(last))
            parts[batch_id, journal] = entry_range, EntryId.parse(first or last)
    return [_accepted(row, journal, parts.get((row.batch_id, journal))) for row, journal in rows]


def _accepted(row: RowOrigin, journal: str, part: tuple[EntryRange, EntryId] | None) -> Accepted:
    """The moments of the batch's part of the journal, by its entry ids, limited to those of the batch."""
    if part is None:
        return Accepted(row.first_us, row.last_us, sampled=row.origin == "latest")
    first, last = part[1].ms * MILLISECOND_US, (part[0].last.ms + 1) * MILLISECOND_US - 1
    return Accepted(
        max(row.first_us, min(first, row.last_us)), min(row.last_us, max(last, row.first_us)), journal, part[0]
    )


def bounds_of(batch: Batch) -> tuple[datetime, datetime]:
    """When the first and the last entry of a batch were accepted, as far as known."""
    if batch.origin not in ("journal", "quarantine") or not batch.table.num_rows:
        first, last = _outside_journals(batch)
        return moment_of(first), moment_of(last)
    ms = batch.table["_ms"].to_numpy()
    drained = microseconds_of(batch.created)
    return (
        moment_of(journal_moment(int(ms.min()), drained)[0]),
        moment_of(journal_moment(int(ms.max()), drained)[1]),
    )


def from_journal(journal: str, incarnation: int, entry: EntryId, drained_us: int) -> Accepted:
    """The acceptance of one entry of a journal."""
    first, last = journal_moment(entry.ms, drained_us)
    return Accepted(first, last, journal, EntryRange(incarnation, entry.preceding(), entry))


def _outside_journals(batch: Batch) -> tuple[int, int]:
    made = microseconds_of(batch.created)
    return (made if batch.since is None else min(made, microseconds_of(batch.since))), made
