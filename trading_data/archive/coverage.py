"""What the archive holds per subject and day, kept in the transaction of the rows: `archive_coverage`.

Belongs here: counting and marking what a batch brought. Does not: what should be there (`gaps`), and rows (`write`).
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import Identifier

from trading_data.archive.sql import names_of, statement
from trading_data.archive.versions import DAY_US, Indices, microseconds
from trading_data.datasets.declaration import Dataset
from trading_data.times import DAY, day_start

MINUTES = 1440
Covered = dict[tuple[str, int], tuple[int, int, int]]
"""(subject, day since 1970) → how many rows were inserted, and their first and last microsecond."""

_MINUTE_US = 60_000_000
_PAIRS_A_BLOCK = 8192
_EPOCH_DAY, _EPOCH = date(1970, 1, 1), datetime(1970, 1, 1, tzinfo=UTC)


def covered_by(dataset: Dataset, rows: pa.Table, positions: Indices) -> Covered:
    """What the rows at `positions`, of which there is at least one, cover."""
    chosen = rows.take(pa.array(positions))
    subjects, pairs, times = _pairs(dataset, chosen)
    order = np.argsort(pairs, kind="stable")
    pairs, times = pairs[order], times[order]
    starts = np.flatnonzero(np.diff(pairs, prepend=pairs[0] - 1))
    counts = np.diff(starts, append=len(pairs)).tolist()
    lows, highs = np.minimum.reduceat(times, starts).tolist(), np.maximum.reduceat(times, starts).tolist()
    keys = [(subjects[pair % len(subjects)], pair // len(subjects)) for pair in pairs[starts].tolist()]
    return dict(zip(keys, zip(counts, lows, highs, strict=True), strict=True))


def add(one: Covered, other: Covered) -> None:
    """Add `other` to `one`."""
    for key, (count, low, high) in other.items():
        known = one.get(key, (0, low, high))
        one[key] = (known[0] + count, min(known[1], low), max(known[2], high))


def note(cursor: Cursor, dataset: Dataset, rows: pa.Table, covered: Covered) -> None:
    """Add to the coverage what was inserted; `rows` are those of the batch, from which the minutes are taken."""
    if not covered or not dataset.has_coverage:
        return
    minutes = dict(_minutes(dataset, rows))
    days = [_EPOCH_DAY + timedelta(days=day) for _, day in covered]
    values = {
        "dataset": dataset.name,
        "subjects": [subject for subject, _ in covered],
        "days": days,
        "rows": [count for count, _, _ in covered.values()],
        "firsts": [_EPOCH + timedelta(microseconds=low) for _, low, _ in covered.values()],
        "lasts": [_EPOCH + timedelta(microseconds=high) for _, _, high in covered.values()],
        "minutes": [minutes[key] for key in covered],
    }
    cursor.execute(statement("note_coverage"), values)


def count_again(cursor: Cursor, dataset: Dataset, days: list[date]) -> None:
    """Count days from their rows: where a correction may have moved rows from one subject to another."""
    for day in days:
        values = {"dataset": dataset.name, "day": day, "start": day_start(day), "end": day_start(day) + DAY}
        cursor.execute(statement("forget_coverage"), values)
        cursor.execute(statement("count_coverage", **names_of(dataset), about=Identifier(dataset.about)), values)


def _minutes(dataset: Dataset, rows: pa.Table) -> Iterator[tuple[tuple[str, int], str]]:
    """(subject, day) → the minutes that have a row, 1,440 bits in hexadecimal, midnight first."""
    subjects, of_pair, times = _pairs(dataset, rows)
    minute = times % DAY_US // _MINUTE_US
    pairs, of_row = np.unique(of_pair, return_inverse=True)
    for start in range(0, len(pairs), _PAIRS_A_BLOCK):
        block = pairs[start : start + _PAIRS_A_BLOCK]
        inside = (of_row >= start) & (of_row < start + _PAIRS_A_BLOCK)
        grid = np.zeros((len(block), MINUTES), dtype=np.uint8)
        grid[of_row[inside] - start, minute[inside]] = 1
        for pair, bits in zip(block.tolist(), np.packbits(grid, axis=1), strict=True):
            yield (subjects[pair % len(subjects)], pair // len(subjects)), bits.tobytes().hex()


def _pairs(dataset: Dataset, rows: pa.Table) -> tuple[list[str], Indices, Indices]:
    """The subjects; of each row its pair of subject and day as a number, which is day * len(subjects) + subject; its time."""
    encoded = rows[dataset.about].combine_chunks().dictionary_encode()
    subjects: list[str] = encoded.dictionary.to_pylist()
    times = microseconds(dataset, rows)
    return subjects, times // DAY_US * len(subjects) + encoded.indices.to_numpy(), times
