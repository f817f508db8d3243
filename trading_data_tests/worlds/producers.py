"""What is accepted: journal entries, files, latest values.

Symmetries are used here: of keys of one journal that were never used, of such journals, and of values that a key never had, only
the first one is taken.
"""

from collections.abc import Iterator

from trading_data.intake.batch import JournalRange
from trading_data.live.journal import EntryId
from trading_data_tests.worlds.archivers import put
from trading_data_tests.worlds.live_tier import Written
from trading_data_tests.worlds.parts import (
    EMPTY,
    FIRST_MS,
    JOURNAL_OF_KEY,
    KEYS,
    NO_JOURNAL,
    STEP_MS,
    Batch,
    Entry,
    Journal,
    the,
)
from trading_data_tests.worlds.world import Rules, Steps, World, accepted, before, ever, held, in_journals


def produce(world: World, rules: Rules) -> Steps:
    """An entry is added to a journal, by a producer or another one: a first value, another one, or the same again."""
    for key, value in _wanted(world, rules):
        for clock in rules.clocks:
            entry_id = _next_id(world, JOURNAL_OF_KEY[key], clock)
            if entry_id is not None:
                entry = Entry(JOURNAL_OF_KEY[key], entry_id, key, value)
                yield f"produce {entry}", _added(world, rules, entry)


def import_file(world: World, rules: Rules) -> Steps:
    """A file of one row is imported."""
    for key, value in _wanted(world, rules):
        entry = Entry(NO_JOURNAL, EntryId(world.now, 0), key, value)
        yield f"import {entry}", _offered(world, rules, "file", (entry,), None)


def set_latest(world: World, rules: Rules) -> Steps:
    """A producer that knows no journals sets a latest value."""
    for key, value in _wanted(world, rules):
        latest = tuple((value, world.now) if at == key else one for at, one in enumerate(world.live.latest))
        yield (
            f"latest {'abc'[key]}={value}",
            world._replace(now=world.now + STEP_MS, live=world.live.having(latest=latest)),
        )


def sample(world: World, rules: Rules) -> Steps:
    """The latest values are taken that no entry of their journal explains. When they were set is not known to anybody."""
    live = world.live
    explained = {(entry.key, entry.value) for entry in in_journals(live)}
    samples = [
        (Entry(NO_JOURNAL, EntryId(world.now, 1 + key), key, value[0]), value[1])
        for key, value in enumerate(live.latest)
        if value and (key, value[0]) not in explained
    ]
    if samples:
        after = _offered(world, rules, "latest", tuple(entry for entry, _ in samples), live.looked)
        after = after._replace(lies=_with_lies(world, *((entry, moment, moment) for entry, moment in samples)))
        yield "sample, died before it noted what it saw", after
        yield "sample", after._replace(live=live.having(latest=(None,) * KEYS, looked=world.now))


def _wanted(world: World, rules: Rules) -> Iterator[tuple[int, int]]:
    known = ever(world)
    if len(known) >= rules.events:
        return
    seen = {one.key for one in known}
    fresh: set[int] = set()
    for key in rules.keys:
        if key in seen:
            yield from ((key, value) for value in range(rules.values))
        elif JOURNAL_OF_KEY[key] not in fresh:
            fresh.add(JOURNAL_OF_KEY[key])
            yield key, 0


def _next_id(world: World, journal: int, clock: str) -> EntryId | None:
    """The id by a clock: now, or an id that may have been given before, or one just below that; None if there is no such one."""
    if clock == "now":
        return EntryId(world.now, 0)
    last = (world.live.journals[journal] or EMPTY).last.ms
    equal = max(FIRST_MS, last + STEP_MS - last % STEP_MS)
    ms = equal if clock == "equal" else equal - 1
    return EntryId(ms, 0) if last < ms < world.now - 1 else None


def _added(world: World, rules: Rules, entry: Entry) -> World:
    old = world.live.journals[entry.journal] or EMPTY
    journal = the(Journal, (*old.entries, entry), entry.id, old.added + 1, (*old.past, entry), old.deleted)
    journals = tuple(journal if at == entry.journal else unchanged for at, unchanged in enumerate(world.live.journals))
    latest = tuple(None if at == entry.key else unchanged for at, unchanged in enumerate(world.live.latest))
    moment = entry.id.ms
    again = entry in held(world) or (
        world.slow and any(entry in unchanged.batch.rows for unchanged in world.slow.written)
    )
    first = accepted(world.lies).get(entry, (moment, moment))[0] if again else world.now
    return world._replace(
        now=world.now + STEP_MS,
        live=world.live.having(journals=journals, latest=latest),
        live_before=before(world, rules),
        lies=_with_lies(world, (entry, first, world.now)),
    )


def _with_lies(world: World, *moments: tuple[Entry, int, int]) -> tuple[tuple[Entry, int, int], ...]:
    new = {entry for entry, *_ in moments}
    lies = [moment for moment in moments if moment[1:] != (moment[0].id.ms, moment[0].id.ms)]
    return tuple(sorted([*(lie for lie in world.lies if lie[0] not in new), *lies]))


def _offered(world: World, rules: Rules, origin: str, rows: tuple[Entry, ...], since: int | None) -> World:
    moment = f"{world.now}-0"
    part = JournalRange(origin, "0-0", moment, moment, len(rows))
    batch = the(Batch, origin, world.now, (part,), rows, since, "A")
    return put(world, rules, Written(batch, ()), world.live)._replace(now=world.now + STEP_MS)
