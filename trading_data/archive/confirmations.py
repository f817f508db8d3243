"""Confirmations: entries that had exactly the values of their row, so that they changed nothing and left no trace on the row.

A version accepted before a confirmation, but loaded after it, looks newer than the row and is not. So the archive keeps when each
row was last confirmed: three numbers, as compressed differences, next to nothing for one-minute bars. A row is identified by
subject and time, and where rows have an identity, by eight bytes of hash. `order` draws the conclusion.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg2
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.sql import statement
from trading_data.archive.versions import (
    DAY_US,
    Indices,
    WideHashes,
    day_of,
    distinct,
    microseconds,
    mixed,
    moment_of,
    number_of,
    numbers,
)
from trading_data.datasets.declaration import Dataset

_CODEC = "zstd"
_NUMBERS = 3
"""Subject, the row's name, and when it was last confirmed, eight bytes each."""


class Confirmations:
    """The rows confirmed since a moment."""

    def __init__(self, cursor: Cursor, dataset: Dataset, since_us: int, *, by_journals: bool) -> None:
        """Query the last confirmation; `by_journals` includes batches of journals, whose entries replace rows where it matters."""
        self._cursor, self._dataset = cursor, dataset
        self._values = {"dataset": dataset.name, "since": moment_of(since_us), "by_journals": by_journals}
        cursor.execute(statement("last_confirmation"), self._values)
        (newest,) = cursor.fetchone() or (None,)
        self.newest_us = int(newest or 0)
        """When the last entry of the confirming batches was accepted: microseconds since 1970, 0 if there are none."""

    def until(self, rows: pa.Table, days: Indices, batches: Sequence[int]) -> list[int | None]:
        """When each archived row was last confirmed: microseconds since 1970; None if it was not.

        Args:
            rows: at least the columns that name a row.
            days: each row's day since 1970.
            batches: the batch that brought each row.
        """
        until_us = np.full(rows.num_rows, -1, dtype=np.int64)
        if not self.newest_us or not rows.num_rows:
            return [None] * rows.num_rows
        of_batch = np.array(batches, dtype=np.int64)
        on_days = [day_of(day) for day in distinct(days).tolist()]
        values = {**self._values, "days": on_days, "batch_id": int(of_batch.min())}
        self._cursor.execute(statement("confirmations"), values)
        names = mixed(*_named(self._dataset, rows))
        for batch_id, day, entries, packed, last_us in self._cursor.fetchall():
            here = np.flatnonzero((days == number_of(day)) & (of_batch < batch_id))
            if packed is None:
                until_us[here] = np.maximum(until_us[here], last_us)
                continue
            confirmed, until = _unpacked(packed, entries)
            order = np.lexsort([until, confirmed])
            at = np.searchsorted(confirmed[order], names[here], side="right") - 1  # of equal ones the last
            same = confirmed[order][at] == names[here]
            until_us[here[same]] = np.maximum(until_us[here[same]], until[order][at[same]])
        return [None if moment < 0 else moment for moment in until_us.tolist()]


def keep_confirmations(cursor: Cursor, dataset: Dataset, rows: pa.Table, until_us: Indices, batch_id: int) -> None:
    """Keep the rows that a batch confirmed, and the latest moment each can have been accepted (`until_us`: µs since 1970)."""
    if not rows.num_rows:
        return
    of_day = microseconds(dataset, rows) // DAY_US
    subjects, names = _named(dataset, rows)
    days = distinct(of_day)
    chosen = [slice(None)] if len(days) == 1 else [np.flatnonzero(of_day == day) for day in days]
    parts = [np.stack([subjects[at], names[at], until_us[at].view(np.uint64)]) for at in chosen]
    values = {
        "batch_id": batch_id,
        "dataset": dataset.name,
        "days": [day_of(day) for day in days.tolist()],
        "entries": [part.shape[1] for part in parts],
        "said": [psycopg2.Binary(_packed(part)) for part in parts],
    }
    cursor.execute(statement("keep_confirmations"), values)


def _named(dataset: Dataset, rows: pa.Table) -> tuple[WideHashes, WideHashes]:
    """A row's name in two numbers: subject and time, or where rows have an identity, 0 and a hash of subject and identity."""
    subject, name = (numbers(rows[column], dataset.column[column].type) for column in dataset.named_by)
    return (subject, name) if dataset.identity is None else (np.zeros_like(name), mixed(subject, name))


def _packed(part: WideHashes) -> bytes:
    """Compress the differences of consecutive numbers, all first bytes first, so that equal differences form long runs."""
    differences = np.diff(part, axis=1, prepend=np.uint64(0))
    return bytes(pa.Codec(_CODEC, 1).compress(_by_byte(differences, part.shape[1]), asbytes=True))


def _by_byte(values: WideHashes, entries: int) -> bytes:
    return np.ascontiguousarray(values).view(np.uint8).reshape(_NUMBERS, entries, 8).transpose(0, 2, 1).tobytes()


def _unpacked(packed: Any, entries: int) -> tuple[WideHashes, Indices]:
    data = pa.Codec(_CODEC).decompress(bytes(packed), decompressed_size=_NUMBERS * 8 * entries, asbytes=True)
    by_byte = np.frombuffer(data, np.uint8).reshape(_NUMBERS, 8, entries)
    part = np.ascontiguousarray(by_byte.transpose(0, 2, 1)).view(np.uint64).reshape(_NUMBERS, entries)
    subjects, names, until = np.cumsum(part, axis=1, dtype=np.uint64)
    return mixed(subjects, names), until.view(np.int64)
