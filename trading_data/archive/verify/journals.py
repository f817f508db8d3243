"""Whether every entry ever added to a journal is accounted for: archived, waiting, still in its journal, or missing.

Belongs here: this reconciliation, for `run`. Does not: the search for losses, which others use too (`losses`), audits inside the
archive (`ledger`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trading_data.archive.database import Archive
from trading_data.archive.verify.ledger import AuditResult, LedgerTotals, read_totals, run_command
from trading_data.archive.verify.losses import JournalSides, RangesByJournal, heads, losses_of, read_archived_journals
from trading_data.archive.verify.lost import Losses, acknowledge_command
from trading_data.datasets.declaration import Dataset
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.live.journal import BEGINNING, ReadRange, find_journals, inspect, read
from trading_data.live.ranges import gaps
from trading_data.printable import counted, noun
from trading_data.times import now


@dataclass(frozen=True)
class JournalAccount:
    """The entries of a dataset's journals by where they are; journals by their ledger names.

    Attributes:
        journals: the number of journals.
        added: entries ever added to them.
        archived, waiting: journal entries that the ledger counts, and those in waiting batches.
        undrained: entries in the journals that are neither.
        lost: unacknowledged losses.
        other: journals that are no longer those of the known ranges; the next snapshot reads them from the beginning.
        range_entries: entries that the archived ranges count.
        totals: the totals of the ledger.
    """

    journals: int
    added: int
    archived: int
    waiting: int
    undrained: int
    lost: Losses
    other: tuple[str, ...]
    range_entries: int
    totals: LedgerTotals

    @property
    def missing(self) -> int:
        """The number of lost entries, acknowledged ones included, as far as it is known."""
        return max(self.lost.total + self.lost.nowhere.total(), self.totals.missing)


def account_of_journals(client: Client, archive: Archive, intake: Intake, dataset: Dataset) -> JournalAccount:
    """Account for every entry of a dataset's journals, by ranges, so that the cost does not grow with history.

    Raises:
        LiveTierError, ArchiveTierError: a tier is unavailable.
        IntakeError: the intake cannot be listed. A damaged batch counts as absent.
    """
    infos = inspect(client, find_journals(client, dataset))
    waiting = heads(intake, intake.pending(dataset.name))
    with archive.transaction(snapshot=True) as cursor:
        totals = read_totals(cursor, dataset)
        archived = read_archived_journals(cursor, dataset, waiting)
    sides = JournalSides(infos, waiting, archived)
    current = sides.current(client, list(sides.infos))
    tails = _tails(client, sides, current)
    unread = sum(info.length for name, info in sides.infos.items() if name not in current)
    return JournalAccount(
        journals=len(infos),
        added=sum(info.added for info in infos.values()),
        archived=totals.offered - totals.replayed,
        waiting=sum(journal.count for content_hash, journal in waiting.ranges if content_hash not in archived.loaded),
        undrained=unread + tails.total() + _between(client, sides, current),
        lost=losses_of(client, sides, tails),
        other=tuple(
            name for name, info in sides.infos.items() if sides.known.get(name) and name not in current and info.length
        ),
        range_entries=sum(range_.count for ranges in archived.ranges.values() for range_ in ranges),
        totals=totals,
    )


def check_journals(client: Client, archive: Archive, intake: Intake, dataset: Dataset) -> list[AuditResult]:
    """The same account as audit results; the last one has the totals."""
    account = account_of_journals(client, archive, intake, dataset)
    return [
        *_other(dataset, account),
        *_lost(dataset, account),
        *_range_entries(dataset, account),
        _total(dataset, account),
    ]


def _tails(client: Client, sides: JournalSides, current: RangesByJournal) -> Counter[str]:
    """The number of entries in each journal after its last range, counted one by one; 0 where none are possible."""
    to_read = [
        ReadRange(sides.keys[name], ranges[-1].last, info.last, info.length)
        for name, ranges in current.items()
        if (info := sides.infos[name]).length and info.last > ranges[-1].last
    ]
    tails = Counter(dict.fromkeys(current, 0))
    tails.update(_count(client, sides, to_read))
    return tails


def _between(client: Client, sides: JournalSides, current: RangesByJournal) -> int:
    """The number of entries in the journals between their ranges."""
    to_read = [
        ReadRange(sides.keys[name], after, upto, sides.infos[name].length)
        for name, ranges in current.items()
        for after, upto in [(BEGINNING, ranges[0].after), *gaps(ranges)]
        if after < upto and sides.infos[name].length
    ]
    return _count(client, sides, to_read).total()


def _count(client: Client, sides: JournalSides, to_read: list[ReadRange]) -> Counter[str]:
    """The number of entries in these ranges, by the journal's ledger name."""
    names: Mapping[str, str] = {key: name for name, key in sides.keys.items()}
    entries = Counter[str]()
    for reading in read(client, to_read):
        entries[names[reading.journal]] += len(reading.entries)
    return entries


def _lost(dataset: Dataset, account: JournalAccount) -> Iterator[AuditResult]:
    """Lost entries: faults until they come back or are acknowledged."""
    archive_run = run_command(f"{dataset.snapshot} {dataset.table}", now().date())
    for what, message in account.lost.messages():
        command = archive_run if what == "journals" else acknowledge_command(dataset)
        yield AuditResult(dataset.name, None, False, what, message, command)


def _other(dataset: Dataset, account: JournalAccount) -> Iterator[AuditResult]:
    """Journals that went back to an earlier state or were created again."""
    if account.other:
        message = (
            f"{counted(len(account.other), 'journal')} went back to an earlier state or {noun(len(account.other), 'was', 'were')} "
            f"created again since last archived, such as {account.other[0]}. The next snapshot reads from the beginning"
        )
        yield AuditResult(dataset.name, None, False, "went back", message, run_command(dataset.snapshot, now().date()))


def _range_entries(dataset: Dataset, account: JournalAccount) -> Iterator[AuditResult]:
    """The ranges count all offered entries, with or without those that had been archived before."""
    totals = account.totals
    if not totals.offered - totals.replayed <= account.range_entries <= totals.offered:
        message = (
            f"the archived ranges count {counted(account.range_entries, 'entry', 'entries')}, the ledger {totals.offered:,} "
            f"offered by journals, of which {totals.replayed:,} had been archived before"
        )
        yield AuditResult(dataset.name, None, False, "ranges", message, "trading-data backup --list")


def _total(dataset: Dataset, account: JournalAccount) -> AuditResult:
    message = (
        f"{counted(account.added, 'entry', 'entries')} added to {counted(account.journals, 'journal')}: {account.archived:,} "
        f"archived, {account.waiting:,} waiting, "
        f"{account.undrained:,} not drained, {account.missing:,} missing"
    )
    if account.added != account.archived + account.waiting + account.undrained + account.missing:
        message += "; the sums differ, because a journal was emptied or created again, or is being written to"
    return AuditResult(dataset.name, None, True, "journals", message)
