"""The account of a dataset as one row of numbers that add up. Whether they are right is a question for `run`."""

from dataclasses import dataclass

from trading_data.archive.database import Archive
from trading_data.archive.ledger import account
from trading_data.archive.verify.journals import account_of_journals
from trading_data.archive.verify.losses import heads, read_archived_journals
from trading_data.datasets.declaration import Dataset
from trading_data.intake.store import Intake
from trading_data.live.connection import Client


@dataclass(frozen=True)
class Totals:
    """Entries of a dataset. `offered` = `inserted` + `replaced` + `unchanged` + `quarantined` + `replayed`.

    Attributes:
        offered: entries of all loaded batches, from journals, files, vendors and quarantine.
        inserted, replaced, unchanged, quarantined: the same entries by outcome.
        replayed: entries that had been archived before.
        missing: lost entries, acknowledged ones included, as far as their number is known; not part of `offered`.
        in_journals: entries waiting to be drained.
        in_intake: entries waiting to be loaded, except those of unreadable batches.
    """

    offered: int
    inserted: int
    replaced: int
    unchanged: int
    quarantined: int
    replayed: int
    missing: int
    in_journals: int
    in_intake: int


def totals(client: Client, archive: Archive, intake: Intake, dataset: Dataset) -> Totals:
    """Count every entry of a dataset. An entry that moves meanwhile is counted twice, never missed.

    Raises:
        LiveTierError, ArchiveTierError: a tier is unavailable.
        IntakeError: the intake cannot be listed.
    """
    journals = account_of_journals(client, archive, intake, dataset) if dataset.journal else None
    waiting = heads(intake, intake.pending(dataset.name))
    with archive.transaction(snapshot=True) as cursor:
        loaded = read_archived_journals(cursor, dataset, waiting).loaded
    booked = account(archive, dataset)
    return Totals(
        booked.offered,
        booked.inserted,
        booked.replaced,
        booked.unchanged,
        booked.quarantined,
        booked.replayed,
        booked.missing if journals is None else journals.missing,
        0 if journals is None else journals.undrained,
        sum(journal.count for name, head in waiting.heads.items() if name not in loaded for journal in head.journals),
    )
