"""What the entries of a batch become, against a plain dict, however they are cut into batches."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from trading_data.archive.places import displaced
from trading_data.archive.plan import Count, KnownRows, plan
from trading_data.archive.versions import codes
from trading_data.datasets import METRICS, codec
from trading_data_tests.rig import MOMENT

NAMES = st.sampled_from(["a", "b", "Z", "é", "aa"])
ENTRIES = st.lists(st.tuples(NAMES, st.integers(0, 2), st.sampled_from([1.0, 2.0, -0.0, 0.0])), max_size=30)
Entry = tuple[str, int, float]


def table(entries: list[Entry]) -> pa.Table:
    return pa.table(
        {
            "metric_name": [entry[0] for entry in entries],
            "timestamp": [MOMENT + timedelta(minutes=entry[1]) for entry in entries],
            "value": [entry[2] for entry in entries],
            "unit": ["" for _ in entries],
        },
        schema=codec.schema(METRICS),
    )


def known(rows: int, missing: bool = True) -> KnownRows:
    none = np.zeros(rows, dtype=bool)
    return KnownRows(none, none, none | missing)


@given(ENTRIES)
def test_first_last_and_in_between(entries: list[Entry]) -> None:
    decided = plan(METRICS, table(entries), known(len(entries)))
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
    assert decided.counts.tolist() == expected
    assert sorted(decided.insert) == sorted(past[-1] for past in history.values())
    assert decided.revise == dict.fromkeys(superseded, 0)
    assert (decided.update, decided.reject) == ([], {})


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=20))
def test_codes_order_like_the_bytes(texts: list[str]) -> None:
    ranked = codes(pa.chunked_array([pa.array(texts, pa.string())])).tolist()
    for text, other in pairwise(texts):
        at, next_at = texts.index(text), texts.index(other)
        assert (ranked[at] < ranked[next_at]) == (text.encode() < other.encode())
        assert (ranked[at] == ranked[next_at]) == (text == other)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 2, 59_999_999, 60_000_000])), min_size=1, max_size=40),
    st.dictionaries(st.integers(0, 2), st.sets(st.sampled_from([0, 1, 3, 59_999_998]))),
)
def test_each_row_has_a_moment_of_its_own_in_its_minute(
    rows: list[tuple[int, int]], taken: dict[int, set[int]]
) -> None:
    subjects, times = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    moved = displaced(subjects, times, taken)
    kept = [(subject, moved.get(at, moment)) for at, (subject, moment) in enumerate(rows)]
    assert len(set(kept)) == len(rows)
    assert not any(moment in taken.get(subject, ()) for subject, moment in kept)
    assert [moment // 60_000_000 for _, moment in kept] == [moment // 60_000_000 for _, moment in rows]
    for at, (subject, moment) in enumerate(rows):
        first = (subject, moment) not in rows[:at] and moment not in taken.get(subject, ())
        assert (at not in moved) == first
