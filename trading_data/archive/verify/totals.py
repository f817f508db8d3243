"""The account of a dataset in one row of numbers that can be added up.

Belongs here: the numbers, for people who look. Does not: whether they are as they have to be (`verify`).
"""

from dataclasses import dataclass

from trading_data.archive.database import Archive
from trading_data.archive.ledger import account
from trading_data.archive.verify.journals import account_of_journals
from trading_data.archive.verify.losses import archived_journals, heads
from trading_data.datasets.declaration import Dataset
from trading_data.intake.store import Intake
from trading_data.live.connection import Client


@dataclass(frozen=True)
class Totals:
    """Entries of a dataset. `offered` = `inserted` + `replaced` + `unchanged` + `quarantined` + `replayed`.

    Attributes:
        offered: entries in all batches that were loaded, from journals, files, vendors and quarantine.
        inserted, replaced, unchanged, quarantined: what became of them.
        replayed: entries that had been archived before.
        missing: entries that are nowhere, the acknowledged ones too, as far as their number is known; not among `offered`.
        in_journals: entries that wait to be drained.
        in_intake: entries that wait to be loaded, without those of batches that cannot be read.
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
    """Count every entry of a dataset. One that moves meanwhile is counted twice rather than not.

    Raises:
        LiveTierError, ArchiveTierError: a tier is away.
        IntakeError: the intake cannot be listed.
    """
    journals = account_of_journals(client, archive, intake, dataset) if dataset.journal else None
    waiting = heads(intake, intake.pending(dataset.name))
    with archive.transaction(snapshot=True) as cursor:
        loaded = archived_journals(cursor, dataset, waiting).loaded
    found = account(archive, dataset)
    return Totals(
        found.offered,
        found.inserted,
        found.replaced,
        found.unchanged,
        found.quarantined,
        found.replayed,
        found.missing if journals is None else journals.missing,
        0 if journals is None else journals.undrained,
        sum(journal.count for name, head in waiting.heads.items() if name not in loaded for journal in head.journals),
    )
