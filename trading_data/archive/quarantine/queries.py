"""The entries in quarantine: list them, retry them, with corrections or without, discard them.

A retry only writes batches into the intake. Its entries wait until the load of a batch settles them in its own transaction
(`archive.quarantine.retry`). So a retry may be interrupted, repeated or overtaken by a discard at any moment.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.database import Archive
from trading_data.archive.quarantine.rejects import journal_name, settle, storable_text
from trading_data.archive.sql import statement
from trading_data.datasets import TABLES
from trading_data.datasets.declaration import Dataset
from trading_data.errors import BadInput, Refused
from trading_data.intake.batch import Batch, JournalRange, cut_by_days
from trading_data.intake.entries import Entries, to_table
from trading_data.intake.snapshot import DrainedBatch, describe
from trading_data.intake.store import Intake
from trading_data.live.journal import Reading, raw
from trading_data.times import now

BATCH_ENTRIES = 5_000
"""Most entries of a batch; the ledger names each of them."""
NO_REASONS = ("key taken", "another day")
"""Kinds that are no longer rejected: a second fill of an order and moment, and a fill corrected to another day."""
Edits = Mapping[str, str | None]
"""Corrections: a field's new value, or None to leave the field out."""
_ENTRY_ID = re.compile(r"\d+-\d+", re.ASCII)


@dataclass(frozen=True)
class Quarantined:
    """A rejected entry. `payload`, the complete entry as JSON text, is empty in a listing."""

    quarantine_id: int
    dataset: str
    journal: str
    entry_id: str
    kind: str
    reason: str
    since: datetime
    settled: str | None
    settled_at: datetime | None
    payload: str = ""

    @property
    def fields(self) -> list[tuple[str, str | None]]:
        """Names and values as received: bytes that are not UTF-8 are lone surrogates, None is a missing value."""
        return [(name, value) for name, value in json.loads(self.payload)["fields"]]


@dataclass(frozen=True)
class Retried:
    """The batches that a retry wrote, and the requested entries that were settled already (id → how)."""

    batches: tuple[DrainedBatch, ...]
    settled: Mapping[int, str]


def listing(archive: Archive, dataset: Dataset | None, kind: str | None, limit: int) -> list[Quarantined]:
    """The waiting entries, newest first; of one dataset and one kind, if given."""
    values = {"dataset": dataset and dataset.name, "kind": kind, "limit": limit}
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("quarantine_list"), values)
        return [Quarantined(*row) for row in cursor.fetchall()]


def show(archive: Archive, quarantine_id: int) -> Quarantined:
    """One complete entry, settled or not.

    Raises:
        BadInput: there is no entry of that id.
    """
    entries = _entries(archive, [quarantine_id])
    if not entries:
        raise BadInput(_unknown([quarantine_id]))
    return entries[0]


def retry(
    archive: Archive,
    intake: Intake,
    *,
    ids: Sequence[int] = (),
    dataset: Dataset | None = None,
    kind: str | None = None,
    earliest: datetime,
    edits: Edits | None = None,
) -> Retried:
    """Send entries to the intake again, with corrections: the next load treats them like new ones.

    Args:
        archive: where they wait.
        intake: where their batches go.
        ids: the entries; without them, all waiting ones of `dataset` and `kind`.
        dataset: with `kind`, instead of `ids`.
        kind: with `dataset`, instead of `ids`.
        earliest: start of the first day partition.
        edits: corrections for each of the entries.

    Raises:
        BadInput: an id or a field is unknown, or neither ids nor dataset and kind are given; nothing was sent.
        IntakeError: the intake cannot be written; entries that were not sent keep waiting.
    """
    if bool(ids) == bool(dataset or kind) or bool(dataset) != bool(kind):
        raise BadInput("name the entries to retry: either their ids, or a dataset and a kind (see `quarantine list`)")
    with archive.transaction(snapshot=True) as cursor:
        if dataset is not None:
            cursor.execute(statement("quarantine_of_kind"), {"dataset": dataset.name, "kind": kind})
            entries = cursor.fetchall()
        else:
            entries = _known(cursor, ids)
    waiting = {name: [number for number, of, how in entries if of == name and how is None] for name in TABLES}
    for name, numbers in waiting.items():
        check_edits(TABLES[name], edits or {}, numbers)
    sent = [
        drained
        for name, numbers in waiting.items()
        for start in range(0, len(numbers), BATCH_ENTRIES)
        for drained in resend(
            intake, TABLES[name], _entries(archive, numbers[start : start + BATCH_ENTRIES]), edits or {}, earliest
        )
    ]
    return Retried(tuple(sent), {number: how for number, _, how in entries if how is not None})


def retry_no_longer_rejected(archive: Archive, intake: Intake, dataset: Dataset, *, earliest: datetime) -> Retried:
    """Retry the entries that were rejected for a reason that no longer exists; arguments as for `retry`.

    These are reasons of an earlier release, and a first day that was later than `earliest`.
    """
    retried = [retry(archive, intake, dataset=dataset, kind=kind, earliest=earliest) for kind in NO_REASONS]
    values = {"dataset": dataset.name, "first_day": f"{earliest:%Y-%m-%d}"}
    too_old = [number for (number,) in archive.ask(statement("quarantine_of_later_first_day"), values)]
    if too_old:
        retried.append(retry(archive, intake, ids=too_old, earliest=earliest))
    return Retried(tuple(drained for of_kind in retried for drained in of_kind.batches), {})


def discard(archive: Archive, ids: Sequence[int], reason: str) -> list[int]:
    """Discard entries: they stay, marked with the reason, but no longer wait. All of them or none.

    Raises:
        Refused: no id or no reason is given, or one of the entries is settled already.
    """
    if not ids or not reason.strip():
        raise Refused("nothing was discarded: name the entries by their ids, and give a reason")
    with archive.transaction() as cursor:
        settled = [f"{number} ({how})" for number, _, how in _known(cursor, ids) if how is not None]
        done = settle(cursor, ids, "discarded", f"; discarded: {reason}")
        if done != sorted(set(ids)):
            raise Refused(
                f"nothing was discarded: settled already are {', '.join(settled) or 'some, just now'}; leave those out"
            )
    return done


def _known(cursor: Cursor, ids: Sequence[int]) -> list[tuple[int, str, str | None]]:
    cursor.execute(statement("quarantine_settled"), {"ids": list(ids)})
    entries = cursor.fetchall()
    unknown = sorted(set(ids) - {number for number, _, _ in entries})
    if unknown:
        raise BadInput(_unknown(unknown))
    return entries


def _unknown(ids: Sequence[int]) -> str:
    return f"there is no quarantined entry {', '.join(map(str, ids))}: see `trading-data quarantine list`; nothing was done"


def _entries(archive: Archive, ids: Sequence[int]) -> list[Quarantined]:
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("quarantine_show"), {"ids": list(ids)})
        return [Quarantined(*row) for row in cursor.fetchall()]


def check_edits(dataset: Dataset, edits: Edits, ids: Sequence[int]) -> None:
    """Refuse edits that set a field which the dataset does not have. Any field may be left out, unknown ones too."""
    unknown = [name for name, value in edits.items() if value is not None and name not in dataset.names]
    if unknown and ids:
        raise BadInput(
            f"{dataset.title} have no field {', '.join(map(repr, unknown))}; they have {', '.join(dataset.names)}. "
            "Nothing was sent"
        )


def resend(
    intake: Intake, dataset: Dataset, quarantined: Sequence[Quarantined], edits: Edits, earliest: datetime
) -> Iterator[DrainedBatch]:
    """Write batches of these entries: the corrected values, to be checked again, and beside them the rejected payloads."""
    entries = Entries()
    for entry in quarantined:
        journal, fields = _corrected(dataset, entry, edits)
        seen = entry.entry_id if _ENTRY_ID.fullmatch(entry.entry_id) else f"{round(entry.since.timestamp() * 1000)}-0"
        entries.add(Reading(journal, [(seen.encode(), fields)]))
    table = _set(to_table(dataset, entries, earliest), "_payload", [entry.payload for entry in quarantined])
    texts = (f", {name}={value}" if value is not None else f", without {name}" for name, value in edits.items())
    run_id = storable_text(f"quarantine retry{''.join(texts)}")
    for start, stop in cut_by_days(dataset, table):
        part = _set(table.slice(start, stop - start), "_journal", np.arange(stop - start, dtype=np.int32))
        origins = tuple(
            JournalRange(journal_name(entry.journal), "0-0", entry.entry_id, entry.entry_id, 1)
            for entry in quarantined[start:stop]
        )
        batch = Batch(dataset.name, "quarantine", now(), run_id, origins, part)
        yield describe(dataset, intake.put(batch), batch)


def _corrected(dataset: Dataset, quarantined: Quarantined, edits: Edits) -> tuple[str, list[bytes]]:
    """The entry as in a journal: the journal's name, and names and values in turn, without missing values.

    In a file the field that a journal's name carries is a field like others, and can be corrected.
    """
    journal: str = json.loads(quarantined.payload)["journal"]
    pairs = [(name, value) for name, value in quarantined.fields if name not in edits]
    pairs += [(name, value) for name, value in edits.items() if value is not None]
    if dataset.carried and (dataset.carried in edits or not _ENTRY_ID.fullmatch(quarantined.entry_id)):
        journal = dataset.journal_of(dict(pairs).get(dataset.carried) or "")
        pairs = [(name, value) for name, value in pairs if name != dataset.carried]
    return journal, [raw(text) for name, value in pairs if value is not None for text in (name, value)]


def _set(table: pa.Table, name: str, values: Any) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(name), pa.array(values, table.schema.field(name).type))
