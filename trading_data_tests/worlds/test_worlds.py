"""Every sequence of steps of each small world, as far as some thousand states go; TRADING_DATA_TEST_FULL=1 goes further."""

import os

import pytest

from trading_data_tests.worlds.explore import WORLDS, explore

STATES = 200_000 if os.environ.get("TRADING_DATA_TEST_FULL") else 4_000


@pytest.mark.parametrize("name", WORLDS)
def test_nothing_breaks_in_any_sequence_of_steps(name: str) -> None:
    found = explore(WORLDS[name], STATES)
    print(found)
    assert found.broken == []
    assert found.states >= STATES
    assert found.depth >= 3
