"""The chunks of a hypertable: a UTC day each, what they weigh, packing one into the columnstore, dropping one.

Belongs here: single chunks. Does not: which chunk is due and what has to be proven before (`trading_data.operations.maintenance`).
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
"""Minutes of a grid, and how many rows of a day have to lie on it: by accident they would once in a million."""
_DAYS_AT_ONCE = 50
"""A subject's day becomes 96 rows within the statement: of 1,000 days of 500 subjects they no longer fit into memory."""


@dataclass(frozen=True)
class Disagreement:
    """Rows of one source that gave way to another's on one day.

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

    `quarters` has 96 numbers: in how many minutes of each quarter hour subjects have a row, added up over the subjects.
    `bytes_before` and `bytes_after` are the chunk's before and after compression; equal while it is not compressed.
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
    """Every one of `days`, those with nothing too.

    Raises:
        ArchiveTierError: the archive is away.
    """
    if not days:
        return {}
    with archive.transaction(snapshot=True) as cursor:
        found: dict[date, tuple[Any, ...]] = {}
        for start in range(0, len(days), _DAYS_AT_ONCE):
            chosen = list(days[start : start + _DAYS_AT_ONCE])
            cursor.execute(statement("days"), {"dataset": dataset.name, "days": chosen})
            found |= {row[0]: row[1:] for row in cursor.fetchall()}
        weights = _weights(cursor, dataset, days)
        differ = _disagreements(cursor, dataset, min(days), max(days))
    out = {}
    for day in days:
        rows, subjects, first, last, quarters = found.get(day, (0, 0, None, None, (0,) * 96))
        of_day = tuple(one for one in differ if one.day == day)
        out[day] = ArchivedDay(
            day, rows, subjects, first, last, tuple(quarters), *weights.get(day, (False, 0, 0)), of_day
        )
    return out


def disagreements(archive: Archive, dataset: Dataset, first: date, last: date) -> list[Disagreement]:
    """Where sources disagreed from `first` to `last`, both included, by day and pair."""
    with archive.transaction(snapshot=True) as cursor:
        return _disagreements(cursor, dataset, first, last)


def wide_bars(archive: Archive, dataset: Dataset, days: Sequence[date]) -> dict[date, dict[str, timedelta]]:
    """By day the subjects whose rows look like bars wider than a minute, and how wide; days without any are left out.

    A single bar does not say how wide it is, but a day of them does: all on one grid of five minutes or more, or one alone at
    midnight UTC.
    """
    values = {"dataset": dataset.name, "days": list(days), "most": MINUTES // min(_GRIDS), **_grids()}
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("wide_bars"), values)
        found: dict[date, dict[str, timedelta]] = {}
        for day, subject, width in cursor.fetchall():
            found.setdefault(day, {})[subject] = timedelta(minutes=width)
    return found


@cache
def _grids() -> dict[str, list[Any]]:
    """Every grid of each width: its minutes as the coverage writes them, and from how many rows on it is no accident."""
    grids = [(width, least, phase) for width, least in _GRIDS.items() for phase in range(width)] + [(MINUTES, 1, 0)]
    bits = np.zeros((len(grids), MINUTES), dtype=np.uint8)
    for at, (width, _, phase) in enumerate(grids):
        bits[at, phase::width] = 1
    widths, leasts, _ = zip(*grids, strict=True)
    minutes = [row.tobytes().hex() for row in np.packbits(bits, axis=1)]
    return {"widths": list(widths), "leasts": list(leasts), "grids": minutes}


def _disagreements(cursor: Cursor, dataset: Dataset, first: date, last: date) -> list[Disagreement]:
    if dataset.sources is None:
        return []
    cursor.execute(statement("disagreements"), {"dataset": dataset.name, "first": first, "last": last})
    return [Disagreement(*row) for row in cursor.fetchall()]


def _weights(cursor: Cursor, dataset: Dataset, days: Sequence[date]) -> dict[date, tuple[bool, int, int]]:
    bounds = {"table": dataset.table, "start": day_start(min(days)), "end": day_start(max(days)) + DAY}
    cursor.execute(statement("day_weights"), bounds)
    found = {}
    for day, packed, before, after in cursor.fetchall():
        found[day] = (packed, int(before or 0), int(after if packed else before or 0))
    return found


@dataclass(frozen=True)
class Chunk:
    """A chunk: its name, its day, and its size in bytes before and after compression (equal if not compressed).

    The two sizes are those of the moment when it was first compressed; `bytes_on_disk` is what it takes now. `start` and
    `end` are its range (aware UTC, half-open), a whole day unless somebody changed the interval of the hypertable.
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
    """All chunks of a dataset's hypertable, oldest first. Asks for the size of every one: about 1 ms a chunk."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("chunks"), {"table": dataset.table})
        return [
            Chunk(name, day, packed, int(before or 0), int(after or 0), start, end, int(size or 0))
            for name, day, packed, before, after, start, end, size in cursor.fetchall()
        ]


def chunks_to_compress(archive: Archive, dataset: Dataset, before: datetime) -> list[str]:
    """Names of the chunks that end at or before a moment and have rows outside the columnstore, oldest first.

    That a compressed chunk was added to is told by the table itself: the columnstore's rows lie in another one. Its size
    narrows the search, for rows that were packed again leave it some pages.
    """
    found = []
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("chunks_aged"), {"table": dataset.table, "before": before})
        for schema, name, packed in cursor.fetchall():
            if packed:
                cursor.execute(statement("chunk_is_partial", chunk=Identifier(schema, name)))
                if not (cursor.fetchone() or (False,))[0]:
                    continue
            found.append(f"{schema}.{name}")
    return found


def compress(archive: Archive, chunk: Chunk | str, *, lock: str = "5s") -> bool:
    """Pack one chunk into the columnstore, or pack again what was added to it; one transaction, a short wait for locks.

    Returns:
        False if the chunk has gone.
    """
    name = chunk if isinstance(chunk, str) else chunk.name
    with archive.transaction(lock=lock) as cursor:
        cursor.execute(statement("compress_chunk"), {"chunk": name})
        found = cursor.rowcount > 0
        reached("compress.packed")
    return found


def drop(cursor: Cursor, dataset: Dataset, chunk: Chunk) -> None:
    """Drop exactly this chunk.

    Raises:
        Refused: its range holds another one, or TimescaleDB dropped anything else; the caller's transaction must end.
    """
    bounds = {"table": dataset.table, "start": chunk.start, "end": chunk.end}
    for name in ("chunks_between", "drop_chunks"):
        cursor.execute(statement(name), bounds)
        found = [one for (one,) in cursor.fetchall()]
        if found != [chunk.name]:
            raise Refused(
                f"{chunk.name} of {dataset.table} was not dropped: its range {chunk.start:%Y-%m-%d %H:%M} to "
                f"{chunk.end:%Y-%m-%d %H:%M} holds {', '.join(found) or 'no chunk'}; see timescaledb_information.chunks"
            )


def ratio(found: list[Chunk]) -> float | None:
    """Bytes before by bytes after, over the compressed ones; None if there is none."""
    packed = [chunk for chunk in found if chunk.compressed and chunk.bytes_after]
    if not packed:
        return None
    return sum(chunk.bytes_before for chunk in packed) / sum(chunk.bytes_after for chunk in packed)
