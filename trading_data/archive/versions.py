"""Rows by key and by day, over whole columns: their order, which are equal to the one before, how many a day has.

Belongs here: this arithmetic. Does not: what becomes of rows (`archive.plan`).
"""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets.declaration import Dataset

Indices = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

DAY_US = 86_400_000_000


def by_row(dataset: Dataset, rows: pa.Table) -> tuple[Indices, Mask]:
    """The positions of the entries by the row they are versions of and then acceptance, and which are of the row of the one before.

    Rows are in the order of their keys; where they have an identity, in any.
    """
    if dataset.identity is None:
        return _together([microseconds(dataset, rows), codes(rows[dataset.subject])])
    identities = encoded(rows[dataset.identity])
    if len(identities.dictionary) == rows.num_rows:
        return np.arange(rows.num_rows), np.zeros(rows.num_rows, dtype=bool)
    return _together([identities.indices.to_numpy(), encoded(rows[dataset.subject]).indices.to_numpy()])


def in_key_order(dataset: Dataset, rows: pa.Table) -> Indices:
    """The positions of the rows by subject and time, and where they have an identity by that."""
    parts = [microseconds(dataset, rows), codes(rows[dataset.subject])]
    if dataset.identity is not None:
        parts.insert(0, codes(rows[dataset.identity]))
    return np.lexsort(parts)


def _together(parts: list[Indices]) -> tuple[Indices, Mask]:
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
    found = encoded(column)
    rank = np.empty(len(found.dictionary), dtype=np.int64)
    rank[pc.array_sort_indices(found.dictionary).to_numpy()] = np.arange(len(rank))
    out: Indices = rank[found.indices.to_numpy()]
    return out


def encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Texts as a dictionary and the positions in it."""
    found = column.combine_chunks().dictionary_encode()
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def equal_to_previous(dataset: Dataset, rows: pa.Table, order: Indices) -> Mask:
    """Which rows, in this order, have the same values (but for what names the row) as the one before."""
    equal = np.ones(len(order), dtype=bool)
    for column in dataset.columns:
        if column.name in dataset.named_by:
            continue
        values = codes(rows[column.name]) if column.type in ("text", "decimal") else rows[column.name].to_numpy()
        values = values[order]
        equal[1:] &= values[1:] == values[:-1]
    return equal


def net_by_day(came: Indices, left: Indices) -> dict[int, int]:
    """Day number → how many more of the days `came` it is than of those that were `left`; without those of which it is as many."""
    days, which = np.unique(np.concatenate([came, left]), return_inverse=True)
    signs = np.concatenate([np.ones(len(came), dtype=np.int64), -np.ones(len(left), dtype=np.int64)])
    net = np.zeros(len(days), dtype=np.int64)
    np.add.at(net, which, signs)
    return {int(day): int(number) for day, number in zip(days, net, strict=True) if number}


def per_day(dataset: Dataset, rows: pa.Table, positions: Indices) -> dict[int, tuple[int, int, int]]:
    """Day number (since 1970) → how many of the rows at `positions` it has, and their first and last microsecond."""
    times = microseconds(dataset, rows)[positions]
    days = times // DAY_US
    found = {}
    for day in np.unique(days).tolist():
        of_day = times[days == day]
        found[int(day)] = (len(of_day), int(of_day.min()), int(of_day.max()))
    return found


Hashes = np.ndarray[Any, np.dtype[np.uint32]]
WideHashes = np.ndarray[Any, np.dtype[np.uint64]]

_START = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
"""The constants of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)."""


def entry_hashes(dataset: Dataset, rows: pa.Table) -> Hashes:
    """The hash of each row: of its entry id (`_ms`, `_seq`) and its values. Does not change from release to release."""
    return (wide_hashes(dataset, rows) >> np.uint64(32)).astype("<u4")


def wide_hashes(dataset: Dataset, rows: pa.Table) -> WideHashes:
    """The same in eight bytes, by which entries of many batches can be told apart."""
    out = np.full(rows.num_rows, _START, dtype=np.uint64)
    for name in ("_ms", "_seq"):
        out = mixed(out, rows[name].to_numpy())
    for column in dataset.columns:
        out = mixed(out, numbers(rows[column.name], column.type))
    return out


def mixed(hashes: WideHashes, values: WideHashes) -> WideHashes:
    """One number out of two, for each pair."""
    with np.errstate(over="ignore"):
        out = hashes ^ values
        out += _START
        out ^= out >> np.uint64(30)
        out *= _MULTIPLIERS[0]
        out ^= out >> np.uint64(27)
        out *= _MULTIPLIERS[1]
        out ^= out >> np.uint64(31)
    return out


def numbers(column: pa.ChunkedArray, kind: str) -> WideHashes:
    """A column, of a dataset's type, as eight bytes a value: times and floats as they are, texts as a hash."""
    if kind == "float":
        floats: WideHashes = (column.to_numpy() + 0.0).view(np.uint64)  # of both zeros the same
        return floats
    if kind == "time":
        times: WideHashes = column.cast(pa.int64()).to_numpy().view(np.uint64)
        return times
    texts = encoded(column)
    digests = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts.dictionary.to_pylist()]
    found: WideHashes = np.frombuffer(b"".join(digests), "<u8")[texts.indices.to_numpy()]
    return found
