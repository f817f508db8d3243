"""Whether every entry that was ever added to a journal is accounted for: archived, waiting, not drained yet, or missing.

Positions are read first, then the journals, the intake, and at last the ledger: an entry that moves meanwhile is counted
twice, never missed. So more than was added proves nothing, and less is a loss. Where a journal was emptied or went back,
its own count began anew, and what it once held cannot be known.

Belongs here: this reckoning. Does not: the archive's own books (`accounts`), and draining (`intake.snapshot`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from trading_data.archive.accounts import Books, Finding, materialize, read_books
from trading_data.archive.database import Archive
from trading_data.archive.ledger import archived_positions
from trading_data.archive.rejects import ledger_name
from trading_data.archive.sql import statement
from trading_data.datasets.declaration import Dataset
from trading_data.intake.batch import JournalRange
from trading_data.intake.snapshot import Position, find_positions, noted_positions
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.live.journal import BEGINNING, EntryId, JournalInfo, Stretch, find_journals, inspect, read
from trading_data.times import now

_NAMED = 5


@dataclass(frozen=True)
class _Archived:
    """The archive's side, of one moment; journals by their ledger names."""

    books: Books
    watermarks: dict[str, tuple[EntryId, int]]
    loaded: set[str]
    missing: dict[str, int]
    read_again: set[str] = field(default_factory=set)


@dataclass
class _Waiting:
    """Entries that are drained and not archived, and those that had gone before; journals by their ledger names."""

    entries: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    unclear: set[str] = field(default_factory=set)


def check_journals(client: Client, archive: Archive, intake: Intake, dataset: Dataset) -> list[Finding]:
    """Account for every entry of the journals of a dataset. The batches that wait have to be readable."""
    before = inspect(client, find_journals(client, dataset))
    archived = archived_positions(archive, dataset, list(before))
    noted = noted_positions(client, dataset)
    positions = find_positions(client, intake, dataset, before, archived)
    infos = inspect(client, list(before))
    undrained = _undrained(client, positions, infos)
    batches = [
        (file.content_hash, head.journals)
        for file in intake.pending(dataset.name)
        if (head := intake.head(file)) is not None and head.origin == "journal"
    ]
    known = _archived(archive, dataset, [name for name, _ in batches])
    waiting = _waiting(known, batches)
    counted = [*_watermarks(dataset, known), *_entries(dataset, infos, undrained, known, waiting)]
    if not all(one.ok for one in counted):
        known = replace(known, read_again=_read_again(archive, dataset))
        counted = [*_watermarks(dataset, known), *_entries(dataset, infos, undrained, known, waiting)]
    return [*_went_back(dataset, archived, noted, infos), *_missing(dataset, known, waiting), *counted]


def _undrained(client: Client, positions: Mapping[str, Position], infos: Mapping[str, JournalInfo]) -> Counter[str]:
    """Entries that are in the journals after the drained positions, counted one by one: somebody may have removed some."""
    found: Counter[str] = Counter()
    stretches = []
    for name, info in infos.items():
        after = positions[name].last
        if after == BEGINNING:
            found[ledger_name(name)] += info.length
        elif after < info.last and info.length:
            stretches.append(Stretch(name, after, info.last, info.length))
    for reading in read(client, stretches):
        found[ledger_name(reading.journal)] += len(reading.entries)
    return found


def _archived(archive: Archive, dataset: Dataset, hashes: list[str]) -> _Archived:
    values = {"dataset": dataset.name}
    with archive.transaction(snapshot=True) as cursor:
        books = read_books(cursor, dataset)
        cursor.execute("select journal, highest_id, entries from archive_watermark where dataset = %(dataset)s", values)
        watermarks = {name: (EntryId.parse(at), int(entries)) for name, at, entries in cursor.fetchall()}
        cursor.execute("select content_hash from archive_ledger where content_hash = any(%s)", (hashes,))
        loaded = {name for (name,) in cursor.fetchall()}
        missing = {}
        if books.missing:
            cursor.execute(statement("journals_missing"), values)
            missing = {name: int(number) for name, number in cursor.fetchall()}
    return _Archived(books, watermarks, loaded, missing)


def _read_again(archive: Archive, dataset: Dataset) -> set[str]:
    """Journals that were drained from their beginning more than once; asked only if counts differ, for it reads a lot."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("journals_read_again"), {"dataset": dataset.name})
        return {name for (name,) in cursor.fetchall()}


def _waiting(known: _Archived, batches: list[tuple[str, tuple[JournalRange, ...]]]) -> _Waiting:
    waiting = _Waiting()
    marks = {name: mark for name, (mark, _) in known.watermarks.items()}
    for content_hash, ranges in batches:
        for found in ranges if content_hash not in known.loaded else ():
            name = ledger_name(found.journal)
            mark = marks.get(name, BEGINNING)
            if EntryId.parse(found.after) >= mark:
                waiting.entries[name] += found.count
                waiting.missing[name] += found.missing
            elif not found.certain or found.last_id > mark:
                waiting.unclear.add(name)  # it overlaps what is archived; only its load will tell
            marks[name] = max(mark, found.last_id)
    return waiting


def _went_back(
    dataset: Dataset,
    archived: Mapping[str, EntryId],
    noted: Mapping[str, Position],
    infos: Mapping[str, JournalInfo],
) -> Iterator[Finding]:
    """Archived at or before drained at or before written; a journal that a snapshot found to have gone back is settled."""
    for name, info in infos.items():
        position = noted.get(name, Position(BEGINNING))
        proven = max(archived.get(name, BEGINNING), position.last)
        if info.last < proven and position.void < proven:
            said = (
                f"{ledger_name(name)} went back: it ends at {info.last}, and was drained or archived up to {proven}; "
                "its server lost entries, or it was made anew. The next snapshot reads it from its beginning"
            )
            yield Finding(dataset.name, None, False, "went back", said, materialize(dataset.snapshot, now().date()))


def _watermarks(dataset: Dataset, known: _Archived) -> Iterator[Finding]:
    """What the watermarks count is what was offered, except for batches of nothing but what was archived already."""
    books = known.books
    if not known.read_again and not books.offered - books.replayed <= books.watermark_entries <= books.offered:
        said = (
            f"the watermarks count {books.watermark_entries:,} entries, the ledger {books.offered:,} offered by journals, "
            f"of which {books.replayed:,} had been archived before"
        )
        yield Finding(dataset.name, None, False, "watermarks", said, "trading-data restore")


def _missing(dataset: Dataset, known: _Archived, waiting: _Waiting) -> Iterator[Finding]:
    missing = Counter(known.missing) + waiting.missing
    if missing:
        said = (
            f"{sum(missing.values()):,} entries had been removed before they could be drained, from {_listed(missing)}"
        )
        yield Finding(dataset.name, None, False, "missing", said, f"trading-data import {dataset.name} FILE")


def _entries(
    dataset: Dataset, infos: Mapping[str, JournalInfo], undrained: Counter[str], known: _Archived, waiting: _Waiting
) -> Iterator[Finding]:
    books = known.books
    added = {ledger_name(name): info.added for name, info in infos.items()}
    unclear = known.read_again | waiting.unclear
    short = Counter[str]()
    for name, number in added.items():
        entries = known.watermarks.get(name, (BEGINNING, 0))[1]
        held = entries + undrained[name] + waiting.entries[name] + waiting.missing[name] + known.missing.get(name, 0)
        if number > held and name not in unclear:
            short[name] = number - held
    archived, waits, gone = (
        books.offered - books.replayed,
        waiting.entries.total(),
        books.missing + waiting.missing.total(),
    )
    lost = sum(added.values()) - archived - waits - undrained.total() - gone
    said = (
        f"{sum(added.values()):,} entries added to {len(added):,} journals: {archived:,} archived, {waits:,} waiting, "
        f"{undrained.total():,} not drained, {gone:,} missing"
    )
    if short or (lost > 0 and not unclear):
        where = f", from {_listed(short)}" if short else ""
        said = f"{max(lost, short.total()):,} entries are nowhere{where} ({said})"
        yield Finding(dataset.name, None, False, "journals", said, f"trading-data import {dataset.name} FILE")
    elif unclear or lost < 0 or known.watermarks.keys() - added.keys():
        said += "; whether that is all of them cannot be known, for a journal was emptied, went back, or moves just now"
        yield Finding(dataset.name, None, True, "journals", said)
    else:
        yield Finding(dataset.name, None, True, "journals", said)


def _listed(journals: Counter[str]) -> str:
    named = ", ".join(f"{name} ({number:,})" for name, number in journals.most_common(_NAMED))
    return named + (f" and {len(journals) - _NAMED:,} more" if len(journals) > _NAMED else "")
