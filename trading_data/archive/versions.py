"""Arithmetic on whole columns: rows by key and by day, equal rows, hashes of entries, times as numbers and back.

An entry's hash recognises it when it arrives again in another incarnation of its journal. A journal that was restored is read again
from its beginning: what it still holds are the same entries, with the same ids and content; all others are new. Four bytes for each
entry are kept. An entry is looked up only among those of its journal in the one batch whose range holds its id, and is recognised
only if the archive also knows its values. So a wrong match can make a count wrong, but never loses an entry.
"""

import hashlib
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets.declaration import Dataset

Indices = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Hashes = np.ndarray[Any, np.dtype[np.uint32]]
WideHashes = np.ndarray[Any, np.dtype[np.uint64]]

DAY_US = 86_400_000_000
_EPOCH, _EPOCH_DAY = datetime(1970, 1, 1, tzinfo=UTC), date(1970, 1, 1)
_START = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
"""The constants of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)."""


def microseconds_of(moment: datetime) -> int:
    """A moment as microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(microseconds: int) -> datetime:
    """Microseconds since 1970 as a moment, aware UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def day_of(number: int) -> date:
    """Days since 1970 as a day."""
    return _EPOCH_DAY + timedelta(days=int(number))


def number_of(day: date) -> int:
    """A day as days since 1970."""
    return (day - _EPOCH_DAY).days


def by_row(dataset: Dataset, rows: pa.Table) -> tuple[Indices, Mask]:
    """Positions of entries by row and then acceptance, and which of them belong to the same row as the position before.

    Rows are in the order of their keys; rows with an identity in any order.
    """
    if dataset.identity is None:
        return _together([microseconds(dataset, rows), codes(rows[dataset.subject])])
    identities = dictionary_of(rows[dataset.identity])
    if len(identities.dictionary) == rows.num_rows:
        return np.arange(rows.num_rows), np.zeros(rows.num_rows, dtype=bool)
    return _together([identities.indices.to_numpy(), dictionary_of(rows[dataset.subject]).indices.to_numpy()])


def in_key_order(dataset: Dataset, rows: pa.Table) -> Indices:
    """Positions of rows by subject, time and, where they have one, identity."""
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
    """Texts as integers in the order of their UTF-8 bytes, as the archive orders them (collation C)."""
    texts = dictionary_of(column)
    rank = np.empty(len(texts.dictionary), dtype=np.int64)
    rank[pc.array_sort_indices(texts.dictionary).to_numpy()] = np.arange(len(rank))
    of_row: Indices = rank[texts.indices.to_numpy()]
    return of_row


def dictionary_of(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Texts as a dictionary and positions in it."""
    texts = column.combine_chunks().dictionary_encode()
    return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts


def equal_to_previous(dataset: Dataset, rows: pa.Table, order: Indices) -> Mask:
    """Which rows, in this order, have the same values as the row before; columns that name the row do not count."""
    equal = np.ones(len(order), dtype=bool)
    for column in dataset.columns:
        if column.name in dataset.named_by:
            continue
        values = codes(rows[column.name]) if column.type in ("text", "decimal") else rows[column.name].to_numpy()
        values = values[order]
        equal[1:] &= values[1:] == values[:-1]
    return equal


def distinct(values: Any) -> Any:
    """The distinct values, sorted; faster than `np.unique`, which hashes them first."""
    ordered = np.sort(values)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def net_by_day(came: Indices, left: Indices) -> dict[int, int]:
    """By day, how many more times it is in `came` than in `left`; days without a difference are left out."""
    net = Counter[int]()
    for days, sign in ((came, 1), (left, -1)):
        for day, number in zip(*(part.tolist() for part in np.unique(days, return_counts=True)), strict=True):
            net[day] += sign * number
    return {day: number for day, number in net.items() if number}


def changed_by_day(dataset: Dataset, rows: pa.Table, positions: Indices) -> dict[int, tuple[int, int]]:
    """The first and last microsecond of the rows at `positions`, by day since 1970."""
    times = microseconds(dataset, rows)[positions]
    days = times // DAY_US
    return {day: (int(times[days == day].min()), int(times[days == day].max())) for day in distinct(days).tolist()}


def entry_hashes(dataset: Dataset, rows: pa.Table) -> Hashes:
    """Each row's hash, of its entry id (`_ms`, `_seq`) and values. It never changes between releases."""
    return (wide_hashes(dataset, rows) >> np.uint64(32)).astype("<u4")


def wide_hashes(dataset: Dataset, rows: pa.Table) -> WideHashes:
    """The same in eight bytes, enough to tell entries of many batches apart."""
    out = np.full(rows.num_rows, _START, dtype=np.uint64)
    for name in ("_ms", "_seq"):
        out = mixed(out, rows[name].to_numpy())
    for column in dataset.columns:
        out = mixed(out, numbers(rows[column.name], column.type))
    return out


def mixed(hashes: WideHashes, values: WideHashes) -> WideHashes:
    """Each pair of numbers mixed into one."""
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
    """A column as eight bytes a value, by its type in the dataset: times and floats as they are, texts hashed."""
    if kind == "float":
        floats: WideHashes = (column.to_numpy() + 0.0).view(np.uint64)  # of both zeros the same
        return floats
    if kind == "time":
        times: WideHashes = column.cast(pa.int64()).to_numpy().view(np.uint64)
        return times
    texts = dictionary_of(column)
    digests = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts.dictionary.to_pylist()]
    of_row: WideHashes = np.frombuffer(b"".join(digests), "<u8")[texts.indices.to_numpy()]
    return of_row
