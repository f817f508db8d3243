"""One row a key out of several tables: what the archive will show once all of it is loaded.

Belongs here: this rule, the same as the load's. Does not: reading.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from trading_data.archive.order import Accepted, Order, compare
from trading_data.archive.plan import ranks_of
from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.archive.versions import Indices, Mask, by_row, equal_to_previous, in_key_order
from trading_data.datasets.declaration import Dataset
from trading_data.live.ranges import EntryRange
from trading_data.reader.merge import Piece

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
