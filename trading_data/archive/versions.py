"""What the entries of a batch become, key by key: the first version, the last one, and those in between.

Entries are taken in the order of their acceptance. An entry equal to the one before it (with the same key) is unchanged;
one that differs replaces it. So the counts do not depend on how entries were cut into batches.

Belongs here: this reckoning, over whole columns. Does not: what the archive already holds (`archive.load`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets.declaration import Dataset

Indices = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Versions:
    """Positions in the batch's rows.

    `first` and `last` have one position a key, in the order of the keys. `superseded` are versions that a later entry of
    the same batch replaced, oldest first within a key; `repeats` those equal to the entry before them, and `replacing`
    those that replaced the entry before them.
    """

    first: Indices
    last: Indices
    superseded: Indices
    repeats: Indices
    replacing: Indices

    @property
    def later(self) -> Indices:
        """The last versions of those keys that have more than one entry."""
        several: Indices = self.last[self.first != self.last]
        return several


def versions(dataset: Dataset, rows: pa.Table, also: str | None = None) -> Versions:
    """Reckon the versions of every key in `rows`, which are in the order of their acceptance; `also` as in `key_order`."""
    order, same_key = key_order(dataset, rows, also)
    if not same_key.any():
        none = order[:0]
        return Versions(order, order, none, none, none)
    same_row = same_key & _equal_to_previous(dataset, rows, order)
    opens = ~same_key
    closes = np.append(opens[1:], True)
    changes = same_key & ~same_row
    superseded = np.append(changes[1:], False)
    return Versions(order[opens], order[closes], order[superseded], order[same_row], order[changes])


def key_order(dataset: Dataset, rows: pa.Table, also: str | None = None) -> tuple[Indices, Mask]:
    """The positions of the rows by key and then acceptance, and which of them have the key of the one before.

    `also` names a text column that is to be taken for a part of the key.
    """
    parts = [microseconds(dataset, rows), codes(rows[dataset.subject])]
    if also is not None:
        parts.insert(0, codes(rows[also]))
    order = np.lexsort(parts)
    same = np.zeros(len(order), dtype=bool)
    same[1:] = np.logical_and.reduce([part[order][1:] == part[order][:-1] for part in parts])
    return order, same


def microseconds(dataset: Dataset, rows: pa.Table) -> Indices:
    """The rows' times as microseconds since 1970."""
    times: Indices = rows[dataset.key[1]].cast(pa.int64()).to_numpy()
    return times


def codes(column: pa.ChunkedArray) -> Indices:
    """Texts as integers that order like the texts' UTF-8 bytes, which is how the archive orders them (collation C)."""
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    rank = np.empty(len(encoded.dictionary), dtype=np.int64)
    rank[pc.array_sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(rank))
    found: Indices = rank[encoded.indices.to_numpy()]
    return found


def _equal_to_previous(dataset: Dataset, rows: pa.Table, order: Indices) -> Mask:
    equal = np.ones(len(order), dtype=bool)
    for column in dataset.columns:
        if column.name in dataset.key:
            continue
        values = codes(rows[column.name]) if column.type in ("text", "decimal") else rows[column.name].to_numpy()
        values = values[order]
        equal[1:] &= values[1:] == values[:-1]
    return equal


def identity_conflicts(dataset: Dataset, rows: pa.Table, owners: dict[tuple[str, int], str]) -> list[tuple[int, str]]:
    """Rows whose key belongs to another identity: the archive's (`owners`), or that of the key's first entry.

    Returns:
        Position of the row and the identity that has the key, for each.
    """
    if dataset.identity is None or not rows.num_rows:
        return []
    order, same_key = key_order(dataset, rows)
    if not same_key.any() and not owners:
        return []
    subjects = rows[dataset.subject].to_pylist()
    identities = rows[dataset.identity].to_pylist()
    times = microseconds(dataset, rows)
    found = []
    owner = ""
    for at, continues in zip(order.tolist(), same_key.tolist(), strict=True):
        if not continues:
            owner = owners.get((subjects[at], int(times[at])), identities[at])
        if identities[at] != owner:
            found.append((at, owner))
    return found


def per_day(dataset: Dataset, rows: pa.Table, positions: Indices) -> dict[int, tuple[int, int, int]]:
    """Day number (since 1970) → how many of the rows at `positions` it has, and their first and last microsecond."""
    times = microseconds(dataset, rows)[positions]
    days = times // DAY_US
    found = {}
    for day in np.unique(days).tolist():
        of_day = times[days == day]
        found[int(day)] = (len(of_day), int(of_day.min()), int(of_day.max()))
    return found
