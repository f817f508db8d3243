"""What the entries of a batch become, against a plain dict, however they are cut into batches."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from trading_data.archive.order import Order
from trading_data.archive.plan import Count, HeldRow, Known, plan
from trading_data.archive.versions import codes
from trading_data.datasets import METRICS, TRADE, codec
from trading_data_tests.rig import MOMENT

NAMES = st.sampled_from(["a", "b", "Z", "é", "aa"])
ENTRIES = st.lists(st.tuples(NAMES, st.integers(0, 2), st.sampled_from([1.0, 2.0, -0.0, 0.0])), max_size=30)
Entry = tuple[str, int, float]


def table(entries: list[Entry]) -> pa.Table:
    return pa.table(
        {
            "metric_name": [one[0] for one in entries],
            "timestamp": [MOMENT + timedelta(minutes=one[1]) for one in entries],
            "value": [one[2] for one in entries],
            "unit": ["" for _ in entries],
        },
        schema=codec.schema(METRICS),
    )


def known(rows: int, missing: bool = True) -> Known:
    none = np.zeros(rows, dtype=bool)
    return Known(none, none, none | missing)


@given(ENTRIES)
def test_first_last_and_in_between(entries: list[Entry]) -> None:
    found = plan(METRICS, table(entries), known(len(entries)))
    history: dict[tuple[str, int], list[int]] = {}
    expected: list[Count] = []
    superseded = []
    for at, (name, minute, value) in enumerate(entries):
        past = history.setdefault((name, minute), [])
        if not past:
            expected.append(Count.INSERTED)
        elif entries[past[-1]][2] == value:
            expected.append(Count.UNCHANGED)
        else:
            expected.append(Count.REPLACED)
            superseded.append(past[-1])
        past.append(at)
    assert found.counts.tolist() == expected
    assert sorted(found.insert) == sorted(past[-1] for past in history.values())
    assert found.revise == dict.fromkeys(superseded, 0)
    assert (found.update, found.reject) == ([], {})


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=20))
def test_codes_order_like_the_bytes(texts: list[str]) -> None:
    ranked = codes(pa.chunked_array([pa.array(texts, pa.string())])).tolist()
    for one, other in pairwise(texts):
        at, next_at = texts.index(one), texts.index(other)
        assert (ranked[at] < ranked[next_at]) == (one.encode() < other.encode())
        assert (ranked[at] == ranked[next_at]) == (one == other)


@given(st.lists(st.tuples(st.sampled_from(["o1", "o2"]), st.sampled_from(["e1", "e2", "e3"])), max_size=12))
def test_the_first_identity_has_the_key(fills: list[tuple[str, str]]) -> None:
    columns = {name: [""] * len(fills) for name in TRADE.names}
    columns |= {"order_id": [one[0] for one in fills], "execution_id": [one[1] for one in fills]}
    rows = pa.table({**columns, "timestamp": [MOMENT] * len(fills)}, schema=codec.schema(TRADE))
    holds = np.array([order == "o1" for order, _ in fills], dtype=bool)
    others = [at for at, (order, execution) in enumerate(fills) if (order, execution) != ("o1", "e2") and order == "o1"]
    none = np.zeros(len(fills), dtype=bool)
    of_other = {at: HeldRow(7, Order.NEWER, identity="e2") for at in others}
    found = plan(TRADE, rows, Known(none, none, ~holds, of_other))
    owners = {"o1": "e2"}
    expected = {}
    for at, (order, execution) in enumerate(fills):
        if owners.setdefault(order, execution) != execution:
            expected[at] = ("key taken", owners[order])
    assert found.reject == expected
