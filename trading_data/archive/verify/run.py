"""Do the accounts balance: ledger, archived ranges, tables, journals and intake, per dataset and day.

It may run while archival is in flight: what is not right is looked at again, and is a finding only if it stays so.

Belongs here: the order of the looks, the waiting batches, and what `deep` adds. Does not: the archive's own books
(`accounts`), the journals' (`journal_accounts`), printing.
"""

from collections.abc import Iterator
from datetime import date

import pyarrow.compute as pc

from trading_data.archive.aggregates.compare import differences
from trading_data.archive.closed import changed_since_closed
from trading_data.archive.database import Archive
from trading_data.archive.schema.migrate import check_schema
from trading_data.archive.sql import names_of, statement
from trading_data.archive.verify.journals import check_journals
from trading_data.archive.verify.ledger import (
    AuditResult,
    accounts_balance,
    check_books,
    check_coverage,
    check_days,
    check_ledger,
    chunk_days,
    known_days,
    materialize,
)
from trading_data.datasets import TABLES
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.errors import IntakeError
from trading_data.intake import batch as batches
from trading_data.intake.store import BatchFile, Intake
from trading_data.live.connection import Client
from trading_data.printable import counted, noun
from trading_data.times import DAY, day_start

__all__ = ["AuditResult", "accounts_balance", "verify"]


def verify(client: Client, archive: Archive, intake: Intake, *, deep: bool = False) -> list[AuditResult]:
    """Look at every dataset; the findings that are not `ok` are faults that a second look confirmed.

    Args:
        client: from `connect_for_archiver`.
        archive: the archive tier.
        intake: where batches wait.
        deep: also compare every aggregate with raw rows day by day, look for keys that are there twice, and read every
            waiting batch in full.

    Raises:
        LiveTierError, ArchiveTierError: a tier is away.
        SchemaError: the schema is not this release's.
    """
    check_schema(archive)
    findings = []
    for dataset in TABLES.values():
        if not dataset.journal and _never_used(archive, intake, dataset):
            continue
        found = _look(client, archive, intake, dataset, deep)
        if not all(one.ok for one in found):
            seen = {(one.what, one.day) for one in found if not one.ok}
            again = _look(client, archive, intake, dataset, deep)
            found = [one for one in again if one.ok or (one.what, one.day) in seen]
        findings += found
    return findings


def _never_used(archive: Archive, intake: Intake, dataset: Dataset) -> bool:
    """Whether there is neither a batch nor a chunk of a dataset."""
    return not intake.pending(dataset.name) and not known_days(archive, dataset)


def _look(client: Client, archive: Archive, intake: Intake, dataset: Dataset, deep: bool) -> list[AuditResult]:
    found = check_intake(intake, dataset, deep)
    if dataset.journal:
        found += check_journals(client, archive, intake, dataset)
    found += [
        *check_ledger(archive, dataset),
        *check_books(archive, dataset),
        *check_days(archive, dataset),
        *check_coverage(archive, dataset),
    ]
    if deep:
        for day in chunk_days(archive, dataset) if dataset.aggregates else ():
            found += _check_deep(archive, dataset, day)
        found += _check_closed(archive, dataset)
    return found


def check_intake(intake: Intake, dataset: Dataset, deep: bool) -> list[AuditResult]:
    """Each waiting batch is readable and its hash right; with `deep` its rows are what the dataset declares."""
    faults: list[AuditResult] = []
    files = intake.pending(dataset.name)
    for file in files:
        try:
            said = _read_whole(intake, dataset, file) if deep else _read_head(intake, dataset, file)
        except IntakeError as error:
            said = str(error)
        if said:
            faults.append(AuditResult(dataset.name, None, False, "intake", said, intake.set_aside_command(file)))
    return faults or [
        AuditResult(dataset.name, None, True, "intake", counted(len(files), "batch waits", "batches wait"))
    ]


def _read_head(intake: Intake, dataset: Dataset, file: BatchFile) -> str:
    found = intake.head(file)
    if found is None or found.dataset == dataset.name:
        return ""
    return f"{file.path} is a batch of {found.dataset}, and lies among those of {dataset.name}"


def _read_whole(intake: Intake, dataset: Dataset, file: BatchFile) -> str:
    found = intake.read(file)
    if found is None:
        return ""  # it was loaded meanwhile
    wanted = batches.schema(dataset)
    if found.dataset != dataset.name or not found.table.schema.equals(wanted):
        return (
            f"{file.path} does not hold what {dataset.name} declares: {found.dataset} with {found.table.schema.names}"
        )
    good = found.table.filter(pc.is_null(found.table["_kind"]))
    empty = [name for name in dataset.names if good[name].null_count]
    if empty:
        return f"{file.path} has good rows without {', '.join(empty)}"
    declared = sum(journal.count for journal in found.journals)
    if declared != found.table.num_rows:
        return f"{file.path} has {counted(found.table.num_rows, 'entry', 'entries')} and says that it has {declared:,}"
    return ""


def _check_deep(archive: Archive, dataset: Dataset, day: date) -> Iterator[AuditResult]:
    """One day: each aggregate equals raw where no refresh waits, and no row is there twice."""
    bounds = {"start": day_start(day), "end": day_start(day) + DAY}
    for aggregate in dataset.aggregates:
        if _waits(archive, dataset, aggregate, day):
            continue
        lines = differences(archive, dataset, aggregate, bounds["start"], bounds["end"])
        if lines and not _waits(archive, dataset, aggregate, day):
            said = f"{aggregate.name} differs from raw rows in {counted(len(lines), 'bucket')}, such as: {lines[0]}"
            yield AuditResult(dataset.name, day, False, "aggregates", said, materialize(aggregate.name, day))
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("keys_twice", **names_of(dataset)), bounds)
        twice = (cursor.fetchone() or (0,))[0]
    if twice:
        names = ", ".join(dataset.named_by)
        said = (
            f"{counted(twice, 'key')} of {dataset.table} ({names}) {noun(twice, 'is', 'are')} there more than once: its "
            f"primary key is gone or broken"
        )
        yield AuditResult(
            dataset.name, day, False, "keys", said, f"trading-data psql --owner -c 'reindex table {dataset.table}'"
        )


def _check_closed(archive: Archive, dataset: Dataset) -> Iterator[AuditResult]:
    """Days that retention dropped: their aggregates are what they were then."""
    for day, name in changed_since_closed(archive, dataset):
        said = (
            f"{name} is not what it was when retention dropped the rows of that day: somebody refreshed or changed it"
        )
        yield AuditResult(dataset.name, day, False, "aggregates", said, "trading-data backup --list")


def _waits(archive: Archive, dataset: Dataset, aggregate: Aggregate, day: date) -> bool:
    """Whether a load has left a refresh of this day behind, of this aggregate or one that it is built on."""
    names = [one.name for one in dataset.aggregates[: dataset.aggregates.index(aggregate) + 1]]
    values = {"aggregates": names, "start": day_start(day), "end": day_start(day) + DAY}
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("stale_ranges"), values)
        return bool(cursor.fetchall())
