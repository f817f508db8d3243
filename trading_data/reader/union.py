"""One row a key out of several tables in order of acceptance: what the archive will show once all of it is loaded.

Belongs here: this rule, the same as the load's. Does not: reading.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from trading_data.archive.sources import outranked
from trading_data.archive.versions import Indices, Mask, identity_conflicts, key_order
from trading_data.datasets.declaration import Dataset

_TIERS = ("archive", "live")


@dataclass(frozen=True)
class Piece:
    """Rows that are not in the archive yet, in the order of their acceptance: the dataset's columns.

    Those of a piece that is `behind` may add what is missing and replace nothing, as a load would have it: entries of a
    journal that went back, and entries retried from quarantine, of which only the load can tell.
    """

    rows: pa.Table
    behind: bool = False


def union(dataset: Dataset, archived: pa.Table, waiting: Sequence[Piece]) -> pa.Table:
    """The newest accepted row of each key, sorted by key, with the column `tier` (`live` or `archive`).

    Where a dataset has an identity, a key belongs to the identity that came first; rows of another are in quarantine or
    on their way there, and are not shown. Nor are rows that come after one of a better source.
    """
    tables = [archived, *(piece.rows for piece in waiting)]
    whole = pa.concat_tables(tables)
    part = np.repeat(np.arange(len(tables)), [table.num_rows for table in tables])
    behind = np.array([False, *(piece.behind for piece in waiting)])
    if behind[part].any():
        keep = ~_already_there(dataset, whole, part, behind)
        whole, part = whole.filter(pa.array(keep)), part[keep]
    keep = ~outranked(dataset, whole, {})
    keep[_of_another_identity(dataset, whole)] = False
    if not keep.all():
        whole, part = whole.filter(pa.array(keep)), part[keep]
    if whole.num_rows:
        order, same_key = key_order(dataset, whole)
        newest = order[np.append(~same_key[1:], True)]
        if len(newest) < len(order) or (order[1:] < order[:-1]).any():
            whole, part = whole.take(pa.array(newest)), part[newest]
    return whole.append_column("tier", pa.array(_TIERS, pa.string()).take(pa.array((part > 0).astype(np.int8))))


def _already_there(dataset: Dataset, whole: pa.Table, part: Indices, behind: Mask) -> Mask:
    """Rows of pieces that are behind, whose key an earlier table has."""
    order, same_key = key_order(dataset, whole)
    of_key = np.cumsum(~same_key) - 1
    first = part[order][~same_key][of_key]
    found = np.zeros(len(order), dtype=bool)
    found[order] = behind[part[order]] & (part[order] != first)
    return found


def _of_another_identity(dataset: Dataset, whole: pa.Table) -> list[int]:
    """Rows whose key belongs to another identity; only keys with several rows are looked at."""
    if dataset.identity is None or not whole.num_rows:
        return []
    order, same_key = key_order(dataset, whole)
    several = np.zeros(len(order), dtype=bool)
    several[order] = same_key | np.append(same_key[1:], False)
    positions = np.flatnonzero(several)
    found = identity_conflicts(dataset, whole.take(pa.array(positions)), {})
    return [int(positions[at]) for at, _ in found]
