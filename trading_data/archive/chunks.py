"""The days and chunks of a hypertable: their contents and sizes, compressing a chunk, dropping a chunk.

Belongs here: facts about days, and work on single chunks. Does not: which chunk is due, and the proofs before a drop
(`trading_data.operations.maintenance`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import Identifier

from trading_data.archive.coverage import MINUTES
from trading_data.archive.database import Archive
from trading_data.archive.sql import statement
from trading_data.datasets.declaration import Dataset
from trading_data.errors import Refused
from trading_data.kill_points import reached
from trading_data.times import DAY, day_start

_GRIDS = {5: 10, 15: 7, 30: 6, 60: 5}
"""Width of a grid in minutes → the number of rows a day that lie on it by accident only once in a million."""
_DAYS_AT_ONCE = 50
"""The statement makes 96 rows of each subject's day. For 1,000 days of 500 subjects they no longer fit into memory."""


@dataclass(frozen=True)
class Disagreement:
    """Rows of one source that lost to rows of another on one day.

    `beyond` of `compared` rows differed by more than the declared tolerance; `largest` is the largest relative difference.
    """

    day: date
    winner: str
    loser: str
    compared: int
    beyond: int
    largest: float


@dataclass(frozen=True)
class ArchivedDay:
    """One day of a dataset.

    `quarters` has 96 numbers: for each quarter hour the number of minutes with a row, summed over the subjects.
    `bytes_before` and `bytes_after` are the sizes of the chunk before and after compression; equal while it is not compressed.
    """

    day: date
    rows: int = 0
    subjects: int = 0
    first: datetime | None = None
    last: datetime | None = None
    quarters: tuple[int, ...] = (0,) * 96
    compressed: bool = False
    bytes_before: int = 0
    bytes_after: int = 0
    disagreements: tuple[Disagreement, ...] = ()


def archived_days(archive: Archive, dataset: Dataset, days: Sequence[date]) -> dict[date, ArchivedDay]:
    """All of `days`, empty ones included.

    Raises:
        ArchiveTierError: the archive is unavailable.
    """
    if not days:
        return {}
    with archive.transaction(snapshot=True) as cursor:
        contents: dict[date, tuple[Any, ...]] = {}
        for start in range(0, len(days), _DAYS_AT_ONCE):
            chosen = list(days[start : start + _DAYS_AT_ONCE])
            cursor.execute(statement("days"), {"dataset": dataset.name, "days": chosen})
            contents |= {row[0]: row[1:] for row in cursor.fetchall()}
        sizes = _sizes(cursor, dataset, days)
        in_range = _disagreements(cursor, dataset, min(days), max(days))
    by_day = {}
    for day in days:
        rows, subjects, first, last, quarters = contents.get(day, (0, 0, None, None, (0,) * 96))
        of_day = tuple(disagreement for disagreement in in_range if disagreement.day == day)
        by_day[day] = ArchivedDay(
            day, rows, subjects, first, last, tuple(quarters), *sizes.get(day, (False, 0, 0)), of_day
        )
    return by_day


def disagreements(archive: Archive, dataset: Dataset, first: date, last: date) -> list[Disagreement]:
    """Disagreements between sources from `first` to `last`, both inclusive, by day and pair of sources."""
    with archive.transaction(snapshot=True) as cursor:
        return _disagreements(cursor, dataset, first, last)


def wide_bars(archive: Archive, dataset: Dataset, days: Sequence[date]) -> dict[date, dict[str, timedelta]]:
    """By day, the subjects whose rows look like bars wider than a minute, and their width; other days are left out.

    A single bar does not show its width, but a day of bars does: all lie on a grid of five minutes or more, or there is only
    one, at midnight UTC.
    """
    values = {"dataset": dataset.name, "days": list(days), "most": MINUTES // min(_GRIDS), **_grids()}
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("wide_bars"), values)
        by_day: dict[date, dict[str, timedelta]] = {}
        for day, subject, width in cursor.fetchall():
            by_day.setdefault(day, {})[subject] = timedelta(minutes=width)
    return by_day


@cache
def _grids() -> dict[str, list[Any]]:
    """All grids of each width: their minutes as bits, as in the coverage, and the number of rows at which it is no accident."""
    grids = [(width, min_rows, phase) for width, min_rows in _GRIDS.items() for phase in range(width)] + [
        (MINUTES, 1, 0)
    ]
    bits = np.zeros((len(grids), MINUTES), dtype=np.uint8)
    for index, (width, _, phase) in enumerate(grids):
        bits[index, phase::width] = 1
    widths, thresholds, _ = zip(*grids, strict=True)
    minutes = [grid.tobytes().hex() for grid in np.packbits(bits, axis=1)]
    return {"widths": list(widths), "thresholds": list(thresholds), "grids": minutes}


def _disagreements(cursor: Cursor, dataset: Dataset, first: date, last: date) -> list[Disagreement]:
    if dataset.sources is None:
        return []
    cursor.execute(statement("disagreements"), {"dataset": dataset.name, "first": first, "last": last})
    return [Disagreement(*row) for row in cursor.fetchall()]


def _sizes(cursor: Cursor, dataset: Dataset, days: Sequence[date]) -> dict[date, tuple[bool, int, int]]:
    """By day: whether its chunk is compressed, and its bytes before and after compression."""
    bounds = {"table": dataset.table, "start": day_start(min(days)), "end": day_start(max(days)) + DAY}
    cursor.execute(statement("day_sizes"), bounds)
    return {
        day: (compressed, int(before or 0), int(after if compressed else before or 0))
        for day, compressed, before, after in cursor.fetchall()
    }


@dataclass(frozen=True)
class Chunk:
    """A chunk: its name, its day, and its size in bytes before and after compression (equal if not compressed).

    The two sizes date from its first compression; `bytes_on_disk` is the present size. `start` and `end` are its range (aware UTC,
    half-open), one day unless the interval of the hypertable was changed.
    """

    name: str
    day: date
    compressed: bool
    bytes_before: int
    bytes_after: int
    start: datetime
    end: datetime
    bytes_on_disk: int

    @property
    def is_a_day(self) -> bool:
        """Whether it is exactly one UTC day."""
        return self.start == day_start(self.day) and self.end == self.start + DAY


def chunks(archive: Archive, dataset: Dataset) -> list[Chunk]:
    """All chunks of a dataset's hypertable, oldest first. Measuring their sizes takes about 1 ms a chunk."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("chunks"), {"table": dataset.table})
        return [
            Chunk(name, day, compressed, int(before or 0), int(after or 0), start, end, int(size or 0))
            for name, day, compressed, before, after, start, end, size in cursor.fetchall()
        ]


def chunks_to_compress(archive: Archive, dataset: Dataset, before: datetime) -> list[str]:
    """Names of the chunks that end at or before a moment and have rows outside the columnstore, oldest first.

    Rows added to a compressed chunk lie in the chunk's own table, the columnstore in another. The size of that table narrows the
    search, but does not decide: recompressed rows leave pages behind.
    """
    names = []
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("chunks_aged"), {"table": dataset.table, "before": before})
        for schema, name, compressed in cursor.fetchall():
            if compressed:
                cursor.execute(statement("chunk_is_partial", chunk=Identifier(schema, name)))
                if not (cursor.fetchone() or (False,))[0]:
                    continue
            names.append(f"{schema}.{name}")
    return names


def compress(archive: Archive, chunk: Chunk | str, *, lock: str = "5s") -> bool:
    """Compress one chunk, or the rows added to it since; one transaction, a short wait for locks.

    Returns:
        False if the chunk no longer exists.
    """
    name = chunk if isinstance(chunk, str) else chunk.name
    with archive.transaction(lock=lock) as cursor:
        cursor.execute(statement("compress_chunk"), {"chunk": name})
        exists = cursor.rowcount > 0
        reached("compress.packed")
    return exists


def drop(cursor: Cursor, dataset: Dataset, chunk: Chunk) -> None:
    """Drop exactly this chunk.

    Raises:
        Refused: its range has another chunk, or TimescaleDB dropped anything else; the caller must roll back.
    """
    bounds = {"table": dataset.table, "start": chunk.start, "end": chunk.end}
    for command in ("chunks_between", "drop_chunks"):
        cursor.execute(statement(command), bounds)
        in_range = [other for (other,) in cursor.fetchall()]
        if in_range != [chunk.name]:
            raise Refused(
                f"{chunk.name} of {dataset.table} was not dropped: its range {chunk.start:%Y-%m-%d %H:%M} to "
                f"{chunk.end:%Y-%m-%d %H:%M} holds {', '.join(in_range) or 'no chunk'}; see timescaledb_information.chunks"
            )


def compression_ratio(chunks_measured: list[Chunk]) -> float | None:
    """The compression ratio (bytes before / bytes after) over the compressed chunks; None if there are none."""
    compressed = [chunk for chunk in chunks_measured if chunk.compressed and chunk.bytes_after]
    if not compressed:
        return None
    return sum(chunk.bytes_before for chunk in compressed) / sum(chunk.bytes_after for chunk in compressed)
