"""What has to hold in the end of every fair continuation: all batches are back, and archivers run until nothing changes.

Belongs here: those ends. Does not: what has to hold at each step (`archivers`).
"""

from trading_data_tests.worlds.archivers import committed, delete, drain_all, first_waiting, trim_all
from trading_data_tests.worlds.parts import JOURNAL_OF_KEY, Entry
from trading_data_tests.worlds.world import Broken, File, Rules, World, accepted, held, names

MOST_STEPS = 40
"""So many steps have to be enough for nothing to change any more."""

_ends: dict[tuple[World, Rules], World] = {}
"""What worlds become that are left alone: those on the way there as well."""


def check_end(world: World, rules: Rules) -> bool:
    """Settle a world with all batches back, and with those away that are, which come back then; returns whether all is ordered.

    Every entry that was anywhere is counted in the archive, and no other; the row of each key is the value accepted last, unless
    that one waits in quarantine because nobody can know.

    Raises:
        Broken: a property does not hold.
        Outside: a journal was taken for another one.
    """
    alone = world._replace(live_before=(), archive_before=(), slow=None, lies=())
    ends = [_settled(_all_home(alone), rules)]
    if any(file.away for file in alone.files):
        ends.append(_settled(_all_home(_settled(alone, rules)), rules))
    entries = held(world)
    for end in ends:
        if lost := entries - end.archive.counted:
            raise Broken(f"in the end {names(lost)} is not archived")
        if added := end.archive.counted - entries:
            raise Broken(f"in the end {names(added)} is archived, from nowhere")
        _check_newest(end, world.lies)
    return not any(end.archive.quarantine for end in ends)


def forget_ends() -> None:
    """Make room."""
    _ends.clear()


def _all_home(world: World) -> World:
    if not any(file.away or file.late for file in world.files):
        return world
    return world._replace(files=tuple(File(file.batch) for file in world.files))


def _settled(world: World, rules: Rules) -> World:
    """Load, snapshot and trim until nothing changes."""
    way = []
    while (end := _ends.get((world, rules))) is None:
        way.append(world)
        if len(way) > MOST_STEPS:
            raise Broken("snapshot and load never come to an end")
        after = _next_step(world, rules)._replace(live_before=(), archive_before=())
        if after == world:
            end = world
            break
        world = after
    for on_the_way in way:
        _ends[on_the_way, rules] = end
    return end


def _next_step(world: World, rules: Rules) -> World:
    at = first_waiting(world)
    if at is not None:
        return delete(committed(world, rules, at), at)
    after = drain_all(world, rules)
    return trim_all(world, rules) if after is world else after


def _check_newest(world: World, lies: tuple[tuple[Entry, int, int], ...]) -> None:
    moments = accepted(lies)
    for key, row in enumerate(world.archive.rows):
        every = [entry for entry in world.archive.counted if entry.key == key]
        if not every or JOURNAL_OF_KEY[key] in world.unordered:
            continue
        when = {entry: moments.get(entry, (entry.id.ms, entry.id.ms)) for entry in every}
        since = max(first for first, _ in when.values())
        newest = frozenset(entry for entry in every if when[entry][1] >= since)
        if not any((row and row.value == entry.value) or entry in world.archive.quarantine for entry in newest):
            raise Broken(f"{names(newest)} was accepted last, and the row says {row and row.value}")
