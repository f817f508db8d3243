"""Compresses chunks that have reached their age: new ones, and those that got rows since they were compressed.

Each chunk is a transaction of its own, so a kill loses at most one chunk's work, and the next run finds the
remaining ones by looking at the chunks themselves.

Belongs here: which chunks, in which order, and the result. Does not: compressing one (`archive.chunks`).
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from trading_data.archive import chunks as chunk_by_chunk
from trading_data.archive.chunks import Chunk, chunks, chunks_to_compress
from trading_data.archive.database import Archive
from trading_data.datasets.declaration import Dataset
from trading_data.errors import ArchiveTierError
from trading_data.kill_points import reached
from trading_data.operations.maintenance.lock_retry import LOCK, PAUSES, is_locked, is_refused, reason_of
from trading_data.retry import retry

Outcome = Literal["compressed", "compressed again", "locked", "refused", "gone"]
AT_A_TIME = 50
"""Chunks that are compressed before all sizes are read again."""


@dataclass(frozen=True)
class Compressed:
    """The result for a chunk: bytes on disk before and after, and seconds, including waits.

    `locked` chunks are left to the next run, `refused` ones need attention (for `reason`), `gone` ones were
    dropped meanwhile.
    """

    chunk: Chunk
    before: int
    after: int
    seconds: float
    outcome: Outcome
    reason: str = ""

    @property
    def ratio(self) -> float | None:
        """Bytes before by bytes after the first compression of the chunk; None if it is not compressed."""
        return chunk_by_chunk.compression_ratio([self.chunk])


def compress_aged(
    archive: Archive, dataset: Dataset, now: datetime, *, lock: str = LOCK, pauses: Sequence[float] = PAUSES
) -> Iterator[Compressed]:
    """Compress the chunks that ended `compress_after` or longer before `now` and have rows outside the columnstore.

    Args:
        archive: the archive tier.
        dataset: whose chunks.
        now: aware.
        lock: longest wait for a lock in one attempt. The embedded server has one session and never waits.
        pauses: seconds between attempts; after the last one the chunk is left to the next run.

    Raises:
        ArchiveTierError: the archive does not answer; chunks that were compressed stay so.
    """
    due = chunks_to_compress(archive, dataset, now - dataset.compress_after)
    if not due:
        return
    reached("compress.decided")
    sizes = {chunk.name: chunk for chunk in chunks(archive, dataset)}
    for start in range(0, len(due), AT_A_TIME):
        names = due[start : start + AT_A_TIME]
        outcomes = [
            (name, *_compress(archive, name, sizes[name].compressed, lock, pauses)) for name in names if name in sizes
        ]
        sizes_after = {chunk.name: chunk for chunk in chunks(archive, dataset)}
        for name, outcome, reason, seconds in outcomes:
            before, after = sizes[name], sizes_after.get(name, sizes[name])
            yield Compressed(after, before.bytes_on_disk, after.bytes_on_disk, seconds, outcome, reason)


def _compress(
    archive: Archive, name: str, packed: bool, lock: str, pauses: Sequence[float]
) -> tuple[Outcome, str, float]:
    began = time.monotonic()
    outcome: Outcome = "compressed again" if packed else "compressed"
    reason = ""
    try:
        if not retry(lambda: chunk_by_chunk.compress(archive, name, lock=lock), is_locked, pauses):
            outcome = "gone"
        reached("compress.done")
    except ArchiveTierError as error:
        if not is_refused(error):
            raise
        outcome, reason = "locked" if is_locked(error) else "refused", reason_of(error)
    return outcome, reason, time.monotonic() - began
