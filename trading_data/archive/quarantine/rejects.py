"""Entries that cannot become rows: each is kept once, complete, in `archive_quarantine`.

The reasons come from `datasets.codec` (bad fields) and `archive.plan`.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Literal

import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.sql import statement
from trading_data.datasets.codec import plain
from trading_data.datasets.declaration import Dataset
from trading_data.intake.batch import Batch
from trading_data.intake.import_rows import CONTENT

STATEMENT_BYTES = 16 << 20
"""Most payload of one statement: the embedded archive runs out of memory at a few hundred MB."""
_NAME_BYTES, _NAME_SHOWN = 1200, 100
"""Longest name that fits an index row with its other columns (2,704 bytes), and the part kept of a longer one."""


_NAMES_KEPT = 1 << 15
"""How many names of journals are kept escaped: a load needs each several times."""


@dataclass(frozen=True)
class Reject:
    """A rejected entry. `day` is the day on which it was drained, counted from 1970; `payload` the complete entry as JSON."""

    journal: str
    entry_id: str
    kind: str
    reason: str
    payload: str
    day: int

    @property
    def digest(self) -> str:
        """Tells two rejects with one entry id apart: a recreated journal uses ids again."""
        return digest(self.payload)


def digest(payload: str) -> str:
    """The digest of a complete entry."""
    return hashlib.sha256(payload.encode()).hexdigest()


def from_batch(batch: Batch, rejected: pa.Table) -> list[Reject]:
    """The entries of a batch that were rejected before the intake."""
    return [
        Reject(_journal(batch, row), _entry_id(batch, row), row["_kind"], row["_reason"], row["_payload"], _day(batch))
        for row in rejected.to_pylist()
    ]


def from_row(batch: Batch, dataset: Dataset, rows: pa.Table, at: int, kind: str, reason: str) -> Reject:
    """A good entry that the archive cannot store; its payload is made from its columns, or is the retried one."""
    row = rows.slice(at, 1).to_pylist()[0]
    journal, entry_id = _journal(batch, row), _entry_id(batch, row)
    if batch.origin == "quarantine":
        return Reject(journal, entry_id, kind, reason, batch.table["_payload"][row["_journal"]].as_py(), _day(batch))
    pairs = [(name, plain(row[name])) for name in dataset.names if name != dataset.carried]
    payload = json.dumps({"journal": journal, "id": entry_id, "fields": pairs})
    return Reject(journal, entry_id, kind, reason, payload, _day(batch))


def keep(cursor: Cursor, dataset: Dataset, batch_id: int, rejects: list[Reject]) -> list[Reject]:
    """Write rejects, and return those that are new."""
    return [new for part in _parts(rejects) for new in _keep(cursor, dataset, batch_id, part)]


def _parts(rejects: list[Reject]) -> Iterator[list[Reject]]:
    """Rejects for one statement each: at most `STATEMENT_BYTES` of payloads, or a single one."""
    part: list[Reject] = []
    size = 0
    for reject in rejects:
        if part and size + len(reject.payload) > STATEMENT_BYTES:
            yield part
            part, size = [], 0
        part.append(reject)
        size += len(reject.payload)
    if part:
        yield part


def _keep(cursor: Cursor, dataset: Dataset, batch_id: int, rejects: list[Reject]) -> list[Reject]:
    values = {
        "dataset": dataset.name,
        "batch_id": batch_id,
        "journals": [ledger_name(reject.journal) for reject in rejects],
        "entry_ids": [reject.entry_id for reject in rejects],
        "digests": [reject.digest for reject in rejects],
        "kinds": [storable_text(reject.kind) for reject in rejects],
        "reasons": [storable_text(reject.reason) for reject in rejects],
        "payloads": [reject.payload for reject in rejects],
    }
    cursor.execute(statement("quarantine"), values)
    written = set(cursor.fetchall())
    new = []
    for reject in rejects:
        key = (ledger_name(reject.journal), reject.entry_id, reject.digest)
        if key in written:
            written.remove(key)
            new.append(reject)
    return new


def settle(cursor: Cursor, ids: Sequence[int], how: Literal["retried", "discarded"], note: str) -> list[int]:
    """Settle those of the entries that wait, with a note added to their reasons; returns their ids in order."""
    values = {"ids": list(ids), "how": how, "note": storable_text(note)}
    cursor.execute(statement("quarantine_settle"), values)
    return sorted(number for (number,) in cursor.fetchall())


def settle_read_again(cursor: Cursor, dataset: Dataset, batch: Batch, batch_id: int, kept: Iterable[Reject]) -> None:
    """Settle what waits of the same rows of the same file by earlier imports, except `kept`, which were rejected as before.

    Each of the others is loaded now, or waits as a new entry with the values that the options of this import gave it.
    """
    if batch.origin != "file" or not batch.run_id.startswith(CONTENT):
        return
    cursor.execute(statement("quarantine_of_file"), {"dataset": dataset.name, "file": batch.run_id})
    waiting = cursor.fetchall()
    if waiting:
        again = {f"row {number + 1}" for number in batch.table["_seq"].to_pylist()}
        again -= {reject.entry_id for reject in kept}
        numbers = [number for number, entry_id in waiting if entry_id in again]
        settle(cursor, numbers, "retried", f"; read again in batch {batch_id}")


@lru_cache(_NAMES_KEPT)
def ledger_name(journal: str) -> str:
    """A journal's name as PostgreSQL can store and index it, one to one: broken UTF-8, NUL and the backslash are escaped.

    A name too long for an index becomes its beginning and the digest of the name.
    """
    if len(journal) <= _NAME_BYTES and journal.isascii() and journal.isprintable() and "\\" not in journal:
        return journal  # the usual case, kept fast for ledgers of ten thousand journals
    data = journal.replace("\\", "\\\\").encode("utf-8", "surrogateescape")
    name = data.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
    if len(name.encode()) <= _NAME_BYTES:
        return name
    beginning = name[:_NAME_SHOWN].replace("\\", "?")
    return f"{beginning}… sha256:{hashlib.sha256(data).hexdigest()}"


def journal_name(ledger: str) -> str:
    """The inverse of `ledger_name`; a name that was too long stays its beginning and digest."""
    data = re.sub(rb"\\(\\|x([0-9a-f]{2}))", _unescaped, ledger.encode())
    return data.decode("utf-8", "surrogateescape")


def _unescaped(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex(match[2].decode()) if match[2] else b"\\"


def storable_text(text: str) -> str:
    """A text as PostgreSQL can store it."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _journal(batch: Batch, row: dict[str, Any]) -> str:
    journal: str = batch.journals[row["_journal"]].journal
    return journal


def _entry_id(batch: Batch, row: dict[str, Any]) -> str:
    """An entry's id at its origin; a file's row has the same id in every import."""
    if batch.origin == "quarantine":
        of_entry: str = batch.journals[row["_journal"]].first
        return of_entry
    if batch.origin in ("file", "vendor"):
        return f"row {row['_seq'] + 1}"
    return f"{row['_ms']}-{row['_seq']}"


def _day(batch: Batch) -> int:
    """The day of draining (since 1970), because an entry's id may be any number."""
    return (batch.created.date() - date(1970, 1, 1)).days
