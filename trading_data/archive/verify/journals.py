"""Whether every entry that was ever added to a journal is accounted for: archived, waiting, still in its journal, or missing.

Belongs here: this reckoning, for `verify`. Does not: what is lost, which is told elsewhere too (`losses`), the archive's own
books (`accounts`), and draining (`intake.snapshot`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trading_data.archive.database import Archive
from trading_data.archive.verify.ledger import AuditResult, LedgerTotals, materialize, read_books
from trading_data.archive.verify.losses import Known, Sides, archived_journals, heads, lost_of
from trading_data.archive.verify.lost import Lost, acknowledge_command
from trading_data.datasets.declaration import Dataset
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.live.journal import BEGINNING, ReadRange, find_journals, inspect, read
from trading_data.live.ranges import gaps
from trading_data.printable import counted, noun
from trading_data.times import now


@dataclass(frozen=True)
class JournalAccount:
    """What can be told of the journals of a dataset; journals by their ledger names.

    Attributes:
        journals: how many there are.
        added: entries ever added to them.
        archived, waiting: entries of journals that the ledger counts, and those in batches that wait.
        undrained: entries in the journals that are neither.
        lost: what is nowhere and not acknowledged.
        other: journals that are not the ones which the ranges are about; the next snapshot reads them from the beginning.
        range_entries: entries that the archived ranges count.
        books: the archive's books.
    """

    journals: int
    added: int
    archived: int
    waiting: int
    undrained: int
    lost: Lost
    other: tuple[str, ...]
    range_entries: int
    books: LedgerTotals

    @property
    def missing(self) -> int:
        """Entries that are nowhere, the acknowledged ones too, as far as their number is known."""
        return max(self.lost.total + self.lost.nowhere.total(), self.books.missing)


def account_of_journals(client: Client, archive: Archive, intake: Intake, dataset: Dataset) -> JournalAccount:
    """Account for every entry of the journals of a dataset: by ranges, so that its cost does not grow with history.

    Raises:
        LiveTierError, ArchiveTierError: a tier is away.
        IntakeError: the intake cannot be listed. A damaged batch counts as one that is not there.
    """
    infos = inspect(client, find_journals(client, dataset))
    waiting = heads(intake, intake.pending(dataset.name))
    with archive.transaction(snapshot=True) as cursor:
        books = read_books(cursor, dataset)
        archived = archived_journals(cursor, dataset, waiting)
    sides = Sides(infos, waiting, archived)
    current = sides.current(client, list(sides.infos))
    tails = _tails(client, sides, current)
    unread = sum(info.length for name, info in sides.infos.items() if name not in current)
    return JournalAccount(
        journals=len(infos),
        added=sum(info.added for info in infos.values()),
        archived=books.offered - books.replayed,
        waiting=sum(one.count for content_hash, one in waiting.ranges if content_hash not in archived.loaded),
        undrained=unread + tails.total() + _between(client, sides, current),
        lost=lost_of(client, sides, tails),
        other=tuple(
            name for name, info in sides.infos.items() if sides.known.get(name) and name not in current and info.length
        ),
        range_entries=sum(one.count for range_ in archived.ranges.values() for one in range_),
        books=books,
    )


def check_journals(client: Client, archive: Archive, intake: Intake, dataset: Dataset) -> list[AuditResult]:
    """The same as findings."""
    found = account_of_journals(client, archive, intake, dataset)
    return [*_other(dataset, found), *_lost(dataset, found), *_range_entries(dataset, found), _total(dataset, found)]


def _tails(client: Client, sides: Sides, current: Known) -> Counter[str]:
    """Entries that each journal holds after its last range, counted one by one; 0 where it can hold none."""
    found = Counter[str](dict.fromkeys(current, 0))
    stretches = [
        ReadRange(sides.keys[name], ranges[-1].last, info.last, info.length)
        for name, ranges in current.items()
        if (info := sides.infos[name]).length and info.last > ranges[-1].last
    ]
    return _count(client, sides, stretches, found)


def _between(client: Client, sides: Sides, current: Known) -> int:
    """Entries that the journals hold between their ranges."""
    stretches = [
        ReadRange(sides.keys[name], after, upto, sides.infos[name].length)
        for name, ranges in current.items()
        for after, upto in [(BEGINNING, ranges[0].after), *gaps(ranges)]
        if after < upto and sides.infos[name].length
    ]
    return _count(client, sides, stretches, Counter()).total()


def _count(client: Client, sides: Sides, stretches: list[ReadRange], found: Counter[str]) -> Counter[str]:
    names: Mapping[str, str] = {key: name for name, key in sides.keys.items()}
    for reading in read(client, stretches):
        found[names[reading.journal]] += len(reading.entries)
    return found


def _lost(dataset: Dataset, account: JournalAccount) -> Iterator[AuditResult]:
    """Entries that are nowhere: red until they come back, or somebody acknowledges them."""
    later = materialize(f"{dataset.snapshot} {dataset.table}", now().date())
    for what, said in account.lost.said():
        command = later if what == "journals" else acknowledge_command(dataset)
        yield AuditResult(dataset.name, None, False, what, said, command)


def _other(dataset: Dataset, account: JournalAccount) -> Iterator[AuditResult]:
    """Journals that went back or were made anew."""
    if account.other:
        said = (
            f"{counted(len(account.other), 'journal')} went back or {noun(len(account.other), 'was', 'were')} made anew, such as "
            f"{account.other[0]}, since the archive last read there. The next snapshot reads from the beginning"
        )
        yield AuditResult(dataset.name, None, False, "went back", said, materialize(dataset.snapshot, now().date()))


def _range_entries(dataset: Dataset, account: JournalAccount) -> Iterator[AuditResult]:
    """What the ranges count is what was offered, except for entries that were archived already."""
    books = account.books
    if not books.offered - books.replayed <= account.range_entries <= books.offered:
        said = (
            f"the archived ranges count {counted(account.range_entries, 'entry', 'entries')}, the ledger {books.offered:,} "
            f"offered by journals, of "
            f"which {books.replayed:,} had been archived before"
        )
        yield AuditResult(dataset.name, None, False, "ranges", said, "trading-data backup --list")


def _total(dataset: Dataset, account: JournalAccount) -> AuditResult:
    said = (
        f"{counted(account.added, 'entry', 'entries')} added to {counted(account.journals, 'journal')}: {account.archived:,} "
        f"archived, {account.waiting:,} waiting, "
        f"{account.undrained:,} not drained, {account.missing:,} missing"
    )
    if account.added != account.archived + account.waiting + account.undrained + account.missing:
        said += "; the sums differ, for a journal was emptied or made anew, or moves just now"
    return AuditResult(dataset.name, None, True, "journals", said)
