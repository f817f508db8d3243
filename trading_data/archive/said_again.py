"""Which rows were said again: entries that changed nothing, and left no trace on their rows.

Something that was accepted before such an entry, and comes after it, looks newer than the row and is not. So of each row that was
said again the archive keeps until when: three numbers, as differences and compressed, which for bars of a minute is next to
nothing. A row is told by its subject and time; where rows have an identity, by eight bytes of hash.

Belongs here: keeping and asking. Does not: what follows for the order of acceptance (`archive.order`).
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import psycopg2
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.acceptance import moment_of
from trading_data.archive.sql import statement
from trading_data.archive.versions import DAY_US, Indices, WideHashes, microseconds, mixed, numbers
from trading_data.datasets.declaration import Dataset

_CODEC = "zstd"
_NUMBERS = 3
"""Subject, name of the row, and until when it was said again, eight bytes each."""
_EPOCH_DAY = date(1970, 1, 1)


class SaidAgain:
    """What was said again since a moment."""

    def __init__(self, cursor: Cursor, dataset: Dataset, since_us: int, *, by_journals: bool) -> None:
        """Ask the archive; of batches from journals only if wanted: their entries take the place of rows where it matters."""
        self._cursor, self._dataset = cursor, dataset
        self._values = {"dataset": dataset.name, "since": moment_of(since_us), "by_journals": by_journals}
        cursor.execute(statement("said_again_until"), self._values)
        (newest,) = cursor.fetchone() or (None,)
        self.newest_us = int(newest or 0)
        """When the last entry was accepted of all the batches that said anything again."""

    def until(self, rows: pa.Table, days: Indices, batches: Sequence[int]) -> list[int | None]:
        """Until when each of some rows of the archive was said again: microseconds since 1970; None if it was not.

        Args:
            rows: the columns that name a row, at least.
            days: on which day since 1970 each is.
            batches: the batch that each came from.
        """
        found = np.full(rows.num_rows, -1, dtype=np.int64)
        if not self.newest_us or not rows.num_rows:
            return [None] * rows.num_rows
        of_batch = np.array(batches, dtype=np.int64)
        asked = [_EPOCH_DAY + timedelta(days=day) for day in np.unique(days).tolist()]
        values = {**self._values, "days": asked, "batch_id": int(of_batch.min())}
        self._cursor.execute(statement("said_again"), values)
        names = mixed(*_named(self._dataset, rows))
        for batch_id, day, entries, said, last_us in self._cursor.fetchall():
            here = np.flatnonzero((days == (day - _EPOCH_DAY).days) & (of_batch < batch_id))
            if said is None:
                found[here] = np.maximum(found[here], last_us)
                continue
            again, until = _unpacked(said, entries)
            order = np.lexsort([until, again])
            at = np.searchsorted(again[order], names[here], side="right") - 1  # of equal ones the last
            same = again[order][at] == names[here]
            found[here[same]] = np.maximum(found[here[same]], until[order][at[same]])
        return [None if one < 0 else one for one in found.tolist()]


def keep_said_again(cursor: Cursor, dataset: Dataset, rows: pa.Table, until_us: Indices, batch_id: int) -> None:
    """Keep that a batch said rows of the archive again.

    Args:
        cursor: of the load's transaction.
        dataset: whose rows.
        rows: the entries that say it.
        until_us: when each was accepted, at the latest.
        batch_id: the batch.
    """
    if not rows.num_rows:
        return
    of_day = microseconds(dataset, rows) // DAY_US
    subjects, names = _named(dataset, rows)
    days = np.unique(of_day)
    chosen = [slice(None)] if len(days) == 1 else [np.flatnonzero(of_day == day) for day in days]
    parts = [np.stack([subjects[at], names[at], until_us[at].view(np.uint64)]) for at in chosen]
    values = {
        "batch_id": batch_id,
        "dataset": dataset.name,
        "days": [_EPOCH_DAY + timedelta(days=day) for day in days.tolist()],
        "entries": [part.shape[1] for part in parts],
        "said": [psycopg2.Binary(_packed(part)) for part in parts],
    }
    cursor.execute(statement("keep_said_again"), values)


def _named(dataset: Dataset, rows: pa.Table) -> tuple[WideHashes, WideHashes]:
    """What tells a row: subject and time as numbers; where rows have an identity, nothing and a hash of both."""
    subject, name = (numbers(rows[column], dataset.column[column].type) for column in dataset.named_by)
    return (subject, name) if dataset.identity is None else (np.zeros_like(name), mixed(subject, name))


def _packed(part: WideHashes) -> bytes:
    """Each number's difference from the one before, all first bytes first: alike differences become long runs."""
    differences = np.diff(part, axis=1, prepend=np.uint64(0))
    return bytes(pa.Codec(_CODEC, 1).compress(_by_byte(differences, part.shape[1]), asbytes=True))


def _by_byte(values: WideHashes, entries: int) -> bytes:
    return np.ascontiguousarray(values).view(np.uint8).reshape(_NUMBERS, entries, 8).transpose(0, 2, 1).tobytes()


def _unpacked(said: Any, entries: int) -> tuple[WideHashes, Indices]:
    data = pa.Codec(_CODEC).decompress(bytes(said), decompressed_size=_NUMBERS * 8 * entries, asbytes=True)
    by_byte = np.frombuffer(data, np.uint8).reshape(_NUMBERS, 8, entries)
    part = np.ascontiguousarray(by_byte.transpose(0, 2, 1)).view(np.uint64).reshape(_NUMBERS, entries)
    subjects, names, until = np.cumsum(part, axis=1, dtype=np.uint64)
    return mixed(subjects, names), until.view(np.int64)
