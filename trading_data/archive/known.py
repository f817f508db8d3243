"""What the archive holds for a batch before it is planned: which entries are archived, which rows it has, and since when.

Only queries, nothing that changes a row; `plan` and `order` decide.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.acceptance import Acceptance, RowOrigin, accepted_of
from trading_data.archive.confirmations import Confirmations
from trading_data.archive.ledger import ArchivedRange
from trading_data.archive.order import Accepted, Order, compare, has_hashes, is_complete, may_lie_between
from trading_data.archive.plan import HeldRow, KnownRows, ranks_of
from trading_data.archive.quarantine.rejects import from_row, ledger_name
from trading_data.archive.sql import statement
from trading_data.archive.stage import Stage
from trading_data.archive.versions import DAY_US, Indices, Mask, entry_hashes, microseconds
from trading_data.datasets.declaration import Dataset
from trading_data.intake.batch import Batch
from trading_data.live.journal import EntryId
from trading_data.live.ranges import EntryRange, by_journal, joined

Numbers = np.ndarray[Any, np.dtype[np.uint64]]


class ArchivedEntries:
    """Which entries of a batch are archived already, by the archive's ranges and hashes of journals."""

    def __init__(
        self,
        cursor: Cursor,
        dataset: Dataset,
        batch: Batch,
        ranges: Mapping[str, Sequence[EntryRange]],
        counts: Mapping[tuple[str, int], int] | None = None,
    ) -> None:
        """Query nothing yet.

        Args:
            cursor: in the transaction of the load, or of the reader.
            dataset: the batch's.
            batch: from any origin; only entries of journals are ever archived already.
            ranges: the archived ranges of the batch's journals, of all incarnations, by their names in the ledger.
            counts: how many entries of a journal and incarnation are archived. Without it no journal counts as complete.
        """
        self._cursor, self._dataset, self.batch, self._ranges = cursor, dataset, batch, ranges
        self._counts = counts or {}
        self.names = [ledger_name(part.journal) for part in batch.journals] if batch.origin == "journal" else []

    def of(self, journal: str) -> Sequence[EntryRange]:
        """The archived ranges of a journal, of all its incarnations."""
        return self._ranges.get(journal, ())

    def incomplete(self, rows: pa.Table) -> Mask:
        """Which rows are from a journal of which entries up to the end of this batch may still be unarchived after its load."""
        if not self.names:
            return np.zeros(rows.num_rows, dtype=bool)
        new = self.new(self.inside(self.batch.table))
        of_journal = np.array(
            [not self._is_complete(name, number) for name, number in zip(self.names, new, strict=True)]
        )
        of_row: Mask = of_journal[rows["_journal"].to_numpy()]
        return of_row

    def with_own(self, journal: str) -> Sequence[EntryRange]:
        """The joined ranges of the journal's incarnation in this batch, as they are once it is archived."""
        own = self._own[journal]
        return joined([*own, *(part for part in self.of(journal) if part.incarnation == own[0].incarnation)])

    def _is_complete(self, journal: str, new: int) -> bool:
        ranges = self.with_own(journal)
        return is_complete(ranges, self._counts.get((journal, ranges[0].incarnation), 0) + new)

    @cached_property
    def _own(self) -> Mapping[str, list[EntryRange]]:
        return by_journal((ledger_name(name), part) for name, part in self.batch.ranges)

    def new(self, repeated: Mask) -> list[int]:
        """The number of new entries in each range of the batch; `repeated` marks the archived ones."""
        codes = self.batch.table["_journal"].to_numpy()[~repeated]
        counts: list[int] = np.bincount(codes, minlength=len(self.names)).tolist()
        return counts

    def inside(self, rows: pa.Table, *, same: bool = True) -> Mask:
        """As `inside_ranges`, for this batch."""
        return inside_ranges(self.batch, rows, self._ranges, same=same)

    def recognised(self, rows: pa.Table) -> Mask:
        """Which good rows lie in an archived range of any incarnation and have the hash of an entry archived there."""
        known = np.zeros(rows.num_rows, dtype=bool)
        inside = np.flatnonzero(self.inside(rows) | self.inside(rows, same=False))
        if not len(inside):
            return known
        candidates = rows.take(pa.array(inside))
        ms, seq = candidates["_ms"].to_numpy(), candidates["_seq"].to_numpy()
        of_row, hashes = candidates["_journal"].to_numpy(), entry_hashes(self._dataset, candidates)
        codes = {name: at for at, name in enumerate(self.names)}
        values = {"dataset": self._dataset.name, "first_ms": int(ms.min()), "last_ms": int(ms.max())}
        self._cursor.execute(statement("entry_hashes"), values)
        for journals, data in self._cursor.fetchall():
            start, kept = 0, np.frombuffer(data, "<u4")
            for journal in journals:
                stop = start + journal["count"]
                if journal["journal"] in codes:
                    part = EntryRange(
                        journal["incarnation"], EntryId.parse(journal["after"]), EntryId.parse(journal["last"])
                    )
                    here = (of_row == codes[journal["journal"]]) & _between(ms, seq, part)
                    known[inside[here]] |= np.isin(hashes[here], kept[start:stop])
                start = stop
        return known

    def unrecognisable(self, rows: pa.Table) -> Mask:
        """Which rows may be archived entries of an incarnation without hashes (archived by a release before 0.2)."""
        old = {name: [part for part in self.of(name) if not has_hashes(part.incarnation)] for name in self.names}
        if not any(old.values()):
            return np.zeros(rows.num_rows, dtype=bool)
        return inside_ranges(self.batch, rows, old) | inside_ranges(self.batch, rows, old, same=False)


def archived_entries(
    cursor: Cursor, dataset: Dataset, batch: Batch, archived: Mapping[str, Sequence[ArchivedRange]]
) -> ArchivedEntries:
    """The archived entries of a batch, by the archived ranges of its journals (by name in the ledger)."""
    counts = Counter[tuple[str, int]]()
    for name, parts in archived.items():
        for part in parts:
            counts[name, part.entries.incarnation] += part.count
    ranges = {name: [part.entries for part in parts] for name, parts in archived.items()}
    return ArchivedEntries(cursor, dataset, batch, ranges, counts)


def inside_ranges(
    batch: Batch, rows: pa.Table, ranges: Mapping[str, Sequence[EntryRange]], *, same: bool = True
) -> Mask:
    """Which entries lie in an archived range of their own incarnation of their journal, or (not `same`) of another one."""
    inside = np.zeros(rows.num_rows, dtype=bool)
    if not ranges or not rows.num_rows or batch.origin != "journal":
        return inside
    of_row = rows["_journal"].to_numpy()  # a batch has its entries journal by journal
    ms, seq = rows["_ms"].to_numpy(), rows["_seq"].to_numpy()
    for at, (journal, own) in enumerate(batch.ranges):
        for archived in ranges.get(ledger_name(journal), ()):
            overlaps = archived.after < own.last and archived.last > own.after
            if overlaps and (archived.incarnation == own.incarnation) is same:
                part = slice(*np.searchsorted(of_row, [at, at + 1]))
                inside[part] |= _between(ms[part], seq[part], archived)
    return inside


def known_rows(stage: Stage, entries: ArchivedEntries, acceptance: Acceptance, dropped: Mask) -> KnownRows:
    """What the archive holds for the good rows of a batch; rows that it may hold a version of are staged.

    Args:
        stage: the good rows.
        entries: the archived entries of the batch.
        acceptance: when and where the rows were accepted.
        dropped: which rows lie on a day that was dropped.
    """
    replayed = np.zeros(stage.rows.num_rows, dtype=bool)
    if dropped.any():  # the rows of these days are gone: only the hash is left
        replayed |= dropped & (entries.recognised(stage.rows) | entries.unrecognisable(stage.rows))
    free = stage.free()
    missing = free.copy()
    staged = np.flatnonzero(~free & ~dropped)
    held: dict[int, HeldRow] = {}
    taken: dict[str, set[int]] = {}
    if len(staged):
        stage.add(staged)
        absent, rows = stage.held()
        missing[absent] = True
        if not missing[staged].all():
            here = staged[~missing[staged]]
            held = _held(stage, entries, acceptance, _origins(rows))
            replayed |= _repeated(stage, entries, here, held)
            held |= _equal_to_replace(stage, entries, acceptance, here[~replayed[here] & ~np.isin(here, list(held))])
        if stage.dataset.identity is not None and (held or missing[staged].any()):
            taken = stage.taken([*staged[missing[staged]].tolist(), *held])
    return KnownRows(replayed, dropped, missing, held, taken)


def _repeated(stage: Stage, entries: ArchivedEntries, staged: Indices, held: Mapping[int, HeldRow]) -> Mask:
    """Which staged rows, whose key the archive holds, are entries that it has already.

    These are recognised and have the values of the row, of a revision or of an entry in quarantine. An id inside an archived range
    is no proof: the range may have been read after the entry was deleted from the journal, while this batch was away. Entries of an
    incarnation without hashes are recognised by their values alone.
    """
    known = entries.recognised(stage.rows) | entries.unrecognisable(stage.rows)
    repeated = np.zeros(len(known), dtype=bool)
    differs = np.isin(staged, list(held))
    equal = staged[~differs]
    repeated[equal] = known[equal]
    other = staged[differs]
    candidates = other[known[other]].tolist()
    revised = stage.revised(candidates)
    repeated[list(revised)] = True
    repeated[_in_quarantine(stage, entries.batch, [at for at in candidates if at not in revised])] = True
    return repeated


def _in_quarantine(stage: Stage, batch: Batch, positions: Sequence[int]) -> list[int]:
    """Which rows are in quarantine: they could not be ordered when they were loaded first."""
    if not positions:
        return []
    rejects = {at: from_row(batch, stage.dataset, stage.rows, at, "", "") for at in positions}
    values = {
        "dataset": stage.dataset.name,
        "journals": sorted({ledger_name(reject.journal) for reject in rejects.values()}),
        "entry_ids": [reject.entry_id for reject in rejects.values()],
    }
    stage.cursor.execute(
        "select journal, entry_id, digest from archive_quarantine where dataset = %(dataset)s and "
        "journal = any(%(journals)s) and entry_id = any(%(entry_ids)s)",
        values,
    )
    there = set(stage.cursor.fetchall())
    return [
        at for at, reject in rejects.items() if (ledger_name(reject.journal), reject.entry_id, reject.digest) in there
    ]


class _Origin(NamedTuple):
    """Where the archive's row for an entry came from, its source, and the time that it reports (µs since 1970)."""

    row: RowOrigin
    source: str
    reported_us: int


def _held(
    stage: Stage, entries: ArchivedEntries, acceptance: Acceptance, origins: Mapping[int, _Origin]
) -> dict[int, HeldRow]:
    orders = {at: order for at, (order, _) in _ordered(stage, entries, acceptance, origins).items()}
    ranks = ranks_of(stage.dataset, stage.rows)  # an entry may give way to the archive's row or to another of its batch
    kept = stage.kept([at for at, origin in origins.items() if ranks[at] > min(ranks.min(), _rank(stage, origin))])
    return {
        at: HeldRow(origin.row.batch_id, orders.get(at, Order.NEWER), origin.source, at in kept, origin.reported_us)
        for at, origin in origins.items()
    }


def _equal_to_replace(
    stage: Stage, entries: ArchivedEntries, acceptance: Acceptance, equal: Indices
) -> dict[int, HeldRow]:
    """The archive's rows that an entry with the same values has to replace, see `order.may_lie_between`."""
    behind = equal[entries.incomplete(stage.rows)[equal]].tolist()
    origins = _origins(stage.held(behind)[1]) if behind else {}
    return {
        at: HeldRow(origins[at].row.batch_id, Order.NEWER, origins[at].source, False, origins[at].reported_us)
        for at, (order, row) in _ordered(stage, entries, acceptance, origins, closely=True).items()
        if order is Order.NEWER and may_lie_between(row, acceptance.of(at), entries.with_own(acceptance.journal_of(at)))
    }


def _rank(stage: Stage, origin: _Origin) -> int:
    return stage.dataset.sources.rank(origin.source) if stage.dataset.sources else 0


def _origins(held: Iterable[tuple[Any, ...]]) -> dict[int, _Origin]:
    return {at: _Origin(RowOrigin(*origin), source, reported) for at, *origin, source, reported in held}


def _ordered(
    stage: Stage,
    entries: ArchivedEntries,
    acceptance: Acceptance,
    origins: Mapping[int, _Origin],
    *,
    closely: bool = False,
) -> dict[int, tuple[Order, Accepted]]:
    """Each row's order to the archive's row, and when and where that was accepted.

    Rows that are certainly newer are left out, unless `closely`.
    """
    if not origins:
        return {}
    confirmations = Confirmations(
        stage.cursor, stage.dataset, acceptance.first_us, by_journals=entries.batch.origin != "journal"
    )
    rows = {
        at: row
        for at, (row, *_) in origins.items()
        if closely or not acceptance.surely_after(at, max(row.last_us, confirmations.newest_us))
    }
    journals = {at: acceptance.journal_of(at) for at in rows}
    accepted = accepted_of(stage.cursor, [(rows[at], journals[at]) for at in rows])
    confirmed_us = _confirmed_until(stage, confirmations, origins, rows)
    out = {}
    for at, row_accepted, until in zip(rows, accepted, confirmed_us, strict=True):
        row = replace(row_accepted, confirmed_us=until)
        out[at] = compare(acceptance.of(at), row, entries.of(journals[at])), row
    return out


def _confirmed_until(
    stage: Stage, confirmations: Confirmations, origins: Mapping[int, _Origin], rows: Mapping[int, RowOrigin]
) -> list[int | None]:
    """When the archive's rows for some entries were last confirmed (`Confirmations.until`)."""
    dataset, positions = stage.dataset, np.array(list(rows), dtype=np.int64)
    times = microseconds(dataset, stage.rows)[positions]
    if dataset.identity is not None:
        times = np.array([origins[at].reported_us for at in rows], dtype=np.int64)
    named = stage.rows.select(list(dataset.named_by)).take(pa.array(positions))
    return confirmations.until(named, times // DAY_US, [row.batch_id for row in rows.values()])


def _between(ms: Numbers, seq: Numbers, entry_range: EntryRange) -> Mask:
    after_ms, after_seq = np.uint64(entry_range.after.ms), np.uint64(entry_range.after.seq)
    last_ms, last_seq = np.uint64(entry_range.last.ms), np.uint64(entry_range.last.seq)
    after = (ms > after_ms) | ((ms == after_ms) & (seq > after_seq))
    between: Mask = after & ((ms < last_ms) | ((ms == last_ms) & (seq <= last_seq)))
    return between
