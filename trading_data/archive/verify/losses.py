"""Journal entries that are nowhere: neither archived, nor in the intake, nor in their journals.

They are found by ranges, and by how many entries were ever added to a journal. No entry is read, so every archive run can look,
and every minute. The journals are asked first, then the intake, then the archive. Entries move in that order, so one that moves
meanwhile is seen twice, never missed.

Belongs here: finding, confirming and acknowledging what is lost. Does not: the account of all entries (`journal_accounts`).
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
from trading_data.archive.verify.lost import Gap, Lost, Note
from trading_data.datasets.declaration import Dataset
from trading_data.errors import IntakeError
from trading_data.intake.accounted import of_this_incarnation
from trading_data.intake.batch import Batch, JournalRange
from trading_data.intake.store import BatchFile, Intake
from trading_data.live.connection import Client
from trading_data.live.journal import BEGINNING, EntryId, JournalInfo, execute, find_journals, inspect, raw
from trading_data.live.ranges import OF_EARLIER_RELEASES, EntryRange, first_gap, gaps, joined, newest

MISSING, BATCHES = "missing", "batches"
"""What is acknowledged beside gaps, which have names: a number of entries of a journal; and what batches of a dataset noted as
missing, up to a batch."""
_PROBES_PER_PIPELINE = 200

Known = Mapping[str, list[EntryRange]]
"""Ranges by the journal's name in the ledger."""


@dataclass(frozen=True)
class IntakeHeads:
    """The batches that wait in the intake: their heads by content hash, and the errors of those that cannot be read."""

    heads: Mapping[str, Batch]
    damaged: tuple[str, ...] = ()

    @property
    def ranges(self) -> Iterator[tuple[str, JournalRange]]:
        """Each range of journal entries that they hold, with the content hash of its batch."""
        for content_hash, head in self.heads.items():
            yield from ((content_hash, journal) for journal in head.journals if head.origin == "journal")

    @property
    def entries(self) -> int:
        """How many journal entries they hold."""
        return sum(one.count for _, one in self.ranges)


@dataclass(frozen=True)
class Archived:
    """What the archive knows of a dataset's journals at one moment; journals by their names in the ledger.

    Attributes:
        ranges: what is archived.
        acknowledged: (journal, what) → how many entries, or up to which batch.
        missing: entries that loaded batches noted as missing, and that are not acknowledged.
        newest: the newest of these batches.
        loaded: content hashes of waiting batches that are loaded already.
    """

    ranges: Mapping[str, list[ArchivedRange]]
    acknowledged: Mapping[tuple[str, str], int] = field(default_factory=dict)
    missing: Counter[str] = field(default_factory=Counter)
    newest: int = 0
    loaded: frozenset[str] = frozenset()


class Sides:
    """What Redis, the intake and the archive say of a dataset's journals; journals by their names in the ledger."""

    def __init__(self, infos: Mapping[str, JournalInfo], waiting: IntakeHeads, archived: Archived) -> None:
        """Put together what was asked; `infos` are by the journals' keys."""
        self.keys = {ledger_name(key): key for key in infos}
        self.infos = {name: infos[key] for name, key in self.keys.items()}
        self.archived = archived
        self.known = {name: [one.entries for one in range_] for name, range_ in archived.ranges.items()}
        self._counts = Counter({name: sum(one.count for one in range_) for name, range_ in archived.ranges.items()})
        self._surely = Counter(self._counts)
        self._noted = Counter(archived.missing)
        for content_hash, one in waiting.ranges:
            name = ledger_name(one.journal)
            known = self.known.setdefault(name, [])
            if content_hash not in archived.loaded and not any(_covers(other, one.entries) for other in known):
                self._counts[name] += one.count
                self._noted[name] += one.missing
                if not any(_overlaps(other, one.entries) for other in known):
                    self._surely[name] += one.count
            known.append(one.entries)
        self.holes = {name: found for name, ranges in self.known.items() if (found := _holes(ranges))}

    def current(self, client: Client, names: Iterable[str]) -> dict[str, list[EntryRange]]:
        """Of these journals, the ranges that hold for the journals as they are now."""
        here = {self.keys[name]: name for name in names if name in self.keys and self.known.get(name)}
        infos = {key: self.infos[name] for key, name in here.items()}
        found = of_this_incarnation(client, {key: self.known[name] for key, name in here.items()}, infos)
        return {here[key]: ranges for key, ranges in found.items()}

    def removed(self, name: str) -> int | None:
        """How many entries of a journal are neither counted by a range nor in the journal; None where no count tells.

        It tells of a journal that has had one incarnation only: another one may begin with entries that an earlier one had.
        """
        ranges = self.known.get(name)
        if not ranges:
            return self.infos[name].added - self.infos[name].length
        first, end = ranges[0].incarnation, _end(ranges)
        if first <= OF_EARLIER_RELEASES or any(range_.incarnation != first for range_ in ranges) or end.added is None:
            return None
        return max(0, end.added - self._counts[name])

    def is_whole(self, name: str, removed: int | None) -> bool:
        """Whether every entry of a journal is counted: its gaps have held none, or what they held is back.

        Of a batch that waits, and overlaps others, it is not known before it is loaded how many entries are counted already.
        """
        return removed == 0 and (not self.known.get(name) or (_end(self.known[name]).added or 0) <= self._surely[name])

    def left(self, name: str, number: int | None) -> int:
        """How many entries of a journal are lost and not acknowledged, by what `removed` says.

        What was acknowledged with a gap counts as long as there is that gap: once its batch is back it counts no more.
        """
        if number is None:
            return self._noted[name]
        acknowledged = self.archived.acknowledged
        with_gaps = (acknowledged.get((name, Gap(name, *hole).name), 0) for hole in self.holes.get(name, ()))
        return number - acknowledged.get((name, MISSING), 0) - sum(with_gaps)


def ask(client: Client, archive: Archive, intake: Intake, dataset: Dataset) -> Sides:
    """Ask all three sides: one XINFO a journal, the head of each waiting batch, and the archived ranges.

    Raises:
        LiveTierError, ArchiveTierError: a tier is away.
        IntakeError: the intake cannot be listed. A damaged batch counts as one that is not there.
    """
    infos = inspect(client, find_journals(client, dataset))
    waiting = heads(intake, intake.pending(dataset.name))
    with archive.transaction(snapshot=True) as cursor:
        return Sides(infos, waiting, archived_journals(cursor, dataset, waiting))


def heads(intake: Intake, files: Sequence[BatchFile]) -> IntakeHeads:
    """The heads of batches; one that is damaged hides no other."""
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


def archived_journals(cursor: Cursor, dataset: Dataset, waiting: IntakeHeads) -> Archived:
    """What the archive knows of the journals, in a transaction of the caller's."""
    values: dict[str, Any] = {"dataset": dataset.name, "hashes": list(waiting.heads)}
    ranges = ranges_of(cursor, dataset, None)
    cursor.execute("select journal, what, entries from archive_acknowledged where dataset = %(dataset)s", values)
    acknowledged = {(journal, what): int(entries) for journal, what, entries in cursor.fetchall()}
    cursor.execute(statement("journals_missing"), {**values, "since": acknowledged.get(("", BATCHES), 0)})
    noted = cursor.fetchall()
    missing = Counter({name: int(number) for name, number, _ in noted})
    newest_batch = max((batch for *_, batch in noted), default=0)
    loaded: frozenset[str] = frozenset()
    if waiting.heads:
        cursor.execute("select content_hash from archive_ledger where content_hash = any(%(hashes)s)", values)
        loaded = frozenset(name for (name,) in cursor.fetchall())
    return Archived(ranges, acknowledged, missing, newest_batch, loaded)


def look_for_lost(client: Client, archive: Archive, intake: Intake, dataset: Dataset) -> Lost:
    """What is lost by one look; raises as `ask`."""
    return lost_of(client, ask(client, archive, intake, dataset))


def confirmed_lost(client: Client, archive: Archive, intake: Intake, dataset: Dataset) -> Lost:
    """What is lost by two looks, of which the second one is needed only if the first one finds something; raises as `ask`."""
    first = look_for_lost(client, archive, intake, dataset)
    return look_for_lost(client, archive, intake, dataset).only(first.journals) if first else first


def lost_of(client: Client, sides: Sides, tails: Mapping[str, int] | None = None) -> Lost:
    """What is lost by what the three sides say.

    Args:
        client: of the live tier: journals with a gap are asked whether they hold its entries.
        sides: what they say.
        tails: how many entries each journal holds after its last range, where they were counted. Without it entries that were
            deleted one by one out of the middle are found only once the next snapshot has drained the rest.
    """
    behind = {name: number for name, number in _behind(sides, tails) if number}
    current = sides.current(client, {*sides.holes, *behind})
    gaps_now = [Gap(name, *hole) for name, found in sides.holes.items() for hole in found]
    held = set(_held(client, sides, [one for one in gaps_now if one.incarnation == _incarnation(current, one.journal)]))
    undecided = {one.journal for one in held}
    missing, total, whole = Counter[str](), 0, set[str]()
    for name in {*sides.infos, *sides.known} - undecided:
        removed = sides.removed(name)
        total += removed or 0
        if sides.is_whole(name, removed):
            whole.add(name)
        if (number := sides.left(name, removed)) > 0:
            missing[name] = number
    open_gaps = [
        one
        for one in gaps_now
        if one not in held and one.journal not in whole and (one.journal, one.name) not in sides.archived.acknowledged
    ]
    nowhere = Counter({name: number for name, number in behind.items() if name in current})
    return Lost(tuple(open_gaps), missing, nowhere, tuple(_notes(sides, open_gaps, missing)), total)


def _notes(sides: Sides, gaps_now: Sequence[Gap], missing: Counter[str]) -> Iterator[Note]:
    """What acknowledges gaps and missing entries. The number of a journal goes with the first of its gaps, if it has any."""
    left = dict(missing)
    for one in gaps_now:
        yield one.journal, one.name, left.pop(one.journal, 0)
    for name, number in left.items():
        yield name, MISSING, number + sides.archived.acknowledged.get((name, MISSING), 0)
    if sides.archived.newest:
        yield "", BATCHES, sides.archived.newest


def acknowledge(client: Client, archive: Archive, intake: Intake, dataset: Dataset, reason: str) -> Lost:
    """Note that what a dataset has lost was looked into; returns what it had lost.

    Its gaps and missing entries are acknowledged by that, but not what is `nowhere`: the next snapshot is still to note it.

    Raises:
        IntakeError: a waiting batch is damaged: what is lost is not known before it is repaired or moved away.
    """
    damaged = heads(intake, intake.pending(dataset.name)).damaged
    if damaged:
        raise IntakeError(damaged[0])
    found = confirmed_lost(client, archive, intake, dataset)
    if found.gaps or found.missing:
        journals, whats, entries = zip(*found.notes, strict=True)
        values = {"dataset": dataset.name, "journals": list(journals), "whats": list(whats), "entries": list(entries)}
        with archive.transaction() as cursor:
            cursor.execute(statement("acknowledge"), {**values, "reason": reason})
    return found


def _covers(whole: EntryRange, part: EntryRange) -> bool:
    return whole.incarnation == part.incarnation and whole.after <= part.after and part.last <= whole.last


def _overlaps(entry_range: EntryRange, other: EntryRange) -> bool:
    return (
        entry_range.incarnation == other.incarnation
        and entry_range.after < other.last
        and other.after < entry_range.last
    )


Hole = tuple[int, EntryId, EntryId]
"""An incarnation, and the part (after, upto) of it that no range covers although a later one does."""


def _holes(ranges: Sequence[EntryRange]) -> list[Hole]:
    """Between the ranges of each incarnation, and before its first one as far as no older incarnation has had those entries."""
    if len(ranges) == 1 and ranges[0].after == BEGINNING:
        return []
    by_incarnation: dict[int, list[EntryRange]] = {}
    for one in joined(ranges):
        by_incarnation.setdefault(one.incarnation, []).append(one)
    found: list[Hole] = []
    older: list[EntryRange] = []
    for number, parts in by_incarnation.items():
        if number > OF_EARLIER_RELEASES:
            found += [(number, after, upto) for after, upto in _uncovered(older, parts[0].after)]
        found += [(number, after, upto) for after, upto in gaps(parts)]
        older += parts
    return found


def _uncovered(ranges: Sequence[EntryRange], upto: EntryId) -> Iterator[tuple[EntryId, EntryId]]:
    """The parts of (0-0, upto] that no range covers, of whatever incarnation."""
    covered = joined(range_._replace(incarnation=0) for range_ in ranges)
    while (gap := first_gap(covered, upto)) is not None and gap[0] < upto:
        after, until = gap[0], min(gap[1], upto)
        yield after, until
        covered = joined([*covered, EntryRange(0, after, until)])


def _behind(sides: Sides, tails: Mapping[str, int] | None) -> Iterator[tuple[str, int]]:
    """Of each journal, how many entries were added after its last known range and are not in it any more."""
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


def _incarnation(current: Known, name: str) -> int | None:
    return current[name][-1].incarnation if name in current else None


def _held(client: Client, sides: Sides, asked: Sequence[Gap]) -> Iterator[Gap]:
    for start in range(0, len(asked), _PROBES_PER_PIPELINE):
        block = asked[start : start + _PROBES_PER_PIPELINE]
        pipeline = client.pipeline(transaction=False)
        for one in block:
            pipeline.xrange(cast(str, raw(sides.keys[one.journal])), f"({one.after}", str(one.upto), 1)
        replies: list[list[Any]] = execute(client, pipeline, [])
        yield from (one for one, entries in zip(block, replies, strict=True) if entries)
