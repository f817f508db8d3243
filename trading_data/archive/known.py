"""What the archive knows of a batch before it is planned: which entries it has, which keys it holds, and since when.

Belongs here: asking, and nothing that changes a row. Does not: deciding (`archive.plan`, `archive.order`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.acceptance import Acceptance, RowOrigin, accepted_of
from trading_data.archive.order import Accepted, Order, compare, has_hashes, is_whole, may_lie_between
from trading_data.archive.plan import HeldRow, KnownRows
from trading_data.archive.quarantine.rejects import from_row, ledger_name
from trading_data.archive.said_again import SaidAgain
from trading_data.archive.sql import statement
from trading_data.archive.stage import Stage
from trading_data.archive.versions import DAY_US, Indices, Mask, entry_hashes, microseconds
from trading_data.datasets.declaration import Dataset
from trading_data.intake.batch import Batch
from trading_data.live.journal import EntryId
from trading_data.live.ranges import EntryRange, by_journal, joined

Numbers = np.ndarray[Any, np.dtype[np.uint64]]


class ArchivedEntries:
    """Which entries of a batch from journals are archived already, by the ranges and the hashes that the archive keeps."""

    def __init__(
        self,
        cursor: Cursor,
        dataset: Dataset,
        batch: Batch,
        ranges: Mapping[str, Sequence[EntryRange]],
        counts: Mapping[tuple[str, int], int] | None = None,
    ) -> None:
        """`ranges` are the archived ones of the batch's journals, of all incarnations, by the names in the ledger.

        `counts` says how many entries are archived of a journal and incarnation; without it no journal is known to be whole.
        """
        self._cursor, self._dataset, self.batch, self._ranges = cursor, dataset, batch, ranges
        self._counts = counts or {}
        self.names = [ledger_name(one.journal) for one in batch.journals] if batch.origin == "journal" else []

    def of(self, journal: str) -> Sequence[EntryRange]:
        """The archived ranges of a journal, of all its incarnations."""
        return self._ranges.get(journal, ())

    def not_whole(self, rows: pa.Table) -> Mask:
        """Which rows are entries of a journal of which not every entry up to the end of this batch will be archived."""
        if not self.names:
            return np.zeros(rows.num_rows, dtype=bool)
        new = self.new(self.inside(self.batch.table))
        of_journal = np.array([not self._is_whole(name, number) for name, number in zip(self.names, new, strict=True)])
        found: Mask = of_journal[rows["_journal"].to_numpy()]
        return found

    def with_own(self, journal: str) -> Sequence[EntryRange]:
        """The ranges of this incarnation of a journal, joined, as they will be once the batch is archived."""
        own = self._own[journal]
        return joined([*own, *(one for one in self.of(journal) if one.incarnation == own[0].incarnation)])

    def _is_whole(self, journal: str, new: int) -> bool:
        ranges = self.with_own(journal)
        return is_whole(ranges, self._counts.get((journal, ranges[0].incarnation), 0) + new)

    @cached_property
    def _own(self) -> Mapping[str, list[EntryRange]]:
        return by_journal((ledger_name(name), one) for name, one in self.batch.ranges)

    def new(self, again: Mask) -> list[int]:
        """How many entries of each range of the batch are not archived yet, if these entries of it are."""
        codes = self.batch.table["_journal"].to_numpy()[~again]
        counts: list[int] = np.bincount(codes, minlength=len(self.names)).tolist()
        return counts

    def inside(self, rows: pa.Table, *, same: bool = True) -> Mask:
        """As `inside_ranges`, of this batch."""
        return inside_ranges(self.batch, rows, self._ranges, same=same)

    def recognised(self, rows: pa.Table) -> Mask:
        """Which good rows lie in an archived range, of any incarnation, and have the hash of an entry that was archived there."""
        found = np.zeros(rows.num_rows, dtype=bool)
        again = np.flatnonzero(self.inside(rows) | self.inside(rows, same=False))
        if not len(again):
            return found
        candidates = rows.take(pa.array(again))
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
                    found[again[here]] |= np.isin(hashes[here], kept[start:stop])
                start = stop
        return found

    def unrecognisable(self, rows: pa.Table) -> Mask:
        """Which rows may be entries of an incarnation of which no hashes are kept."""
        old = {name: [one for one in self.of(name) if not has_hashes(one.incarnation)] for name in self.names}
        if not any(old.values()):
            return np.zeros(rows.num_rows, dtype=bool)
        return inside_ranges(self.batch, rows, old) | inside_ranges(self.batch, rows, old, same=False)


def inside_ranges(
    batch: Batch, rows: pa.Table, ranges: Mapping[str, Sequence[EntryRange]], *, same: bool = True
) -> Mask:
    """Which entries lie in an archived range of their own incarnation of their journal, or (not `same`) of another one."""
    found = np.zeros(rows.num_rows, dtype=bool)
    if not ranges or not rows.num_rows or batch.origin != "journal":
        return found
    of_row = rows["_journal"].to_numpy()  # a batch has its entries journal by journal
    ms, seq = rows["_ms"].to_numpy(), rows["_seq"].to_numpy()
    for at, (journal, own) in enumerate(batch.ranges):
        for one in ranges.get(ledger_name(journal), ()):
            overlaps = one.after < own.last and one.last > own.after
            if overlaps and (one.incarnation == own.incarnation) is same:
                part = slice(*np.searchsorted(of_row, [at, at + 1]))
                found[part] |= _between(ms[part], seq[part], one)
    return found


def ask(stage: Stage, entries: ArchivedEntries, acceptance: Acceptance, dropped: Mask) -> KnownRows:
    """What the archive knows of the rows of a stage; those that are not free are staged.

    Args:
        stage: the good rows of the batch.
        entries: of the batch.
        acceptance: when the rows were accepted.
        dropped: which rows lie on a day that was dropped.
    """
    replayed = np.zeros(stage.rows.num_rows, dtype=bool)
    if dropped.any():  # their rows have gone: the hash alone tells
        replayed |= dropped & (entries.recognised(stage.rows) | entries.unrecognisable(stage.rows))
    free = stage.free()
    missing = free.copy()
    staged = np.flatnonzero(~free & ~dropped)
    held: dict[int, HeldRow] = {}
    taken: dict[str, set[int]] = {}
    if len(staged):
        stage.add(staged)
        missing[stage.missing()] = True
        if not missing[staged].all():
            here = staged[~missing[staged]]
            held = _held(stage, entries, acceptance)
            replayed |= _come_again(stage, entries, here, held)
            held |= _taken_over(stage, entries, acceptance, here[~replayed[here] & ~np.isin(here, list(held))])
        if stage.dataset.identity is not None and (held or missing[staged].any()):
            taken = stage.taken([*staged[missing[staged]].tolist(), *held])
    return KnownRows(replayed, dropped, missing, held, taken)


def _come_again(stage: Stage, entries: ArchivedEntries, staged: Indices, held: Mapping[int, HeldRow]) -> Mask:
    """Which staged rows, whose key the archive holds, are entries that it has already.

    Those that are recognised, and say what the row, a revision or an entry in quarantine says. That an id lies in an archived range
    is no proof: somebody may have deleted the entry before it was read, while its batch was away. Where nothing can be recognised,
    because an earlier release archived it, what it says has to do.
    """
    known = entries.recognised(stage.rows) | entries.unrecognisable(stage.rows)
    found = np.zeros(len(known), dtype=bool)
    differs = np.isin(staged, list(held))
    equal = staged[~differs]
    found[equal] = known[equal]
    other = staged[differs]
    asked = other[known[other]].tolist()
    revised = stage.revised(asked)
    found[list(revised)] = True
    found[_in_quarantine(stage, entries.batch, [at for at in asked if at not in revised])] = True
    return found


def _in_quarantine(stage: Stage, batch: Batch, positions: Sequence[int]) -> list[int]:
    """Which rows lie in quarantine, whole: they could not be ordered when they came for the first time."""
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


def _held(stage: Stage, entries: ArchivedEntries, acceptance: Acceptance) -> dict[int, HeldRow]:
    found = _origins(stage.held())
    orders = {at: order for at, (order, _) in _ordered(stage, entries, acceptance, found).items()}
    ranks = stage.dataset.sources
    worse = []
    if ranks is not None:
        sources = stage.rows["source"].take(pa.array(list(found), pa.int64())).to_pylist()
        worse = [
            at for at, source in zip(found, sources, strict=True) if ranks.rank(source) > ranks.rank(found[at].source)
        ]
    kept = stage.kept(worse)
    return {
        at: HeldRow(one.row.batch_id, orders.get(at, Order.NEWER), one.source, at in kept, one.said)
        for at, one in found.items()
    }


def _taken_over(stage: Stage, entries: ArchivedEntries, acceptance: Acceptance, equal: Indices) -> dict[int, HeldRow]:
    """The rows of the archive whose place has to be taken by an entry that says the same, see `order.may_lie_between`."""
    behind = equal[entries.not_whole(stage.rows)[equal]].tolist()
    found = _origins(stage.held(behind)) if behind else {}
    return {
        at: HeldRow(found[at].row.batch_id, Order.NEWER, found[at].source, False, found[at].said)
        for at, (order, row) in _ordered(stage, entries, acceptance, found, closely=True).items()
        if order is Order.NEWER and may_lie_between(row, acceptance.of(at), entries.with_own(acceptance.journal_of(at)))
    }


class _Origin(NamedTuple):
    """Where the archive's row in the place of an entry came from, its source, and the moment that it says (µs)."""

    row: RowOrigin
    source: str
    said: int


def _origins(held: Iterable[tuple[Any, ...]]) -> dict[int, _Origin]:
    return {at: _Origin(RowOrigin(*origin), source, said) for at, *origin, source, said in held}


def _ordered(
    stage: Stage,
    entries: ArchivedEntries,
    acceptance: Acceptance,
    found: Mapping[int, _Origin],
    *,
    closely: bool = False,
) -> dict[int, tuple[Order, Accepted]]:
    """Where rows stand to the archive's, and when and where those were accepted.

    Those that are newer for certain are left out, unless all are to be looked at closely.
    """
    if not found:
        return {}
    again = SaidAgain(stage.cursor, stage.dataset, acceptance.first_us, by_journals=entries.batch.origin != "journal")
    rows = {
        at: row
        for at, (row, *_) in found.items()
        if closely or not acceptance.surely_after(at, max(row.last_us, again.newest_us))
    }
    journals = {at: acceptance.journal_of(at) for at in rows}
    accepted = accepted_of(stage.cursor, [(rows[at], journals[at]) for at in rows])
    again_us = _said_again(stage, again, found, rows)
    out = {}
    for at, one, until in zip(rows, accepted, again_us, strict=True):
        row = replace(one, again_us=until)
        out[at] = compare(acceptance.of(at), row, entries.of(journals[at])), row
    return out


def _said_again(
    stage: Stage, again: SaidAgain, found: Mapping[int, _Origin], rows: Mapping[int, RowOrigin]
) -> list[int | None]:
    """Until when the archive's rows in the places of some entries were said again."""
    dataset, at = stage.dataset, np.array(list(rows), dtype=np.int64)
    times = microseconds(dataset, stage.rows)[at]
    if dataset.identity is not None:
        times = np.array([found[row].said for row in rows], dtype=np.int64)
    named = stage.rows.select(list(dataset.named_by)).take(pa.array(at))
    return again.until(named, times // DAY_US, [row.batch_id for row in rows.values()])


def _between(ms: Numbers, seq: Numbers, entry_range: EntryRange) -> Mask:
    after_ms, after_seq = np.uint64(entry_range.after.ms), np.uint64(entry_range.after.seq)
    last_ms, last_seq = np.uint64(entry_range.last.ms), np.uint64(entry_range.last.seq)
    after = (ms > after_ms) | ((ms == after_ms) & (seq > after_seq))
    found: Mask = after & ((ms < last_ms) | ((ms == last_ms) & (seq <= last_seq)))
    return found
