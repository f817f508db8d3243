"""The chunks of a hypertable: a UTC day each, what they weigh, and packing one into the columnstore.

Belongs here: reading and compressing single chunks. Does not: which chunk is due (`jobs`), and dropping.
"""

from dataclasses import dataclass
from datetime import date

from trading_data.archive.database import Archive
from trading_data.archive.sql import statement
from trading_data.datasets.declaration import Dataset


@dataclass(frozen=True)
class Chunk:
    """A chunk: its name, its day, and its size in bytes before and after compression (equal if not compressed)."""

    name: str
    day: date
    compressed: bool
    bytes_before: int
    bytes_after: int


def chunks(archive: Archive, dataset: Dataset) -> list[Chunk]:
    """All chunks of a dataset's hypertable, oldest first."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("chunks"), {"table": dataset.table})
        return [
            Chunk(name, day, packed, int(before or 0), int(after or 0))
            for name, day, packed, before, after in cursor.fetchall()
        ]


def compress(archive: Archive, chunk: Chunk) -> None:
    """Pack one chunk into the columnstore, or pack again what was added to it; one transaction, a short wait for locks."""
    with archive.transaction(lock="5s") as cursor:
        cursor.execute("select compress_chunk(%s::regclass, if_not_compressed => true)", (chunk.name,))


def ratio(found: list[Chunk]) -> float | None:
    """Bytes before by bytes after, over the compressed ones; None if there is none."""
    packed = [chunk for chunk in found if chunk.compressed and chunk.bytes_after]
    if not packed:
        return None
    return sum(chunk.bytes_before for chunk in packed) / sum(chunk.bytes_after for chunk in packed)
