"""One answer from both tiers: pending rows that are not archived yet, in the order of their load; then one row per key.

Belongs here: which entries the archive has already, which are both in a journal and in a batch, and which version of a row
wins. Does not: reading (`pending`, `archive_queries`).
"""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

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
    wide_hashes,
)
from trading_data.datasets.declaration import Dataset
from trading_data.live.ranges import EntryRange, by_journal
from trading_data.reader.archive_queries import LedgerSnapshot
from trading_data.reader.pending import PendingBatches, PendingRows
from trading_data.reader.query import Range

_TIERS = ("archive", "live")
AcceptanceOf = Callable[[pa.Table], Sequence[Accepted]]
"""Looks up when and where rows of the archive were accepted."""
RangesOf = Callable[[str], Sequence[EntryRange]]
"""Looks up the archived ranges of a journal by its name in the ledger."""


def in_load_order(
    pending: PendingBatches, cursor: Cursor | None, ledger: LedgerSnapshot | None, range_: Range
) -> list[PendingRows]:
    """The good rows in a range that the archive does not have: of the batches in their order, then of the journals.

    Without a ledger (the archive is away) these are all rows held.
    """
    files = [
        held.of(range_)
        for file, held in pending.files.items()
        if ledger is None or file.content_hash not in ledger.loaded
    ]
    replaced = _replaced_journals(files)
    files = [
        _not_in_batches(held, files[:position]) if replaced.intersection(name for name, _ in held.head.ranges) else held
        for position, held in enumerate(files)
    ]
    live = [_not_in_batches(held.of(range_), files) for held in pending.live]
    parts = [_not_archived(held, cursor, ledger) for held in [*files, *live]]
    return [held for held in parts if held.rows.num_rows]


def _replaced_journals(files: Sequence[PendingRows]) -> set[str]:
    """The journals of which entries of several incarnations are pending."""
    numbers: dict[str, int] = {}
    ranges = (pair for held in files for pair in held.head.ranges)
    return {name for name, part in ranges if numbers.setdefault(name, part.incarnation) != part.incarnation}


def _not_in_batches(held: PendingRows, files: Sequence[PendingRows]) -> PendingRows:
    """Without the entries of batches that are loaded before: they will be repetitions then."""
    ranges = by_journal((ledger_name(name), part) for other in files for name, part in other.head.ranges)
    known = inside_ranges(held.head, held.rows, ranges)
    again = np.flatnonzero(inside_ranges(held.head, held.rows, ranges, same=False) & ~known)
    if len(again):
        batches = [wide_hashes(other.dataset, other.rows) for other in files if other.head.origin == "journal"]
        hashes = wide_hashes(held.dataset, held.rows.take(pa.array(again)))
        known[again] = np.isin(hashes, np.concatenate(batches))
    return held.without(known) if known.any() else held


def _not_archived(held: PendingRows, cursor: Cursor | None, ledger: LedgerSnapshot | None) -> PendingRows:
    if ledger is None or cursor is None or not held.rows.num_rows:
        return held
    entries = ArchivedEntries(cursor, held.dataset, held.head, ledger.ranges)
    # A journal's entry inside an archived range was read with that range. Of a batch that is back this is not certain.
    known = entries.inside(held.rows) if held.live else entries.unrecognisable(held.rows)
    if not known.all():
        known[~known] = entries.recognised(held.rows.filter(pa.array(~known)))
    return held.without(known) if known.any() else held


def merge(
    dataset: Dataset,
    archived: pa.Table,
    pending: Sequence[PendingRows],
    acceptance_of: AcceptanceOf,
    ranges_of: RangesOf,
) -> pa.Table:
    """The newest accepted version of each row, sorted by key, with the column `tier` (`live` or `archive`).

    A version that comes after one of a better source is not shown.
    """
    tables = [archived, *(held.table for held in pending)]
    versions = pa.concat_tables(tables)
    part = np.repeat(np.arange(len(tables)), [table.num_rows for table in tables])
    if versions.num_rows:
        shown = _shown(dataset, versions, _Parts(part, pending, acceptance_of), ranges_of)
        if len(shown) < len(part) or (shown[1:] < shown[:-1]).any():
            versions, part = versions.take(pa.array(shown)), part[shown]
    return versions.append_column("tier", pa.array(_TIERS, pa.string()).take(pa.array((part > 0).astype(np.int8))))


class _Parts:
    """Which table each version is from (0: the archive's), and when it was accepted; the archive is queried once."""

    def __init__(self, part: Indices, pending: Sequence[PendingRows], acceptance_of: AcceptanceOf) -> None:
        self.part, self._pending, self._acceptance_of = part, pending, acceptance_of
        self._starts = np.searchsorted(part, np.arange(len(pending) + 1))
        self._archived: dict[int, Accepted] = {}

    def fetch(self, versions: pa.Table, rows: Indices) -> None:
        """Look up the acceptance of those of `rows` that are the archive's."""
        rows = rows[self.part[rows] == 0]
        if len(rows):
            accepted = self._acceptance_of(versions.take(pa.array(rows)))
            self._archived = dict(zip(rows.tolist(), accepted, strict=True))

    def accepted(self, row: int) -> Accepted:
        """The acceptance of a row that was fetched."""
        part = int(self.part[row])
        return self._archived[row] if part == 0 else self._pending[part - 1].accepted(row - int(self._starts[part]))

    def ranges_before(self, row: int, journal: str) -> list[EntryRange]:
        """The ranges of a journal that will be archived before a row is: those of the batches in front of the row's."""
        batches = (held for held in self._pending[: max(0, int(self.part[row]) - 1)] if not held.live)
        return [part for held in batches for name, part in held.head.ranges if ledger_name(name) == journal]


def _shown(dataset: Dataset, versions: pa.Table, parts: _Parts, ranges_of: RangesOf) -> Indices:
    """The positions of the versions that are shown, in the order of their keys."""
    if dataset.identity is not None and not parts.part.any():
        return in_key_order(dataset, versions)  # the archive alone has each row once
    order, same_row = by_row(dataset, versions)
    shown = _winners(dataset, versions, (order, same_row), parts, ranges_of) if same_row.any() else order
    if dataset.identity is not None:
        shown = shown[in_key_order(dataset, versions.take(pa.array(shown)))]
    return shown


def _winners(
    dataset: Dataset, versions: pa.Table, by_key: tuple[Indices, Mask], parts: _Parts, ranges_of: RangesOf
) -> Indices:
    """The winning version of each row, in the order of the rows. Only rows whose versions differ cost a loop."""
    order, same_key = by_key
    of_key = np.cumsum(~same_key) - 1
    winners = order[~same_key]
    differing = np.unique(of_key[same_key & ~equal_to_previous(dataset, versions, order)])
    if not len(differing):
        return winners
    rows = order[np.isin(of_key, differing)]
    parts.fetch(versions, rows)
    candidates = versions.take(pa.array(rows))
    ranks = ranks_of(dataset, candidates).tolist()
    subjects = candidates[dataset.subject].to_pylist()
    keys = of_key[np.isin(of_key, differing)].tolist()
    shown = -1
    for place, key in enumerate(keys):
        if place == 0 or key != keys[place - 1]:
            shown = place
        elif ranks[place] <= ranks[shown]:
            journal = ledger_name(dataset.journal_of(subjects[place]))
            known = [*ranges_of(journal), *parts.ranges_before(int(rows[place]), journal)]
            if ranks[place] < ranks[shown] or _is_newer(parts, int(rows[place]), int(rows[shown]), known):
                shown = place
        winners[key] = rows[shown]
    return winners


def _is_newer(parts: _Parts, row: int, shown: int, archived: Sequence[EntryRange]) -> bool:
    """Whether a row was accepted after the one shown so far. Rows of one table are in the order of acceptance."""
    if parts.part[row] == parts.part[shown]:
        return True
    return compare(parts.accepted(row), parts.accepted(shown), archived) is Order.NEWER
