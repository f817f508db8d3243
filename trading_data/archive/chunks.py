"""The chunks of a hypertable: a UTC day each, what they weigh, packing one into the columnstore, dropping one.

Belongs here: single chunks. Does not: which chunk is due and what has to be proven before (`trading_data.operations.maintenance`).
"""

from dataclasses import dataclass
from datetime import date, datetime

from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import Identifier

from trading_data.archive.database import Archive
from trading_data.archive.sql import statement
from trading_data.datasets.declaration import Dataset
from trading_data.errors import Refused
from trading_data.kill_points import reached
from trading_data.times import DAY, day_start


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
