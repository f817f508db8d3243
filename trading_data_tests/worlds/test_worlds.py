"""No sequence of steps in a small world loses an entry, counts one twice, or shows an older value; invariants 1 to 4.

The short form explores 80,000 states in all, the long form (TRADING_DATA_TEST_FULL=1) 2,400,000: so many, and not for so long, so
that it is the same on every machine.
"""

import os
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_data.archive.order import Order
from trading_data.archive.plan import EntryVersion, HeldRow, KnownRows, Plan, plan
from trading_data.datasets import METRICS, codec
from trading_data.datasets.declaration import Dataset
from trading_data_tests.rig import MOMENT
from trading_data_tests.worlds.archive_tier import BY_RANGE, NOT_CONFIRMED, QUARANTINE_UNKNOWN, plan_key
from trading_data_tests.worlds.explore import ANY_CLOCK, STEPS, WORLDS, explore, follow
from trading_data_tests.worlds.settle import check_end
from trading_data_tests.worlds.world import Broken, Rules

STATES = 150_000 if os.environ.get("TRADING_DATA_TEST_FULL") else 5_000
"""States of each of the sixteen worlds."""
EVERY = (
    "produce",
    "snapshot",
    "load",
    "trim",
    "away",
    "back",
    "archive back",
    "live back",
    "anew",
    "load and die",
    "B",
)


@pytest.mark.parametrize("rules", WORLDS, ids=lambda rules: rules.name)
def test_no_sequence_of_steps_breaks_a_property(rules: Rules) -> None:
    found = explore(rules, STATES)
    print(found)
    assert found.broken == []
    assert found.states >= STATES
    assert found.outside < found.states / 50
    if rules.nothing_goes_back:
        assert (found.unordered, found.quarantined) == (0, 0)


FAULTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "an entry that is elsewhere is taken for a repetition, because of its id": (
        BY_RANGE,
        (
            "produce a=0 (10-0)",
            "snapshot",
            "produce a=0 (12-0)",
            "snapshot",
            "batch 2 away",
            "live tier back 1",
            "produce a=0 (16-0)",
        ),
    ),
    "a value that was accepted again is forgotten": (
        NOT_CONFIRMED,
        (
            "produce a=0 (10-0)",
            "snapshot",
            "produce a=1 (12-0)",
            "snapshot",
            "produce a=0 (14-0)",
            "snapshot",
            "batch 2 away",
        ),
    ),
    "an entry in quarantine is counted again": (
        QUARANTINE_UNKNOWN,
        ("produce a=0 (10-0)", "snapshot", "produce a=1 (12-0)", "snapshot", "batch 1 away", "live tier back 1"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str) -> None:
    """What each is for, by the shortest sequence that shows it: with the fault it breaks, without it does not."""
    fault, way = FAULTS[name]
    with_it, without = Rules("", EVERY, faults=frozenset([fault])), Rules("", EVERY)
    with pytest.raises(Broken):
        check_end(follow(with_it, way), with_it)
    check_end(follow(without, way), without)


SEQUENCES = {
    "a range claims what was trimmed, and the journal comes back untrimmed": (
        "produce a=0 (10-0)",
        "produce a=0 (12-0)",
        "snapshot",
        "load",
        "trim",
        "archive back 1",
        "snapshot",
        "live tier back 1",
    ),
    "the same, and what comes back is older than what the range holds": (
        "produce a=0 (10-0)",
        "produce a=1 (12-0)",
        "snapshot",
        "load",
        "trim",
        "archive back 1",
        "snapshot",
        "live tier back 2",
    ),
    "a range claims what an older incarnation had, and the archive forgets that": (
        "produce a=0 (10-0)",
        "produce a=0 (12-0)",
        "snapshot",
        "load",
        "produce a=0 (14-0)",
        "snapshot",
        "live tier back 1",
        "trim",
        "snapshot",
        "archive back 1",
        "live tier back 1",
    ),
    "a journal is trimmed between the look at it and its reading": (
        "produce a=0 (10-0)",
        "produce a=0 (12-0)",
        "B inspects the journals",
        "snapshot",
        "load",
        "trim",
        "archive back 1",
        "B reads the journals",
        "live tier back 1",
        "B writes",
    ),
    "a journal made anew is taken for a trimmed one": (
        "produce a=0 (10-0)",
        "snapshot",
        "produce a=1 (12-0)",
        "snapshot",
        "batch 2 away",
        "journal 1 deleted",
        "produce a=0 (16-0)",
    ),
    "a journal has more entries up to the anchor than it had": (
        "produce a=0 (10-0)",
        "snapshot",
        "live tier back 1",
        "produce a=0 (9-0)",
        "produce a=0 (10-0)",
    ),
    "the same, seen by trim": (
        "produce a=0 (10-0)",
        "snapshot",
        "load",
        "live tier back 1",
        "produce a=0 (9-0)",
        "snapshot",
        "produce a=0 (10-0)",
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_sequence_that_once_lost_something(name: str) -> None:
    rules = Rules("", EVERY, clocks=ANY_CLOCK, back=2, reads_late=True)
    world = follow(rules, SEQUENCES[name])
    check_end(world, rules)
    for step in STEPS.values():
        assert list(step(world, rules)) is not None


ENTRIES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=12)
"""Key and value."""
ROWS = st.dictionaries(st.integers(0, 2), st.integers(0, 2))
ORDERS = st.lists(st.sampled_from(Order), min_size=12, max_size=12)


@settings(deadline=None)
@given(ENTRIES, ROWS, ORDERS)
def test_a_plan_of_a_table_is_what_the_worlds_plan_key_by_key(
    entries: list[tuple[int, int]], rows: dict[int, int], orders: list[Order]
) -> None:
    missing = np.array([key not in rows for key, _ in entries])
    held = {at: HeldRow(1, orders[at]) for at, (key, value) in enumerate(entries) if key in rows and rows[key] != value}
    nothing = np.zeros(len(entries), dtype=bool)
    whole = plan(METRICS, _table(METRICS, entries), KnownRows(nothing, nothing, missing, held))
    by_key = Plan(np.zeros(len(entries), dtype=np.int8))
    for key in {key for key, _ in entries}:
        places = [at for at, entry in enumerate(entries) if entry[0] == key]
        versions = [
            EntryVersion(at, (entries[at][1],), held=held.get(at), equal=at not in held and not missing[at])
            for at in places
        ]
        plan_key(versions, by_key)
    assert _plain(whole, entries) == _plain(by_key, entries)


def _table(dataset: Dataset, entries: list[tuple[int, int]]) -> pa.Table:
    columns = {
        "metric_name": ["m"] * len(entries),
        "timestamp": [MOMENT + timedelta(minutes=key) for key, _ in entries],
        "value": [float(value) for _, value in entries],
        "unit": [""] * len(entries),
    }
    return pa.table(columns, schema=codec.schema(dataset))


def _plain(plan: Plan, entries: list[tuple[int, int]]) -> dict[str, Any]:
    """A plan by what the rows say: which of two equal ones is written makes no difference."""
    return {
        "counts": plan.counts.tolist(),
        "insert": sorted(entries[at] for at in plan.insert),
        "update": sorted(entries[at] for at in plan.update),
        "revise": sorted((entries[at], by) for at, by in plan.revise.items()),
        "reject": plan.reject,
    }
