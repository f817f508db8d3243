"""What waits in quarantine: looking at it, sending it through the one door again, giving it up.

A retry only writes batches into the intake; its entries wait until the load that takes the batch settles them in its own
transaction (`archive.quarantine.retry`), so it may die, be repeated or be overtaken by a discard at any moment.

Belongs here: choosing entries. Does not: corrections and the batches of a retry (`archive.quarantine.queries`), and what the load
makes of them.
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
from trading_data.archive.quarantine.rejects import journal_name, sayable
from trading_data.archive.sql import statement
from trading_data.datasets import TABLES
from trading_data.datasets.declaration import Dataset
from trading_data.errors import BadInput, Refused
from trading_data.intake.batch import Batch, JournalRange, cut_by_days
from trading_data.intake.entries import Entries, to_table
from trading_data.intake.snapshot import Drained, describe
from trading_data.intake.store import Intake
from trading_data.live.journal import Reading, raw
from trading_data.times import now

Edits = Mapping[str, str | None]
"""Corrections: the field's new value, or None to leave the field out."""
_ENTRY_ID = re.compile(r"\d+-\d+", re.ASCII)


@dataclass(frozen=True)
class Quarantined:
    """A rejected entry. `payload`, the whole entry as JSON text, is empty in a listing."""

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
        """Names and values as they came; bytes that are not UTF-8 are lone surrogates, None is a missing value."""
        return [(name, value) for name, value in json.loads(self.payload)["fields"]]


def check_edits(dataset: Dataset, edits: Edits, ids: Sequence[int]) -> None:
    """Any field may be left out (it may be an unknown one), but only the dataset's own can be set."""
    unknown = [name for name, value in edits.items() if value is not None and name not in dataset.names]
    if unknown and ids:
        raise BadInput(
            f"{dataset.title} have no field {', '.join(map(repr, unknown))}; they have {', '.join(dataset.names)}. "
            "Nothing was sent"
        )


def resend(
    intake: Intake, dataset: Dataset, found: Sequence[Quarantined], edits: Edits, earliest: datetime
) -> Iterator[Drained]:
    """Batches of these entries: corrected values to be checked, and beside each the payload that was rejected."""
    entries = Entries()
    for one in found:
        journal, fields = _corrected(dataset, one, edits)
        seen = one.entry_id if _ENTRY_ID.fullmatch(one.entry_id) else f"{round(one.since.timestamp() * 1000)}-0"
        entries.add(Reading(journal, [(seen.encode(), fields)]))
    table = _set(to_table(dataset, entries, earliest), "_payload", [one.payload for one in found])
    said = "".join(f", {name}={value}" if value is not None else f", without {name}" for name, value in edits.items())
    for start, stop in cut_by_days(dataset, table):
        part = _set(table.slice(start, stop - start), "_journal", np.arange(stop - start, dtype=np.int32))
        where = tuple(
            JournalRange(journal_name(one.journal), "0-0", one.entry_id, one.entry_id, 1) for one in found[start:stop]
        )
        batch = Batch(dataset.name, "quarantine", now(), sayable(f"quarantine retry{said}"), where, part)
        yield describe(dataset, intake.put(batch), batch)


def _corrected(dataset: Dataset, quarantined: Quarantined, edits: Edits) -> tuple[str, list[bytes]]:
    """The entry as a journal would have it: the journal's name, and names and values in turn. Missing values are left out.

    What a journal's name carries is a field like others in a file, and may be corrected like others.
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


BATCH_ENTRIES = 5_000
"""Entries a batch at most; the ledger names each of them."""
NO_REASONS = ("key taken", "another day")
"""Kinds that are refused no more: a second fill of an order and moment, and one whose moment was corrected to another day."""


@dataclass(frozen=True)
class Retried:
    """What a retry put into the intake, and which of the entries asked for (id → how) were settled already."""

    batches: tuple[Drained, ...]
    settled: Mapping[int, str]


def listing(archive: Archive, dataset: Dataset | None, kind: str | None, limit: int) -> list[Quarantined]:
    """The entries that wait, oldest first, of one dataset and of one kind where these are given."""
    values = {"dataset": dataset and dataset.name, "kind": kind, "limit": limit}
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("quarantine_list"), values)
        return [Quarantined(*row) for row in cursor.fetchall()]


def show(archive: Archive, quarantine_id: int) -> Quarantined:
    """One entry, whole, settled or not.

    Raises:
        BadInput: there is none of that id.
    """
    found = _entries(archive, [quarantine_id])
    if not found:
        raise BadInput(_unknown([quarantine_id]))
    return found[0]


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
    """Send entries through the one door again, with corrections: the next load takes them like fresh ones.

    Args:
        archive: where they wait.
        intake: where their batches go.
        ids: which ones; or else all of `dataset` and `kind` that wait.
        dataset: with `kind`, instead of `ids`.
        kind: with `dataset`, instead of `ids`.
        earliest: start of the first day partition.
        edits: applied to each of the entries.

    Raises:
        BadInput: an id is unknown, a field is none of the dataset's, or it is not said which entries; nothing was sent.
        IntakeError: the intake cannot be written; what was not sent waits on.
    """
    if bool(ids) == bool(dataset or kind) or bool(dataset) != bool(kind):
        raise BadInput("say which entries to retry: either their ids, or a dataset and a kind (see `quarantine list`)")
    with archive.transaction(snapshot=True) as cursor:
        if dataset is not None:
            cursor.execute(statement("quarantine_of_kind"), {"dataset": dataset.name, "kind": kind})
            found = cursor.fetchall()
        else:
            found = _known(cursor, ids)
    waiting = {name: [number for number, of, how in found if of == name and how is None] for name in TABLES}
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
    return Retried(tuple(sent), {number: how for number, _, how in found if how is not None})


def retry_what_is_taken_now(archive: Archive, intake: Intake, dataset: Dataset, *, earliest: datetime) -> Retried:
    """Send the entries through the door again that an earlier release refused for a reason that this one has no more.

    Args:
        archive: where they wait.
        intake: where their batches go.
        dataset: whose.
        earliest: start of the first day partition.
    """
    found = [retry(archive, intake, dataset=dataset, kind=kind, earliest=earliest) for kind in NO_REASONS]
    return Retried(tuple(sent for one in found for sent in one.batches), {})


def discard(archive: Archive, ids: Sequence[int], reason: str) -> list[int]:
    """Give entries up: they stay, whole, marked with the reason, and no longer wait. All of them or none.

    Raises:
        Refused: no id or no reason is given, or one of the entries does not wait.
    """
    if not ids or not reason.strip():
        raise Refused("nothing was discarded: name the entries by their ids, and the reason")
    with archive.transaction() as cursor:
        settled = [f"{number} ({how})" for number, _, how in _known(cursor, ids) if how is not None]
        values = {"ids": list(ids), "note": sayable(f"; discarded: {reason}")}
        cursor.execute(statement("quarantine_discard"), values)
        done = sorted(number for (number,) in cursor.fetchall())
        if done != sorted(set(ids)):
            raise Refused(
                f"nothing was discarded: settled already are {', '.join(settled) or 'some, just now'}; leave those out"
            )
    return done


def _known(cursor: Cursor, ids: Sequence[int]) -> list[tuple[int, str, str | None]]:
    cursor.execute(statement("quarantine_settled"), {"ids": list(ids)})
    found = cursor.fetchall()
    unknown = sorted(set(ids) - {number for number, _, _ in found})
    if unknown:
        raise BadInput(_unknown(unknown))
    return found


def _unknown(ids: Sequence[int]) -> str:
    return f"there is no quarantined entry {', '.join(map(str, ids))}: see `trading-data quarantine list`; nothing was done"


def _entries(archive: Archive, ids: Sequence[int]) -> list[Quarantined]:
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("quarantine_show"), {"ids": list(ids)})
        return [Quarantined(*row) for row in cursor.fetchall()]
