"""Lost journal entries: neither archived, nor in the intake, nor in their journals.

Losses are found from ranges of entries, and from the number of entries ever added to a journal. No entry is read, so the search is
cheap enough for every archive run and for every minute. The journals are read first, then the intake, then the archive. Entries
move in that order, so an entry that moves meanwhile is seen twice, never missed.

Belongs here: finding, confirming and acknowledging losses. Does not: the account of all entries (`journals`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.database import Archive
from trading_data.archive.ledger import ArchivedRange, ranges_of
from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.archive.sql import statement
from trading_data.archive.verify.lost import Gap, Losses, Note
from trading_data.datasets.declaration import Dataset
from trading_data.errors import IntakeError
from trading_data.intake.accounted import of_this_incarnation
from trading_data.intake.batch import Batch, JournalRange
from trading_data.intake.store import BatchFile, Intake
from trading_data.live.connection import Client
from trading_data.live.journal import BEGINNING, EntryId, JournalInfo, execute, find_journals, inspect, raw
from trading_data.live.ranges import OF_EARLIER_RELEASES, EntryRange, first_gap, gaps, joined, newest

MISSING, BATCHES = "missing", "batches"
"""What can be acknowledged apart from gaps, which have names: a number of missing entries of a journal, and everything that the
batches of a dataset recorded as missing, up to a batch."""
_PROBES_PER_PIPELINE = 200

RangesByJournal = Mapping[str, list[EntryRange]]
"""Ranges by the journal's name in the ledger."""


@dataclass(frozen=True)
class IntakeHeads:
    """The batches that wait in the intake: their heads by content hash, and the errors of unreadable ones."""

    heads: Mapping[str, Batch]
    damaged: tuple[str, ...] = ()

    @property
    def ranges(self) -> Iterator[tuple[str, JournalRange]]:
        """Each range of journal entries in these batches, with the content hash of its batch."""
        for content_hash, head in self.heads.items():
            yield from ((content_hash, journal) for journal in head.journals if head.origin == "journal")

    @property
    def entries(self) -> int:
        """The number of journal entries in these batches."""
        return sum(journal.count for _, journal in self.ranges)


@dataclass(frozen=True)
class ArchivedJournals:
    """The archive's knowledge of a dataset's journals at one moment; journals by their names in the ledger.

    Attributes:
        ranges: the archived ranges.
        acknowledged: (journal, what) → the number of entries, or the last batch.
        missing: entries that loaded batches recorded as missing and that are not acknowledged.
        newest: the newest of these batches.
        loaded: content hashes of waiting batches that are loaded already.
    """

    ranges: Mapping[str, list[ArchivedRange]]
    acknowledged: Mapping[tuple[str, str], int] = field(default_factory=dict)
    missing: Counter[str] = field(default_factory=Counter)
    newest: int = 0
    loaded: frozenset[str] = frozenset()


class JournalSides:
    """What Redis, the intake and the archive hold of a dataset's journals; journals by their names in the ledger."""

    def __init__(self, infos: Mapping[str, JournalInfo], waiting: IntakeHeads, archived: ArchivedJournals) -> None:
        """Combine what was read; `infos` are by the journals' keys."""
        self.keys = {ledger_name(key): key for key in infos}
        self.infos = {name: infos[key] for name, key in self.keys.items()}
        self.archived = archived
        self.known = {name: [range_.entries for range_ in ranges] for name, ranges in archived.ranges.items()}
        self._counts = Counter(
            {name: sum(range_.count for range_ in ranges) for name, ranges in archived.ranges.items()}
        )
        self._certain_counts = Counter(self._counts)
        self._recorded_missing = Counter(archived.missing)
        for content_hash, journal in waiting.ranges:
            name = ledger_name(journal.journal)
            known = self.known.setdefault(name, [])
            if content_hash not in archived.loaded and not any(_covers(range_, journal.entries) for range_ in known):
                self._counts[name] += journal.count
                self._recorded_missing[name] += journal.missing
                if not any(_overlaps(range_, journal.entries) for range_ in known):
                    self._certain_counts[name] += journal.count
            known.append(journal.entries)
        self.gaps = {name: between for name, ranges in self.known.items() if (between := _gaps(name, ranges))}

    def current(self, client: Client, names: Iterable[str]) -> dict[str, list[EntryRange]]:
        """The ranges of these journals that apply to the journals as they are now."""
        names_by_key = {self.keys[name]: name for name in names if name in self.keys and self.known.get(name)}
        infos = {key: self.infos[name] for key, name in names_by_key.items()}
        ranges_by_key = of_this_incarnation(
            client, {key: self.known[name] for key, name in names_by_key.items()}, infos
        )
        return {names_by_key[key]: ranges for key, ranges in ranges_by_key.items()}

    def removed(self, name: str) -> int | None:
        """The number of entries that are neither counted by a range nor in the journal; None if the counts cannot show it.

        The counts are conclusive only for a journal with a single incarnation: a later incarnation may begin with entries of an
        earlier one.
        """
        ranges = self.known.get(name)
        if not ranges:
            return self.infos[name].added - self.infos[name].length
        first, end = ranges[0].incarnation, _end(ranges)
        if first <= OF_EARLIER_RELEASES or any(range_.incarnation != first for range_ in ranges) or end.added is None:
            return None
        return max(0, end.added - self._counts[name])

    def is_complete(self, name: str, removed: int | None) -> bool:
        """Whether every entry of a journal is counted: its gaps never held any, or their entries are back.

        A waiting batch that overlaps other ranges does not count: how many of its entries are new is known only once it is loaded.
        """
        return removed == 0 and (
            not self.known.get(name) or (_end(self.known[name]).added or 0) <= self._certain_counts[name]
        )

    def unacknowledged(self, name: str, removed: int | None) -> int:
        """The number of lost entries of a journal that are not acknowledged, given the result of `removed`.

        Entries acknowledged with a gap count as acknowledged only while the gap exists, so not once its batch is back.
        """
        if removed is None:
            return self._recorded_missing[name]
        acknowledged = self.archived.acknowledged
        with_gaps = sum(acknowledged.get((name, gap.name), 0) for gap in self.gaps.get(name, ()))
        return removed - acknowledged.get((name, MISSING), 0) - with_gaps


def read_sides(client: Client, archive: Archive, intake: Intake, dataset: Dataset) -> JournalSides:
    """Read all three sides: one XINFO a journal, the head of each waiting batch, and the archived ranges.

    Raises:
        LiveTierError, ArchiveTierError: a tier is unavailable.
        IntakeError: the intake cannot be listed. A damaged batch counts as absent.
    """
    infos = inspect(client, find_journals(client, dataset))
    waiting = heads(intake, intake.pending(dataset.name))
    with archive.transaction(snapshot=True) as cursor:
        return JournalSides(infos, waiting, read_archived_journals(cursor, dataset, waiting))


def heads(intake: Intake, files: Sequence[BatchFile]) -> IntakeHeads:
    """The heads of batches; a damaged one does not hide the others."""
    batches: dict[str, Batch] = {}
    damaged = []
    for file in files:
        try:
            head = intake.head(file)
        except IntakeError as error:
            damaged.append(str(error))
        else:
            if head is not None:
                batches[file.content_hash] = head
    return IntakeHeads(batches, tuple(damaged))


def read_archived_journals(cursor: Cursor, dataset: Dataset, waiting: IntakeHeads) -> ArchivedJournals:
    """The archive's knowledge of the journals, read in the caller's transaction."""
    values: dict[str, Any] = {"dataset": dataset.name, "hashes": list(waiting.heads)}
    ranges = ranges_of(cursor, dataset, None)
    cursor.execute("select journal, what, entries from archive_acknowledged where dataset = %(dataset)s", values)
    acknowledged = {(journal, what): int(entries) for journal, what, entries in cursor.fetchall()}
    cursor.execute(statement("journals_missing"), {**values, "since": acknowledged.get(("", BATCHES), 0)})
    recorded = cursor.fetchall()
    missing = Counter({name: int(number) for name, number, _ in recorded})
    newest_batch = max((batch for *_, batch in recorded), default=0)
    loaded: frozenset[str] = frozenset()
    if waiting.heads:
        cursor.execute("select content_hash from archive_ledger where content_hash = any(%(hashes)s)", values)
        loaded = frozenset(content_hash for (content_hash,) in cursor.fetchall())
    return ArchivedJournals(ranges, acknowledged, missing, newest_batch, loaded)


def find_losses(client: Client, archive: Archive, intake: Intake, dataset: Dataset) -> Losses:
    """The losses that one look finds; raises as `read_sides`."""
    return losses_of(client, read_sides(client, archive, intake, dataset))


def find_confirmed_losses(client: Client, archive: Archive, intake: Intake, dataset: Dataset) -> Losses:
    """The losses that two looks agree on; the second look is taken only if the first finds something. Raises as `read_sides`."""
    first = find_losses(client, archive, intake, dataset)
    return find_losses(client, archive, intake, dataset).only(first.journals) if first else first


def losses_of(client: Client, sides: JournalSides, tails: Mapping[str, int] | None = None) -> Losses:
    """The losses that follow from what the three sides hold.

    Args:
        client: of the live tier: journals with a gap are probed for entries in it.
        sides: what was read.
        tails: the number of entries in each journal after its last range, where they were counted. Without it, entries that were
            deleted one by one from the middle are found only after the next snapshot has drained the rest.
    """
    behind = {name: number for name, number in _removed_after_last_range(sides, tails) if number}
    current = sides.current(client, {*sides.gaps, *behind})
    all_gaps = [gap for between in sides.gaps.values() for gap in between]
    to_probe = [gap for gap in all_gaps if gap.incarnation == _incarnation(current, gap.journal)]
    in_journal = set(_with_entries(client, sides, to_probe))
    undecided = {gap.journal for gap in in_journal}
    missing, total, complete = Counter[str](), 0, set[str]()
    for name in {*sides.infos, *sides.known} - undecided:
        removed = sides.removed(name)
        total += removed or 0
        if sides.is_complete(name, removed):
            complete.add(name)
        if (number := sides.unacknowledged(name, removed)) > 0:
            missing[name] = number
    open_gaps = [
        gap
        for gap in all_gaps
        if gap not in in_journal
        and gap.journal not in complete
        and (gap.journal, gap.name) not in sides.archived.acknowledged
    ]
    nowhere = Counter({name: number for name, number in behind.items() if name in current})
    return Losses(tuple(open_gaps), missing, nowhere, tuple(_notes(sides, open_gaps, missing)), total)


def _notes(sides: JournalSides, open_gaps: Sequence[Gap], missing: Counter[str]) -> Iterator[Note]:
    """The notes that acknowledge gaps and missing entries. A journal's number goes with the first of its gaps, if it has any."""
    remaining = dict(missing)
    for gap in open_gaps:
        yield gap.journal, gap.name, remaining.pop(gap.journal, 0)
    for name, number in remaining.items():
        yield name, MISSING, number + sides.archived.acknowledged.get((name, MISSING), 0)
    if sides.archived.newest:
        yield "", BATCHES, sides.archived.newest


def acknowledge(client: Client, archive: Archive, intake: Intake, dataset: Dataset, reason: str) -> Losses:
    """Record that the losses of a dataset were looked into; returns them.

    This acknowledges gaps and missing entries, but not `nowhere`: the next snapshot has yet to record those.

    Raises:
        IntakeError: a waiting batch is damaged. The losses are not known until it is repaired or moved away.
    """
    damaged = heads(intake, intake.pending(dataset.name)).damaged
    if damaged:
        raise IntakeError(damaged[0])
    lost = find_confirmed_losses(client, archive, intake, dataset)
    if lost.gaps or lost.missing:
        journals, whats, entries = zip(*lost.notes, strict=True)
        values = {"dataset": dataset.name, "journals": list(journals), "whats": list(whats), "entries": list(entries)}
        with archive.transaction() as cursor:
            cursor.execute(statement("acknowledge"), {**values, "reason": reason})
    return lost


def _covers(outer: EntryRange, inner: EntryRange) -> bool:
    return outer.incarnation == inner.incarnation and outer.after <= inner.after and inner.last <= outer.last


def _overlaps(first: EntryRange, second: EntryRange) -> bool:
    return first.incarnation == second.incarnation and first.after < second.last and second.after < first.last


def _gaps(journal: str, ranges: Sequence[EntryRange]) -> list[Gap]:
    """The gaps between the ranges of each incarnation, and before its first range unless older incarnations cover those entries."""
    if len(ranges) == 1 and ranges[0].after == BEGINNING:
        return []
    by_incarnation: dict[int, list[EntryRange]] = {}
    for range_ in joined(ranges):
        by_incarnation.setdefault(range_.incarnation, []).append(range_)
    between: list[Gap] = []
    older: list[EntryRange] = []
    for number, parts in by_incarnation.items():
        if number > OF_EARLIER_RELEASES:
            between += [Gap(journal, number, after, upto) for after, upto in _uncovered(older, parts[0].after)]
        between += [Gap(journal, number, after, upto) for after, upto in gaps(parts)]
        older += parts
    return between


def _uncovered(ranges: Sequence[EntryRange], upto: EntryId) -> Iterator[tuple[EntryId, EntryId]]:
    """The parts of (0-0, upto] that no range of any incarnation covers."""
    covered = joined(range_._replace(incarnation=0) for range_ in ranges)
    while (gap := first_gap(covered, upto)) is not None and gap[0] < upto:
        after, until = gap[0], min(gap[1], upto)
        yield after, until
        covered = joined([*covered, EntryRange(0, after, until)])


def _removed_after_last_range(sides: JournalSides, tails: Mapping[str, int] | None) -> Iterator[tuple[str, int]]:
    """Per journal, the number of entries added after its last known range and no longer in it."""
    for name, info in sides.infos.items():
        if not (ranges := sides.known.get(name)):
            continue
        end = _end(ranges)
        if end.added is not None and info.last > end.last:
            most = info.length if info.first is None or info.first > end.last else info.length - 1
            yield name, max(0, info.added - end.added - (most if tails is None else tails.get(name, most)))


def _end(ranges: Sequence[EntryRange]) -> EntryRange:
    """The last range of the newest incarnation."""
    return newest(ranges)[-1] if len(ranges) > 1 else ranges[0]


def _incarnation(current: RangesByJournal, name: str) -> int | None:
    return current[name][-1].incarnation if name in current else None


def _with_entries(client: Client, sides: JournalSides, probed: Sequence[Gap]) -> Iterator[Gap]:
    """The gaps in which the journal still holds an entry."""
    for start in range(0, len(probed), _PROBES_PER_PIPELINE):
        block = probed[start : start + _PROBES_PER_PIPELINE]
        pipeline = client.pipeline(transaction=False)
        for gap in block:
            pipeline.xrange(cast(str, raw(sides.keys[gap.journal])), f"({gap.after}", str(gap.upto), 1)
        replies: list[list[Any]] = execute(client, pipeline, [])
        yield from (gap for gap, entries in zip(block, replies, strict=True) if entries)
