"""The list of mutants: `*.toml` in this folder. Each breaks one named place of the load path and names the tests that notice.

A mutant has `name`, `file`, `old` (which stands in that file exactly once), `new` (what takes its place), `tests` (pytest node
ids below `trading_data_tests`), `why` (what goes wrong with it), and where it never ends `seconds` (when to give up).

Belongs here: reading the list, and putting one mutant into a text. Does not: running tests (`workbench`).
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TESTS = "trading_data_tests"
SECONDS = 120
"""After so long a run of the tests counts as failed: the mutant made it endless."""


class Rotten(Exception):
    """A mutant that cannot be put into the source as it is now."""


@dataclass(frozen=True)
class Mutant:
    """One place, broken."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    why: str
    seconds: int = SECONDS

    @property
    def nodes(self) -> list[str]:
        """The tests as pytest takes them."""
        return [f"{TESTS}/{test}" for test in self.tests]

    def applied(self, text: str) -> str:
        """The text of the file with this mutant in it.

        Raises:
            Rotten: what it replaces is not there exactly once, or what comes out is no Python.
        """
        found = text.count(self.old)
        if found != 1:
            raise Rotten(f"its text is {found} times in {self.file}, not once")
        broken = text.replace(self.old, self.new)
        if self.file.endswith(".py"):
            try:
                compile(broken, self.file, "exec")
            except SyntaxError as error:
                raise Rotten(f"{self.file} would be no Python: {error}") from error
        return broken


def read_list() -> list[Mutant]:
    """All mutants, file by file."""
    return [_mutant(one) for path in sorted(HERE.glob("*.toml")) for one in _tables(path)]


def chosen(mutants: Sequence[Mutant], names: Sequence[str]) -> list[Mutant]:
    """Those with these names, or all.

    Raises:
        KeyError: there is none of a name.
    """
    by_name = {one.name: one for one in mutants}
    return [by_name[name] for name in names] if names else list(mutants)


def _tables(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]
    return found


def _mutant(table: dict[str, Any]) -> Mutant:
    return Mutant(**{**table, "tests": tuple(table["tests"])})
