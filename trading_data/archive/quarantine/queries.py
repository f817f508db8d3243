"""What waits in quarantine: looking at it, sending it through the one door again, giving it up.

A retry only writes batches into the intake; its entries wait until the load that takes the batch settles them in its own
transaction (`archive.quarantine.retry`), so it may die, be repeated or be overtaken by a discard at any moment.

Belongs here: choosing entries. Does not: corrections and the batches of a retry (`archive.quarantine.resend`), and what the load
makes of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.database import Archive
from trading_data.archive.quarantine.rejects import sayable
from trading_data.archive.quarantine.resend import Edits, Quarantined, check_edits, resend
from trading_data.archive.sql import statement
from trading_data.datasets import TABLES
from trading_data.datasets.declaration import Dataset
from trading_data.errors import BadInput, Refused
from trading_data.intake.snapshot import Drained
from trading_data.intake.store import Intake

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
