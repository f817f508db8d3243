"""The whole audit: ledger, archived ranges, tables, journals and intake, per dataset and day.

It may run during archival: a fault is reported only if a second look finds it again.

Belongs here: the order of the checks, those of waiting batches, those of `deep`, and the totals. Does not: checks inside the
archive (`ledger`) and of the journals (`journals`), printing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import pyarrow.compute as pc

from trading_data.archive.aggregates.compare import differences
from trading_data.archive.database import Archive
from trading_data.archive.days import changed_since_dropped
from trading_data.archive.ledger import account
from trading_data.archive.schema.migrate import check_schema
from trading_data.archive.sql import names_of, statement
from trading_data.archive.verify.journals import account_of_journals, check_journals
from trading_data.archive.verify.ledger import (
    AuditResult,
    accounts_balance,
    check_books,
    check_coverage,
    check_days,
    check_ledger,
    chunk_days,
    known_days,
    run_command,
)
from trading_data.archive.verify.losses import heads, read_archived_journals
from trading_data.datasets import TABLES
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.errors import IntakeError
from trading_data.intake import batch as batches
from trading_data.intake.store import BatchFile, Intake
from trading_data.live.connection import Client
from trading_data.printable import counted, noun
from trading_data.times import DAY, day_start


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


__all__ = ["AuditResult", "accounts_balance", "verify"]


def verify(client: Client, archive: Archive, intake: Intake, *, deep: bool = False) -> list[AuditResult]:
    """Check every dataset; results that are not `ok` are faults confirmed by a second look.

    Args:
        client: from `connect_for_archiver`.
        archive: the archive tier.
        intake: the waiting batches.
        deep: also compare every aggregate with raw rows day by day, search for duplicate keys, and read every waiting batch
            in full.

    Raises:
        LiveTierError, ArchiveTierError: a tier is unavailable.
        SchemaError: the schema is not that of this release.
    """
    check_schema(archive)
    results = []
    for dataset in TABLES.values():
        if not dataset.journal and _never_used(archive, intake, dataset):
            continue
        of_dataset = _check(client, archive, intake, dataset, deep)
        if faults := {(result.what, result.day) for result in of_dataset if not result.ok}:
            second_look = _check(client, archive, intake, dataset, deep)
            of_dataset = [result for result in second_look if result.ok or (result.what, result.day) in faults]
        results += of_dataset
    return results


def _never_used(archive: Archive, intake: Intake, dataset: Dataset) -> bool:
    """Whether a dataset has neither a batch nor a row."""
    return not intake.pending(dataset.name) and not known_days(archive, dataset)


def _check(client: Client, archive: Archive, intake: Intake, dataset: Dataset, deep: bool) -> list[AuditResult]:
    results = check_intake(intake, dataset, deep)
    if dataset.journal:
        results += check_journals(client, archive, intake, dataset)
    results += [
        *check_ledger(archive, dataset),
        *check_books(archive, dataset),
        *check_days(archive, dataset),
        *check_coverage(archive, dataset),
    ]
    if deep:
        for day in chunk_days(archive, dataset) if dataset.aggregates else ():
            results += _check_day(archive, dataset, day)
        results += _check_dropped_days(archive, dataset)
    return results


def check_intake(intake: Intake, dataset: Dataset, deep: bool) -> list[AuditResult]:
    """Each waiting batch is readable and has the right hash; with `deep`, its rows also match the declaration of the dataset."""
    faults: list[AuditResult] = []
    files = intake.pending(dataset.name)
    for file in files:
        fault, command = "", ""
        try:
            if deep:
                fault = _fault_in_rows(intake, dataset, file)
            else:
                intake.head(file)
        except IntakeError as error:
            fault, command = str(error), error.command
        if fault:
            command = command or intake.set_aside_command(file)
            faults.append(AuditResult(dataset.name, None, False, "intake", fault, command))
    return faults or [
        AuditResult(dataset.name, None, True, "intake", counted(len(files), "batch waits", "batches wait"))
    ]


def _fault_in_rows(intake: Intake, dataset: Dataset, file: BatchFile) -> str:
    batch = intake.read(file)
    if batch is None:
        return ""  # it was loaded meanwhile
    table = batch.table
    if not table.schema.equals(batches.schema(dataset)):
        return f"{file.path} does not have the columns of {dataset.name}: it has {table.schema.names}"
    good = table.filter(pc.is_null(table["_kind"]))
    empty = [name for name in dataset.names if good[name].null_count]
    if empty:
        return f"{file.path} has good rows without {', '.join(empty)}"
    declared = sum(journal.count for journal in batch.journals)
    if declared != table.num_rows:
        return f"{file.path} has {counted(table.num_rows, 'entry', 'entries')}, but its head counts {declared:,}"
    return ""


def _check_day(archive: Archive, dataset: Dataset, day: date) -> Iterator[AuditResult]:
    """One day: each aggregate equals the raw rows unless a refresh is pending, and no key occurs twice."""
    bounds = {"start": day_start(day), "end": day_start(day) + DAY}
    for aggregate in dataset.aggregates:
        if _is_refresh_pending(archive, dataset, aggregate, day):
            continue
        lines = differences(archive, dataset, aggregate, bounds["start"], bounds["end"])
        if lines and not _is_refresh_pending(archive, dataset, aggregate, day):
            message = (
                f"{aggregate.name} differs from the raw rows in {counted(len(lines), 'bucket')}, such as: {lines[0]}"
            )
            yield AuditResult(dataset.name, day, False, "aggregates", message, run_command(aggregate.name, day))
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("keys_twice", **names_of(dataset)), bounds)
        (repeated,) = cursor.fetchone() or (0,)
    if repeated:
        names = ", ".join(dataset.named_by)
        message = (
            f"{counted(repeated, 'key')} of {dataset.table} ({names}) {noun(repeated, 'occurs', 'occur')} more than once: its "
            f"primary key is missing or corrupt"
        )
        command = f"trading-data psql --owner -c 'reindex table {dataset.table}'"
        yield AuditResult(dataset.name, day, False, "keys", message, command)


def _check_dropped_days(archive: Archive, dataset: Dataset) -> Iterator[AuditResult]:
    """Days that retention dropped: their aggregates are unchanged since."""
    for day, name in changed_since_dropped(archive, dataset):
        message = f"{name} has changed since retention dropped the rows of that day: it was refreshed or edited"
        yield AuditResult(dataset.name, day, False, "aggregates", message, "trading-data backup --list")


def _is_refresh_pending(archive: Archive, dataset: Dataset, aggregate: Aggregate, day: date) -> bool:
    """Whether this aggregate, or one below it, is yet to be refreshed for this day."""
    names = [level.name for level in dataset.aggregates[: dataset.aggregates.index(aggregate) + 1]]
    values = {"aggregates": names, "start": day_start(day), "end": day_start(day) + DAY}
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("stale_ranges"), values)
        return bool(cursor.fetchall())
