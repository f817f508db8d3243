"""Entries that cannot become rows: kept whole in `archive_quarantine`, each once.

Belongs here: what is written of a rejected entry. Does not: why it was rejected (`datasets.codec`, `archive.load`).
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.sql import statement
from trading_data.archive.versions import DAY_US
from trading_data.datasets.codec import plain
from trading_data.datasets.declaration import Dataset
from trading_data.intake.batch import Batch


@dataclass(frozen=True)
class Reject:
    """A rejected entry. `day` is the day of its acceptance, counted from 1970; `payload` the whole entry as JSON."""

    journal: str
    entry_id: str
    kind: str
    reason: str
    payload: str
    day: int

    @property
    def digest(self) -> str:
        """What tells two rejects with one entry id apart: a journal may begin anew."""
        return hashlib.sha256(self.payload.encode()).hexdigest()


def from_batch(batch: Batch, rejected: pa.Table) -> list[Reject]:
    """Entries that were rejected on their way into the intake."""
    return [
        Reject(_journal(batch, row), _entry_id(batch, row), row["_kind"], row["_reason"], row["_payload"], _day(row))
        for row in rejected.to_pylist()
    ]


def from_row(batch: Batch, dataset: Dataset, rows: pa.Table, at: int, kind: str, reason: str) -> Reject:
    """A good entry that the archive cannot take; its payload is made from its columns."""
    row = rows.slice(at, 1).to_pylist()[0]
    journal, entry_id = _journal(batch, row), _entry_id(batch, row)
    pairs = [(name, plain(row[name])) for name in dataset.names if name != dataset.carried]
    payload = json.dumps({"journal": journal, "id": entry_id, "fields": pairs})
    return Reject(journal, entry_id, kind, reason, payload, _day(row))


def keep(cursor: Cursor, dataset: Dataset, batch_id: int, rejects: list[Reject]) -> list[Reject]:
    """Write them; returns those that were not there yet."""
    if not rejects:
        return []
    values = {
        "dataset": dataset.name,
        "batch_id": batch_id,
        "journals": [ledger_name(one.journal) for one in rejects],
        "entry_ids": [one.entry_id for one in rejects],
        "digests": [one.digest for one in rejects],
        "kinds": [_sayable(one.kind) for one in rejects],
        "reasons": [_sayable(one.reason) for one in rejects],
        "payloads": [one.payload for one in rejects],
    }
    cursor.execute(statement("quarantine"), values)
    written = set(cursor.fetchall())
    new = []
    for one in rejects:
        key = (ledger_name(one.journal), one.entry_id, one.digest)
        if key in written:
            written.remove(key)
            new.append(one)
    return new


def ledger_name(journal: str) -> str:
    """A journal's name as PostgreSQL can hold it, one to one: broken UTF-8, NUL and the backslash are escaped."""
    data = journal.replace("\\", "\\\\").encode("utf-8", "surrogateescape")
    return data.decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def _sayable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _journal(batch: Batch, row: dict[str, Any]) -> str:
    journal: str = batch.journals[row["_journal"]].journal
    return journal


def _entry_id(batch: Batch, row: dict[str, Any]) -> str:
    """What an entry is called where it came from: a file's row has the same name whenever it is imported."""
    if batch.origin in ("file", "vendor"):
        return f"row {row['_seq'] + 1}"
    return f"{row['_ms']}-{row['_seq']}"


def _day(row: dict[str, Any]) -> int:
    return int(row["_ms"]) * 1000 // DAY_US
