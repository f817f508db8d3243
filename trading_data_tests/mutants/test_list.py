"""The list of mutants cannot rot: each still fits the source, and names tests that there are. Running them is `scripts/mutants`."""

import re
from collections import Counter

import pytest

from trading_data_tests.mutants.mutant import ROOT, Mutant, Rotten, read_list

MUTANTS = read_list()
FEWEST = 40


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len(MUTANTS) >= FEWEST
    assert [name for name, number in Counter(one.name for one in MUTANTS).items() if number > 1] == []
    assert [one.name for one in MUTANTS if not re.fullmatch(r"[a-z0-9-]+", one.name)] == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)
def test_it_fits_the_source_and_its_tests_are_there(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    assert mutant.applied(text) != text
    assert mutant.why.endswith(".")
    assert mutant.tests
    for node in mutant.nodes:
        path, _, function = node.partition("::")
        found = (ROOT / path).read_text(encoding="utf-8")
        assert f"\ndef {function.partition('[')[0]}(" in found, node


def test_what_is_there_twice_or_not_at_all_is_refused() -> None:
    one = Mutant("x", "a.py", "pass", "...", (), "")
    assert one.applied("if 1: pass\n") == "if 1: ...\n"
    for text in ("", "pass\npass\n"):
        with pytest.raises(Rotten, match="not once"):
            one.applied(text)
    with pytest.raises(Rotten, match="no Python"):
        Mutant("x", "a.py", "pass", "", (), "").applied("if 1: pass\n")
