"""Explore all sequences of steps of small worlds, breadth first: `python -m trading_data_tests.worlds.explore --minutes 10`."""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from trading_data_tests.worlds import archivers, producers, returns
from trading_data_tests.worlds.settle import check_end
from trading_data_tests.worlds.world import Broken, Outside, Rules, Steps, World

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
    "away": returns.batch_away,
    "back": returns.batch_back,
    "archive back": returns.archive_back,
    "live back": returns.live_back,
    "anew": returns.journal_deleted,
}
MODIFIERS = ("B reads late",)

COMMON = ("produce", "snapshot", "load", "trim", "away", "back", "archive back", "live back")
RUNS = ("produce", "snapshot", "archive", "trim", "away", "back", "archive back", "live back")
ANY_CLOCK = ("now", "equal", "low")
WORLDS = {
    "minimal": Rules("one journal, one key, one archiver", (*COMMON, "load and die"), back=2),
    "behind": Rules("clocks behind, journals made anew with the same ids", (*COMMON, "anew"), clocks=ANY_CLOCK),
    "two": Rules("two archivers", (*COMMON, "B", "B loads")),
    "trims": Rules("two archivers, of which one trims", (*COMMON, "B trims")),
    "race": Rules("journals replaced while they are read", (*COMMON, "anew", "B", "B reads late")),
    "raceb": Rules("journals replaced while they are read", (*COMMON, "anew", "B", "B reads late"), clocks=ANY_CLOCK),
    "doors": Rules("all doors", (*COMMON, "import", "set latest", "sample")),
    "note": Rules("the archive cannot always be asked", (*COMMON, "snapshot without archive", "note lost"), note=True),
    "journals": Rules("two journals, three keys", (*COMMON, "anew"), keys=(0, 1, 2)),
    "calm": Rules(
        "nothing goes back",
        (
            "produce",
            "snapshot",
            "load",
            "trim",
            "away",
            "back",
            "B",
            "B reads late",
            "B trims",
            "B loads",
            "load and die",
        ),
    ),
    "runs": Rules("whole runs, one value", RUNS, values=1),
    "runs2": Rules("whole runs", RUNS),
    "runsb": Rules("whole runs, clocks behind", (*RUNS, "anew"), clocks=ANY_CLOCK, values=1),
    "runst": Rules("whole runs, two archivers", (*RUNS, "B", "B reads late", "B trims", "B loads"), values=1),
}
"""Each world is explored as far as it goes; what one leaves out another has."""


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
    """Explore until `most` worlds are known, the time is over, or so many sequences break a property as are `wanted`."""
    return _Exploration(rules, most, seconds, wanted).run()


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
                if name in MODIFIERS:
                    continue
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
        every = (STEPS[name](world, rules) for name in rules.steps if name not in MODIFIERS)
        world = next(after for steps in every for name, after in steps if name == step)
    return world


def main() -> None:
    """Explore every world for the same time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--states", type=int, default=10**9)
    parser.add_argument("--world", choices=WORLDS, nargs="*", default=list(WORLDS))
    parser.add_argument("--wanted", type=int, default=1)
    given = parser.parse_args()
    for name in given.world:
        found = explore(WORLDS[name], given.states, given.minutes * 60 / len(given.world), given.wanted)
        print(name, found, flush=True)
        if found.example:
            print("  cannot be ordered after:", "; ".join(found.example))
        for said, way in found.broken[:6]:
            print("  BROKEN:", said, "AFTER", way)


if __name__ == "__main__":
    main()
