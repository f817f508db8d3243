"""Named points at which a test kills a process. Without the variable, reaching a point costs one comparison.

`TRADING_DATA_KILL_AT=name` kills this process (SIGKILL) when it reaches the point; `name:3` the third time; `name@1234`
kills process 1234 instead, perhaps a server, and continues.
"""

import os
import signal
from collections import Counter

VARIABLE = "TRADING_DATA_KILL_AT"

POINTS = {
    "batch.written": "the Parquet file is written aside, not synced, not renamed",
    "batch.renamed": "the file is in its place",
    "snapshot.noted": "the drained ranges are noted",
    "load.begun": "the transaction is open and holds its lock",
    "load.rows": "the rows are written",
    "load.ledger": "ledger and watermarks are written, not committed",
    "load.committed": "the batch is committed, its file still there",
    "load.deleted": "the file is deleted",
    "trim.decided": "the entries to trim are decided",
    "trim.done": "the journals are trimmed",
    "refresh.called": "TimescaleDB has refreshed a window, whose request is still there",
    "refresh.done": "the request for the window is removed",
    "history.taken": "a vendor's bars of a day are in the intake, its answer is not noted",
    "history.noted": "the vendor's answer for a day is noted",
}
"""The path of an entry: every archive cycle reaches all of them."""

AGING_POINTS = {
    "compress.decided": "the chunks to compress are decided",
    "compress.packed": "a chunk is compressed, not committed",
    "compress.done": "a chunk is compressed and committed",
    "retention.decided": "the drop of a chunk is decided",
    "retention.exported": "the chunk's cold file is in its place and verified, the chunk still there",
    "retention.dropped": "the chunk is dropped and recorded, not committed",
    "retention.done": "the drop is committed",
}
"""Compression and retention."""

BACKUP_POINTS = {
    "backup.redis": "the live tier's snapshot is stored and counted",
    "backup.batch": "a waiting batch is copied",
    "backup.half": "the first half is recorded, the archive not dumped",
    "backup.dump": "the dump is stored, not counted",
    "backup.dumped": "everything is stored, the manifest not written",
    "backup.whole": "the manifest is in its place",
}
"""Taking a backup."""

_SET = os.environ.get(VARIABLE, "")
_seen: Counter[str] = Counter()


def reached(point: str) -> None:
    """Die here if the environment says so."""
    if _SET:
        _reached(point)


def _reached(point: str) -> None:
    wanted, _, pid = _SET.partition("@")
    name, _, times = wanted.partition(":")
    _seen[point] += 1
    if point == name and _seen[point] == int(times or 1):
        os.kill(int(pid or os.getpid()), signal.SIGKILL)
