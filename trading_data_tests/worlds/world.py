"""One state of a small world, and the rules by which it goes on.

Belongs here: what a state is, and questions about it. Does not: the steps (`producers`, `archivers`, `returns`), and what has to
hold in the end (`settle`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from trading_data.live.journal import EntryId
from trading_data.live.ranges import EntryRange
from trading_data_tests.worlds.archive_tier import Faults
from trading_data_tests.worlds.live_tier import Known, Relied, Written
from trading_data_tests.worlds.parts import EMPTY, FIRST_MS, VALUES, Archive, Batch, Entries, Entry, Journal, Live, the


class Broken(AssertionError):
    """A property does not hold."""


class Outside(Exception):
    """A journal is taken for one that it is not. What comes of that is not looked at: see `explore`."""


class File(NamedTuple):
    """A batch file: moved away or not; `late` if somebody has loaded it and will yet delete it."""

    batch: Batch
    away: bool = False
    late: bool = False


class Slow(NamedTuple):
    """A second archiver that stands still in the middle of a step, with what it knows. It may have lost its lease.

    Attributes:
        stage: what it has done: asked (the archive), inspected (the journals), read (them), or looked what to trim.
        archived, waiting, live, clock: what it has seen, and when.
        written: what it is about to write.
        counted: what was archived when it asked.
    """

    stage: str
    archived: Known = ()
    waiting: tuple[Batch, ...] = ()
    live: Live = the(Live)
    clock: int = 0
    written: tuple[Written, ...] = ()
    counted: Entries = frozenset()


class End(NamedTuple):
    """What a journal had had, in truth, when a range of it ended. No code of the project knows that."""

    journal: int
    incarnation: int
    last: EntryId
    past: tuple[Entry, ...]


class World(NamedTuple):
    """One state.

    Attributes:
        now: the moment.
        live, live_before: the live tier, and the states to which it can go back, the newest first.
        files: batch files in their order.
        archive, archive_before: the archive, and the commits to which it can go back, the newest first.
        slow: an archiver that stands still.
        lies: entries whose id does not say when they were accepted: when that was at first, and at last (the same entry again).
        unordered: journals of which nobody can know in which order their entries were accepted, see `archivers`.
        ends: of all ranges that were ever written.
    """

    now: int = FIRST_MS
    live: Live = the(Live)
    live_before: tuple[Live, ...] = ()
    files: tuple[File, ...] = ()
    archive: Archive = the(Archive)
    archive_before: tuple[Archive, ...] = ()
    slow: Slow | None = None
    lies: tuple[tuple[Entry, int, int], ...] = ()
    unordered: frozenset[int] = frozenset()
    ends: frozenset[End] = frozenset()


@dataclass(frozen=True, eq=False)
class Rules:
    """What can happen in a world.

    Attributes:
        name: for people.
        steps: names of the steps, see `explore.STEPS`.
        keys: which keys are written.
        clocks: how ids are chosen: by a clock that goes on (now), or by one that is behind: equal to or lower than a lost id.
        back: how many states each tier can go back.
        events: how many entries are accepted at most.
        values: how many values a key can have.
        reads_late: whether something can happen between B's look at the journals and its reading of them.
        note: whether the note in Redis is kept. It counts only while the archive cannot be asked.
        faults: which faults the load path has.
    """

    name: str
    steps: tuple[str, ...]
    keys: tuple[int, ...] = (0,)
    clocks: tuple[str, ...] = ("now",)
    back: int = 1
    events: int = 4
    values: int = VALUES
    reads_late: bool = False
    note: bool = False
    faults: Faults = frozenset()

    @property
    def nothing_goes_back(self) -> bool:
        """Whether nothing can be missing, and everything can be ordered."""
        return not {"away", "archive back", "live back", "anew"} & set(self.steps)


Step = tuple[str, World]
Steps = Iterator[Step]


def held(world: World) -> Entries:
    """All entries that are somewhere: in the archive, in a batch, in a journal."""
    return world.archive.counted | in_files(world.files) | in_journals(world.live)


def ever(world: World) -> Entries:
    """The entries that are or were somewhere."""
    found = held(world).union(*(journal.past for journal in world.live.journals if journal))
    return found.union(*map(in_journals, world.live_before), *(one.counted for one in world.archive_before))


@cache
def in_journals(live: Live) -> Entries:
    """The entries in the journals of a live tier."""
    return frozenset(entry for journal in live.journals if journal for entry in journal.entries)


def in_files(files: tuple[File, ...]) -> Entries:
    """The entries in batch files, also in those that are away."""
    return frozenset(row for file in files for row in file.batch.rows)


def archived(archive: Archive) -> Known:
    """What an archive says when it is asked for its ranges."""
    return tuple(tuple(range_.entries for range_ in ranges) for ranges in archive.ranges)


def waiting(world: World) -> tuple[Batch, ...]:
    """The batches whose heads a snapshot reads."""
    return tuple(file.batch for file in world.files if not file.away)


def before(world: World, rules: Rules) -> tuple[Live, ...]:
    """The states to which the live tier can go back after its next change."""
    return (world.live, *world.live_before)[: rules.back]


def accepted(lies: tuple[tuple[Entry, int, int], ...]) -> dict[Entry, tuple[int, int]]:
    """When the entries whose ids lie were accepted, at first and at last."""
    return {entry: (first, last) for entry, first, last in lies}


def check_relied(world: World, live: Live, relied: Relied) -> None:
    """Look whether journals are those that they were taken for; one that anybody can tell from it goes on, and breaks something.

    Raises:
        Outside: one is another, and that cannot be told.
    """
    for at, end in relied:
        journal = live.journals[at] or EMPTY
        known = End(at, end.incarnation, end.last, journal.past_upto(end.last)) in world.ends
        if not known and cannot_be_told(journal, end):
            raise Outside


def cannot_be_told(journal: Journal, end: EntryRange) -> bool:
    """Whether a journal looks like the one that a range is about: by the entry at its end, and by how many were ever added.

    How many is not known of a range that was drained later than one behind it.
    """
    anchor = next((entry for entry in journal.entries if entry.id == end.last), None)
    if anchor is None:
        trimmed = journal.first is None or journal.first > end.last
        return trimmed and (end.added or 0) <= journal.added - len(journal.entries)
    if end.added is None or journal.last > end.last:
        return anchor.digest == end.anchor and (end.added or 0) < journal.added
    return anchor.digest == end.anchor and end.added == journal.added


def names(entries: Entries) -> str:
    """Entries for people."""
    return ", ".join(str(entry) for entry in sorted(entries))
