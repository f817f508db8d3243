"""The coverage of the archive, per subject and day: `archive_coverage`, written in the transaction of the rows.

Belongs here: counting the rows of a batch, and marking their minutes. Does not: the rows that should be there
(`trading_data.calendars`).
"""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import Identifier

from trading_data.archive.sql import array_of, names_of, statement
from trading_data.archive.versions import DAY_US, Indices, dictionary_of, microseconds, moment_of
from trading_data.datasets.declaration import Dataset
from trading_data.times import DAY, day_start

MINUTES = 1440

_MINUTE_US = 60_000_000
_PAIRS_A_BLOCK = 8192
_EPOCH_DAY = date(1970, 1, 1)


def note(cursor: Cursor, dataset: Dataset, rows: pa.Table, positions: Indices) -> None:
    """Add the inserted rows to the coverage: those at `positions`, at least one."""
    if not dataset.has_coverage:
        return
    chosen = rows.select([dataset.about, dataset.key[1]]).take(pa.array(positions))
    codes = dictionary_of(chosen[dataset.about])
    subjects, times = codes.dictionary.to_pylist(), microseconds(dataset, chosen)
    pairs = times // DAY_US * len(subjects) + codes.indices.to_numpy()
    order = np.argsort(pairs, kind="stable")
    pairs, times = pairs[order], times[order]
    starts = np.flatnonzero(np.diff(pairs, prepend=pairs[0] - 1))
    counts = np.diff(starts, append=len(pairs))
    covered = pairs[starts].tolist()
    values = {
        "dataset": dataset.name,
        "subjects": array_of(subjects[pair % len(subjects)] for pair in covered),
        "days": array_of(_EPOCH_DAY + timedelta(days=pair // len(subjects)) for pair in covered),
        "rows": array_of(counts.tolist()),
        "firsts": array_of(map(moment_of, np.minimum.reduceat(times, starts).tolist())),
        "lasts": array_of(map(moment_of, np.maximum.reduceat(times, starts).tolist())),
        **{name: array_of(values) for name, values in _minutes(times, counts).items()},
    }
    cursor.execute(statement("note_coverage"), values)


def recount(cursor: Cursor, dataset: Dataset, days: list[date]) -> None:
    """Recount days from their rows, where a correction may have moved rows between subjects."""
    for day in days:
        values = {"dataset": dataset.name, "day": day, "start": day_start(day), "end": day_start(day) + DAY}
        cursor.execute(statement("forget_coverage"), values)
        cursor.execute(statement("count_coverage", **names_of(dataset), about=Identifier(dataset.about)), values)


def _minutes(times: Indices, counts: Indices) -> dict[str, list[Any]]:
    """For each pair of subject and day (`counts` consecutive rows), its minutes with a row.

    Returns:
        `minutes`: bits in hexadecimal, without zeros before and after. `skipped`: how many of the 1,440 bits are before them.
    """
    out: dict[str, list[Any]] = {"minutes": [], "skipped": []}
    minute = times % DAY_US // _MINUTE_US
    stops = np.cumsum(counts)
    for first in range(0, len(counts), _PAIRS_A_BLOCK):
        block = counts[first : first + _PAIRS_A_BLOCK]
        start, stop = stops[first] - counts[first], stops[first + len(block) - 1]
        grid = np.zeros((len(block), MINUTES), dtype=np.uint8)
        grid[np.repeat(np.arange(len(block)), block), minute[start:stop]] = 1
        for bits in np.packbits(grid, axis=1):
            data = bits.tobytes().rstrip(b"\0")
            part = data.lstrip(b"\0")
            out["minutes"].append(part.hex())
            out["skipped"].append(8 * (len(data) - len(part)))
    return out
