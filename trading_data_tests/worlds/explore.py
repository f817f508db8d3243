"""Explore all sequences of steps of small worlds, breadth first: `python -m trading_data_tests.worlds.explore --minutes 10`.

After each step: an entry is taken for a repetition only if it is one; none is counted twice; each that is counted is the row, a
revision, or in quarantine; trim removes only what is archived. In the end of every fair continuation (`settle`): every entry that
was somewhere is counted; the row of a key is the value accepted last, or that one waits in quarantine as `cannot be ordered`.
Where nothing goes away or back, nothing waits there, and nothing is said to be missing but by who asked the archive before others
archived and trimmed.

What nobody can keep is no fault: see `returns`. What nobody can know is counted and not looked at any further:

- left out: a journal that is taken for another one. At the anchor stands the same entry, or the anchor has gone, and as many
  entries had been added: all of a journal was sent again between two looks, with one entry corrected, and the same last one.
- without order: a journal went back while a batch was away that alone knew of its incarnation, or while it was read; so what came
  later is numbered before what it had had. Every value is kept, but the row may be the earlier one.

Not here: rejected entries, sources and their ranks, days that were dropped, retries from quarantine, ranges of releases before
0.2, several pages or batches of one journal in one snapshot, the hot window. Refreshes are not here because no decision depends on
them, and the reader, which has no state.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from trading_data_tests.worlds import archivers, producers, returns
from trading_data_tests.worlds.archive_tier import load
from trading_data_tests.worlds.live_tier import drain, trim
from trading_data_tests.worlds.settle import check_end, forget_ends
from trading_data_tests.worlds.world import Broken, Outside, Rules, Steps, World, in_journals

STEPS: dict[str, Callable[[World, Rules], Steps]] = {
    "produce": producers.produce,
    "import": producers.import_file,
    "set latest": producers.set_latest,
    "sample": producers.sample,
    "snapshot": archivers.take_snapshot,
    "snapshot without archive": archivers.take_snapshot_without_archive,
    "note lost": archivers.lose_note,
    "load": archivers.load_first,
    "load and die": archivers.load_and_die,
    "archive": archivers.run_all,
    "trim": archivers.trim_journals,
    "B": archivers.snapshot_slowly,
    "B loads": archivers.load_slowly,
    "B trims": archivers.trim_slowly,
    "trim in need": archivers.trim_in_need,
    "away": returns.batch_away,
    "back": returns.batch_back,
    "archive back": returns.archive_back,
    "live back": returns.live_back,
    "anew": returns.journal_deleted,
    "delete": returns.entry_deleted,
}
COMMON = ("produce", "snapshot", "load", "trim", "away", "back", "archive back", "live back")
DELETED = ("produce", "snapshot", "load", "trim", "away", "back", "delete")
RUNS = ("produce", "snapshot", "archive", "trim", "away", "back", "archive back", "live back")
CALM = ("produce", "snapshot", "load", "load and die", "trim", "B", "B trims", "B loads")
IN_NEED = (
    "produce",
    "snapshot",
    "snapshot without archive",
    "note lost",
    "load",
    "trim in need",
    "away",
    "back",
    "live back",
)
ANY_CLOCK = ("now", "equal", "low")
WORLDS = (
    Rules("one journal, one key, one archiver", (*COMMON, "load and die"), back=2),
    Rules("clocks behind, journals made anew with the same ids", (*COMMON, "anew"), clocks=ANY_CLOCK),
    Rules("two archivers", (*COMMON, "B", "B loads"), reads_late=True),
    Rules("two archivers, of which one trims", (*COMMON, "B trims")),
    Rules("journals replaced while they are read", (*COMMON, "anew", "B"), clocks=ANY_CLOCK, reads_late=True),
    Rules("all doors", (*COMMON, "import", "set latest", "sample")),
    Rules("the archive cannot always be asked", (*COMMON, "snapshot without archive", "note lost"), note=True),
    Rules("the archive is away and memory is full", IN_NEED, note=True),
    Rules("two journals, three keys", (*COMMON, "anew"), keys=(0, 1, 2)),
    Rules("nothing goes away or back", CALM, events=5, reads_late=True),
    Rules("entries are deleted", DELETED, back=0, events=5, note=True),
    Rules("entries are deleted, and whole runs", (*RUNS, "delete"), note=True),
    Rules("whole runs", RUNS, events=5),
    Rules("whole runs, one value", RUNS, events=5, values=1),
    Rules("whole runs, clocks behind", (*RUNS, "anew"), clocks=ANY_CLOCK, values=1),
    Rules("whole runs, two archivers", (*RUNS, "B", "B trims", "B loads"), values=1, reads_late=True),
)
"""Each world is explored as far as it goes. What one leaves out another has."""


@dataclass
class Found:
    """What an exploration found.

    Attributes:
        depth: so many steps were explored completely.
        states: how many different worlds were seen.
        broken: what broke, with the shortest sequence that shows it.
        outside: how often a journal was taken for another one: those worlds were left out.
        unordered: in how many worlds nobody can know the order of acceptance.
        quarantined: in how many worlds something ends as `cannot be ordered`, and the shortest sequence.
    """

    rules: Rules
    depth: int = 0
    states: int = 0
    broken: list[tuple[str, list[str]]] = field(default_factory=list)
    outside: int = 0
    unordered: int = 0
    quarantined: int = 0
    example: list[str] = field(default_factory=list)
    seconds: float = 0

    def __str__(self) -> str:
        """One line."""
        quarantined = f", {self.quarantined:,} with `cannot be ordered`" if self.quarantined else ""
        return (
            f"{self.rules.name}: {self.states:,} states, all sequences of {self.depth} steps, {self.seconds:.0f} s; "
            f"{self.outside:,} left out, {self.unordered:,} without order{quarantined}"
        )


def explore(rules: Rules, most: int, seconds: float = float("inf"), wanted: int = 1) -> Found:
    """Explore until `most` states are known, the time is over, or so many sequences break a property as are `wanted`."""
    try:
        return _Exploration(rules, most, seconds, wanted).run()
    finally:
        for remembered in (drain, trim, load, in_journals):
            remembered.cache_clear()
        forget_ends()


class _Exploration:
    def __init__(self, rules: Rules, most: int, seconds: float, wanted: int) -> None:
        self._rules, self._most, self._wanted = rules, most, wanted
        self._began, self._until = time.monotonic(), time.monotonic() + seconds
        self._came: dict[World, tuple[World, str] | None] = {World(): None}
        self._found = Found(rules)

    def run(self) -> Found:
        found, level = self._found, [World()]
        while level:
            level = list(self._next(level))
            if self._over():
                break
            found.depth += 1
        found.states = len(self._came)
        found.unordered = sum(bool(world.unordered) for world in self._came)
        found.seconds = time.monotonic() - self._began
        return found

    def _over(self) -> bool:
        return (
            len(self._came) >= self._most or time.monotonic() > self._until or len(self._found.broken) >= self._wanted
        )

    def _next(self, level: Sequence[World]) -> Iterator[World]:
        for world in level:
            for name in self._rules.steps:
                try:
                    for step, after in STEPS[name](world, self._rules):
                        if after not in self._came:
                            self._came[after] = world, step
                            if self._holds(after):
                                yield after
                except Outside:
                    self._found.outside += 1
                except Broken as error:
                    self._found.broken.append((str(error), [*self._way(world), name]))
            if self._over():
                return

    def _holds(self, world: World) -> bool:
        try:
            if not check_end(world, self._rules):
                self._found.quarantined += 1
                self._found.example = self._found.example or self._way(world)
        except Outside:
            self._found.outside += 1
        except Broken as error:
            self._found.broken.append((str(error), self._way(world)))
            return False
        return True

    def _way(self, world: World) -> list[str]:
        steps: list[str] = []
        while (came := self._came[world]) is not None:
            world, step = came
            steps.append(step)
        return steps[::-1]


def follow(rules: Rules, way: Sequence[str]) -> World:
    """The world after a sequence of steps, each of which has to be possible."""
    world = World()
    for step in way:
        every = (STEPS[name](world, rules) for name in rules.steps)
        world = next(after for steps in every for name, after in steps if name == step)
    return world


def main() -> None:
    """Explore every world for the same time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--states", type=int, default=10**9)
    parser.add_argument("--world", type=int, nargs="*", default=range(len(WORLDS)))
    parser.add_argument("--wanted", type=int, default=1)
    given = parser.parse_args()
    for number in given.world:
        found = explore(WORLDS[number], given.states, given.minutes * 60 / len(given.world), given.wanted)
        print(number, found, flush=True)
        if found.example:
            print("  cannot be ordered after:", "; ".join(found.example))
        for said, way in found.broken[:6]:
            print("  BROKEN:", said, "AFTER", way)


if __name__ == "__main__":
    main()
