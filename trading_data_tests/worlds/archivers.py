"""What archivers do: snapshot, load, trim; each may die at any boundary, or stand still and go on later.

The lease is left out: a process that looked at it, stood still, and goes on after it was lost, can do whatever one can do that
never had it.
"""

from collections.abc import Iterator
from functools import cache

from trading_data.archive.plan import Count
from trading_data.live.ranges import EntryRange, joined
from trading_data_tests.worlds.archive_tier import Loaded, load
from trading_data_tests.worlds.live_tier import Drained, Known, Trimmed, Written, drain, trim
from trading_data_tests.worlds.parts import EMPTY, JOURNALS, Archive, Batch, Entries, Live
from trading_data_tests.worlds.world import (
    Broken,
    End,
    File,
    Outside,
    Rules,
    Slow,
    Step,
    Steps,
    World,
    archived,
    before,
    cannot_be_told,
    check_relied,
    in_files,
    in_journals,
    names,
    waiting,
)


def take_snapshot(world: World, rules: Rules) -> Steps:
    """The journals are drained."""
    yield from _writing(world, rules, _drain(world, archived(world.archive)).written, "snapshot", world.live)


def take_snapshot_without_archive(world: World, rules: Rules) -> Steps:
    """The same while the archive cannot be asked."""
    yield from _writing(world, rules, _drain(world, world.live.note).written, "snapshot without archive", world.live)


def lose_note(world: World, rules: Rules) -> Steps:
    """Redis forgets what was drained."""
    if any(world.live.note):
        yield "note lost", world._replace(live=world.live.having(note=((),) * JOURNALS))


def snapshot_slowly(world: World, rules: Rules) -> Steps:
    """A second archiver, B, asks the archive, inspects and reads the journals, and writes; anything happens in between."""
    slow = world.slow
    if slow is None:
        slow = Slow("asked", archived(world.archive))
        yield "B asks the archive", world._replace(slow=slow)
    if slow.stage == "asked":
        slow = Slow("inspected", slow.archived, waiting(world), world.live, world.now)
        if rules.reads_late:
            yield "B inspects the journals", world._replace(slow=slow)
    if slow.stage == "inspected":
        found = drain(slow.live, world.live, slow.archived, slow.waiting, slow.clock, world.now, "B")
        check_relied(world, slow.live, found.relied)
        _check_read(world, found)
        reading = Slow("read", live=world.live, written=found.written) if found.written else None
        yield "B reads the journals", world._replace(slow=reading)
    elif slow.stage == "read":
        for name, after in _writing(world, rules, slow.written, "B writes", slow.live):
            yield name, after._replace(slow=None)


def drain_all(world: World, rules: Rules) -> World:
    """The world after a snapshot."""
    for written in _drain(world, archived(world.archive)).written:
        world = put(world, rules, written, world.live)
    return world


def load_first(world: World, rules: Rules) -> Steps:
    """The first batch that waits is loaded and deleted."""
    at = first_waiting(world)
    if at is not None:
        yield "load", delete(committed(world, rules, at), at)


def load_and_die(world: World, rules: Rules) -> Steps:
    """The first batch that waits is loaded, and stays."""
    at = first_waiting(world)
    if at is not None and (after := committed(world, rules, at)) != world:
        yield "load, died before it deleted the batch", after


def load_slowly(world: World, rules: Rules) -> Steps:
    """A loader stands still between its commit and the deletion of the batch."""
    late = next((at for at, file in enumerate(world.files) if file.late), None)
    if late is not None:
        if not world.files[late].away:
            yield "B deletes the batch", delete(world, late)
    elif (at := first_waiting(world)) is not None and (after := committed(world, rules, at)) != world:
        yield "B loads, and stands still", moved(after, at, world.files[at]._replace(late=True))


def run_all(world: World, rules: Rules) -> Steps:
    """A whole run: what waits is loaded, the journals are drained, and that is loaded too."""
    after = _load_all(drain_all(_load_all(world, rules), rules), rules)
    if after is not world:
        yield "archive", after


def trim_journals(world: World, rules: Rules) -> Steps:
    """The journals are trimmed; no hot window keeps anything."""
    after = trim_all(world, rules)
    if after is not world:
        yield "trim", after


def trim_in_need(world: World, rules: Rules) -> Steps:
    """The archive is away and memory is full: the journals are trimmed of all that is durable, in the intake or by the note."""
    found: list[list[EntryRange]] = [list(ranges) for ranges in world.live.note]
    for batch in waiting(world):
        for journal, one in batch.ranges:
            found[journal].append(one)
    trimmed = trim(world.live, world.live, tuple(map(tuple, found)))
    check_relied(world, world.live, trimmed.relied)
    after = _after_trim(world, rules, trimmed.live, world.archive.counted | in_files(world.files))
    if after is not world:
        yield "trim of what is durable", after


def trim_slowly(world: World, rules: Rules) -> Steps:
    """B looks what to trim, stands still, and trims."""
    slow = world.slow
    if slow is None:
        found = Slow("trim", archived(world.archive), live=world.live, counted=world.archive.counted)
        yield "B looks what to trim", world._replace(slow=found)
    elif slow.stage == "trim":
        trimmed = trim(slow.live, world.live, slow.archived)
        check_relied(world, slow.live, trimmed.relied)
        _check_first(slow.live, world.live)
        yield "B trims", _after_trim(world, rules, trimmed.live, slow.counted)._replace(slow=None)


def trim_all(world: World, rules: Rules) -> World:
    """The world after a trim.

    Raises:
        Broken: it removed an entry that is not archived.
    """
    trimmed: Trimmed = trim(world.live, world.live, archived(world.archive))
    check_relied(world, world.live, trimmed.relied)
    return _after_trim(world, rules, trimmed.live, world.archive.counted)


def first_waiting(world: World) -> int | None:
    """The place of the batch that is loaded next."""
    return next((at for at, file in enumerate(world.files) if not file.away), None)


def committed(world: World, rules: Rules, at: int) -> World:
    """The world after a batch was loaded, and before it is deleted.

    Raises:
        Broken: an entry was taken for a repetition that it is not, or counted twice, or is not to be found.
    """
    batch = world.files[at].batch
    found = load(world.archive, batch, rules.faults)
    if found.archive is world.archive:
        return world
    _check_loaded(world.archive, batch, found)
    earlier = (world.archive, *world.archive_before)[: rules.back]
    return world._replace(archive=found.archive, archive_before=earlier)


def delete(world: World, at: int) -> World:
    """Delete a batch file. The ledger need not remember a batch whose file is nowhere."""
    batch = world.files[at].batch
    world = world._replace(files=world.files[:at] + world.files[at + 1 :])
    if any(file.batch is batch for file in world.files):
        return world
    earlier = tuple(_forget(one, batch) for one in world.archive_before)
    return world._replace(archive=_forget(world.archive, batch), archive_before=earlier)


def moved(world: World, at: int, file: File) -> World:
    """Another file in the place of one."""
    return world._replace(files=(*world.files[:at], file, *world.files[at + 1 :]))


def put(world: World, rules: Rules, written: Written, read: Live) -> World:
    """The world after a batch became durable, whose entries were read of a live tier."""
    batch = written.batch
    told = rules.nothing_goes_back and batch.who != "B"  # who knows what was archived when it looked at the journals
    if told and (wrong := [part for part in batch.parts if part.missing]):
        raise Broken(f"{wrong[0].missing} entries of journal {wrong[0].journal} are said to be missing, and are not")
    ends = (
        End(journal, one.incarnation, one.last, (read.journals[journal] or EMPTY).past_upto(one.last))
        for journal, one in batch.ranges
    )
    return world._replace(
        files=(*world.files, File(batch)),
        unordered=world.unordered.union(_unordered(world, batch, read)),
        ends=world.ends.union(ends),
    )


def _drain(world: World, known: Known) -> Drained:
    found = drain(world.live, world.live, known, waiting(world), world.now, world.now, "A")
    check_relied(world, world.live, found.relied)
    return found


def _writing(world: World, rules: Rules, found: tuple[Written, ...], what: str, read: Live) -> Iterator[Step]:
    """A snapshot that dies after each of its batches, and one that does not; before or after its note."""
    after = world
    for count, written in enumerate(found, 1):
        before_note = put(after, rules, written, read)
        after = _noted(before_note, written) if rules.note else before_note
        died = f", died after {count} of {len(found)}" if count < len(found) else ""
        yield what + died, after
        if rules.note:
            yield f"{what}{died or ', died'} before the note", before_note


def _noted(world: World, written: Written) -> World:
    moved_to = dict(written.noted)
    note = tuple(moved_to.get(at, ranges) for at, ranges in enumerate(world.live.note))
    return world._replace(live=world.live.having(note=note))


def _check_read(world: World, drained: Drained) -> None:
    """Look whether a journal was made anew between the look at it and the reading, with as many entries and the same ids.

    Raises:
        Outside: so it was.
    """
    relied = dict(drained.relied)
    for journal, one in (pair for written in drained.written for pair in written.batch.ranges):
        now, end = world.live.journals[journal], relied.get(journal)
        if now is None or end is None:
            continue
        known = End(journal, end.incarnation, end.last, now.past_upto(end.last)) in world.ends
        if not known and cannot_be_told(now, one):
            raise Outside


def _check_first(looked: Live, now: Live) -> None:
    """Look whether journals went back, between a trim's look at them and its cut, to what they had been before another trim.

    Raises:
        Outside: so they did.
    """
    for before_cut, journal in zip(looked.journals, now.journals, strict=True):
        if before_cut and journal and journal.first and before_cut.first and journal.first < before_cut.first:
            raise Outside


def _unordered(world: World, batch: Batch, read: Live) -> Iterator[int]:
    """Journals that went back without the knowledge of who wrote a batch, which is numbered before what they had had, or as that.

    Only a batch that was away knew, or one that somebody held at the same time, or B had looked at the journals before.
    """
    late = batch.who == "B"
    others = [file.batch for file in world.files if file.away or late]
    others += [part.batch for part in world.slow.written] if world.slow else []
    unknown = [(journal, part.incarnation) for other in others for journal, part in other.ranges]
    entries = {entry for other in others for entry in other.rows}
    if late:
        unknown += [(at, range_.incarnation) for at, ranges in enumerate(archived(world.archive)) for range_ in ranges]
        entries |= world.archive.counted
    for journal, number in unknown:
        past = {*(read.journals[journal] or EMPTY).past, *(world.live.journals[journal] or EMPTY).past}
        lost = any(entry.journal == journal and entry not in past for entry in entries)
        if lost and any(at == journal and part.incarnation <= number for at, part in batch.ranges):
            yield journal


def _load_all(world: World, rules: Rules) -> World:
    while (at := first_waiting(world)) is not None:
        world = delete(committed(world, rules, at), at)
    return world


def _check_loaded(earlier: Archive, batch: Batch, loaded: Loaded) -> None:
    after = loaded.archive
    for entry, count in zip(batch.rows, loaded.counts, strict=True):
        if count == Count.REPLAYED and entry not in earlier.counted:
            raise Broken(f"{entry} was taken for a repetition, and is none: it is lost")
        if count != Count.REPLAYED and entry in earlier.counted:
            raise Broken(f"{entry} was counted twice")
        if not after.shows(entry):
            raise Broken(f"{entry} is neither the row nor a revision nor in quarantine")
    if sum(range_.count for ranges in after.ranges for range_ in ranges) < sum(
        one.journal >= 0 for one in after.counted
    ):
        raise Broken("the archived ranges count fewer entries than the ledger")
    for ranges in archived(after):
        if joined(ranges) != list(ranges):
            raise Broken("the archived ranges are not joined")


@cache
def _forget(archive: Archive, batch: Batch) -> Archive:
    return archive.having(ledger=archive.ledger - {batch}) if batch in archive.ledger else archive


def _after_trim(world: World, rules: Rules, live: Live, counted: Entries) -> World:
    if live is world.live:
        return world
    if lost := in_journals(world.live) - in_journals(live) - counted:
        raise Broken(f"trim removed {names(lost)}, not archived")
    return world._replace(live=live, live_before=before(world, rules))
