"""Four bytes for each entry of a journal: by them an entry is recognised that comes again in another incarnation.

A journal that went back is read again from its beginning. What it still holds of before are the same entries, with the same ids
and the same content; all others are new. An entry is looked for only among those of its journal in the one batch whose range
holds its id, and counts as recognised only if the archive also knows its values for its key: so one that is not recognised
rightly can be counted wrongly, but never be lost.

Belongs here: making hashes, over whole columns. Does not: keeping and finding them (`archive.known`).
"""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

from trading_data.archive.versions import encoded
from trading_data.datasets.declaration import Dataset

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
