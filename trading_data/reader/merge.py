"""What waits, in the order in which it will be loaded, without what the archive has.

Belongs here: which entries the archive has already, and which are in a journal and a batch. Does not: reading (`waiting`), and
what becomes of several rows of one key (`union`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.acceptance import Acceptance, bounds_of
from trading_data.archive.known import ArchivedEntries, inside_ranges
from trading_data.archive.order import Accepted, Order, compare
from trading_data.archive.plan import ranks_of
from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.archive.versions import (
    Indices,
    Mask,
    by_row,
    equal_to_previous,
    in_key_order,
    microseconds_of,
    wide_hashes,
)
from trading_data.datasets.declaration import Dataset
from trading_data.live.ranges import EntryRange, by_journal
from trading_data.reader.archive_queries import Range
from trading_data.reader.pending import NOT_KNOWN, PendingBatches, PendingRows
from trading_data.reader.watermarks import LedgerSnapshot

_ANY_MOMENT = Accepted(0, 2**62)
"""Of an entry retried from quarantine only the load can tell when it was accepted: it may add what is missing, and no more."""


@dataclass(frozen=True)
class Piece:
    """Rows that are not in the archive yet, in the order of their acceptance, and where they are from."""

    held: PendingRows

    @property
    def rows(self) -> pa.Table:
        """The dataset's columns."""
        return self.held.rows.select(list(self.held.dataset.names))

    @property
    def first_us(self) -> int:
        """When the first of the rows was accepted, as far as that is known: microseconds since 1970."""
        return microseconds_of(bounds_of(replace(self.held.head, table=self.held.rows))[0])

    def accepted(self, at: int) -> Accepted:
        """When and where a row was accepted."""
        held = self.held
        if held.head.origin == "quarantine":
            return _ANY_MOMENT
        found = Acceptance(held.dataset, held.head, held.rows.slice(at, 1), lambda _: ()).of(0)
        if held.live and found.entries is not None:
            # What is in the journal now comes after everything that was drained from it before, whatever its incarnation.
            found = replace(found, entries=found.entries._replace(incarnation=NOT_KNOWN))
        return found


def pieces(waiting: PendingBatches, cursor: Cursor | None, books: LedgerSnapshot | None, range_: Range) -> list[Piece]:
    """The good rows in a range that the archive does not have: of the batches in their order, then of the journals.

    All that is held where the archive cannot be asked (`books` None).
    """
    files = [
        held.of(range_)
        for file, held in waiting.files.items()
        if books is None or file.content_hash not in books.loaded
    ]
    anew = _made_anew(files)
    files = [
        _not_waiting(held, files[:at]) if anew.intersection(name for name, _ in held.head.ranges) else held
        for at, held in enumerate(files)
    ]
    live = [_not_waiting(held.of(range_), files) for held in waiting.live]
    found = [_not_archived(held, cursor, books) for held in [*files, *live]]
    return [Piece(held) for held in found if held.rows.num_rows]


def _made_anew(files: Sequence[PendingRows]) -> set[str]:
    """The journals of which entries of several incarnations wait."""
    numbers: dict[str, int] = {}
    parts = (pair for held in files for pair in held.head.ranges)
    return {name for name, part in parts if numbers.setdefault(name, part.incarnation) != part.incarnation}


def _not_waiting(held: PendingRows, files: Sequence[PendingRows]) -> PendingRows:
    """Without the entries that a batch in front holds: once that is loaded, they are repetitions."""
    ranges = by_journal((ledger_name(name), part) for other in files for name, part in other.head.ranges)
    known = inside_ranges(held.head, held.rows, ranges)
    again = np.flatnonzero(inside_ranges(held.head, held.rows, ranges, same=False) & ~known)
    if len(again):
        batches = [wide_hashes(other.dataset, other.rows) for other in files if other.head.origin == "journal"]
        hashes = wide_hashes(held.dataset, held.rows.take(pa.array(again)))
        known[again] = np.isin(hashes, np.concatenate(batches))
    return held.without(known) if known.any() else held


def _not_archived(held: PendingRows, cursor: Cursor | None, books: LedgerSnapshot | None) -> PendingRows:
    if books is None or cursor is None or not held.rows.num_rows:
        return held
    entries = ArchivedEntries(cursor, held.dataset, held.head, books.ranges)
    # What a journal holds inside an archived range was read by it; of a batch that is back that is not known.
    known = entries.inside(held.rows) if held.live else entries.unrecognisable(held.rows)
    if not known.all():
        known[~known] = entries.recognised(held.rows.filter(pa.array(~known)))
    return held.without(known) if known.any() else held


_TIERS = ("archive", "live")

Origins = Callable[[pa.Table], Sequence[Accepted]]
"""Asks when and where rows of the archive were accepted."""
Ranges = Callable[[str], Sequence[EntryRange]]
"""The archived ranges of a journal, by its name in the ledger."""


def union(dataset: Dataset, archived: pa.Table, waiting: Sequence[Piece], origins: Origins, ranges: Ranges) -> pa.Table:
    """The newest accepted version of each row, sorted by key, with the column `tier` (`live` or `archive`).

    Versions that come after one of a better source are not shown.
    """
    tables = [archived, *(piece.rows for piece in waiting)]
    whole = pa.concat_tables(tables)
    part = np.repeat(np.arange(len(tables)), [table.num_rows for table in tables])
    if whole.num_rows:
        chosen = _chosen(dataset, whole, _Parts(part, waiting, origins), ranges)
        if len(chosen) < len(part) or (chosen[1:] < chosen[:-1]).any():
            whole, part = whole.take(pa.array(chosen)), part[chosen]
    return whole.append_column("tier", pa.array(_TIERS, pa.string()).take(pa.array((part > 0).astype(np.int8))))


class _Parts:
    """When and where the rows of several tables were accepted: the archive's, which is asked once, and those of pieces."""

    def __init__(self, part: Indices, waiting: Sequence[Piece], origins: Origins) -> None:
        self.part, self._waiting, self._origins = part, waiting, origins
        self._starts = np.searchsorted(part, np.arange(len(waiting) + 1))
        self._archived: dict[int, Accepted] = {}

    def ask(self, whole: pa.Table, rows: Indices) -> None:
        """Ask the archive for its rows among these."""
        rows = rows[self.part[rows] == 0]
        if len(rows):
            self._archived = dict(zip(rows.tolist(), self._origins(whole.take(pa.array(rows))), strict=True))

    def accepted(self, at: int) -> Accepted:
        """Of a row that was asked for."""
        part = int(self.part[at])
        return self._archived[at] if part == 0 else self._waiting[part - 1].accepted(at - int(self._starts[part]))

    def before(self, at: int, journal: str) -> list[EntryRange]:
        """The ranges of a journal that will be archived before a row is: those of the batches in front of the row's."""
        batches = (piece.held for piece in self._waiting[: max(0, int(self.part[at]) - 1)])
        pairs = (pair for held in batches if not held.live for pair in held.head.ranges)
        return [one for name, one in pairs if ledger_name(name) == journal]


def _chosen(dataset: Dataset, whole: pa.Table, parts: _Parts, ranges: Ranges) -> Indices:
    """The positions of the rows that are shown, in the order of their keys."""
    if dataset.identity is not None and not parts.part.any():
        return in_key_order(dataset, whole)  # the archive alone has each row once
    order, same_row = by_row(dataset, whole)
    chosen = _winners(dataset, whole, (order, same_row), parts, ranges) if same_row.any() else order
    if dataset.identity is not None:
        chosen = chosen[in_key_order(dataset, whole.take(pa.array(chosen)))]
    return chosen


def _winners(dataset: Dataset, whole: pa.Table, by_key: tuple[Indices, Mask], parts: _Parts, ranges: Ranges) -> Indices:
    """The row of each key, in the order of the keys. Only keys whose rows differ are looked at one by one."""
    order, same_key = by_key
    of_key = np.cumsum(~same_key) - 1
    winners = order[~same_key]
    differing = np.unique(of_key[same_key & ~equal_to_previous(dataset, whole, order)])
    if not len(differing):
        return winners
    rows = order[np.isin(of_key, differing)]
    parts.ask(whole, rows)
    chosen = whole.take(pa.array(rows))
    ranks = ranks_of(dataset, chosen).tolist()
    subjects = chosen[dataset.subject].to_pylist()
    keys = of_key[np.isin(of_key, differing)].tolist()
    shown = -1
    for place, key in enumerate(keys):
        if place == 0 or key != keys[place - 1]:
            shown = place
        elif ranks[place] <= ranks[shown]:
            journal = ledger_name(dataset.journal_of(subjects[place]))
            known = [*ranges(journal), *parts.before(int(rows[place]), journal)]
            if ranks[place] < ranks[shown] or _is_newer(parts, int(rows[place]), int(rows[shown]), known):
                shown = place
        winners[key] = rows[shown]
    return winners


def _is_newer(parts: _Parts, row: int, shown: int, archived: Sequence[EntryRange]) -> bool:
    """Whether a row was accepted after the one that is shown so far. Rows of one table are in the order of acceptance."""
    if parts.part[row] == parts.part[shown]:
        return True
    return compare(parts.accepted(row), parts.accepted(shown), archived) is Order.NEWER
