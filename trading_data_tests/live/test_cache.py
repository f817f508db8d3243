"""`cached`: what comes back is what was returned, it is computed once, and nothing of the cache ever stops a caller."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trading_data import LiveStore
from trading_data.errors import BadInput, LiveTierError
from trading_data.live.cache import Cached, Counts
from trading_data.live.cache_codec import decode, digest, encode
from trading_data_tests.live.servers import Node
from trading_data_tests.rig import bar

ROOT = Path(__file__).resolve().parents[2]
MINUTE = timedelta(minutes=1)
ZONED = pd.date_range("2026-01-01", periods=3, freq="h", tz="Europe/Berlin", unit="us")

FRAMES = {
    "empty": pd.DataFrame(),
    "no rows": pd.DataFrame({"a": pd.Series([], dtype="float64"), "b": pd.Series([], dtype=object)}),
    "no columns": pd.DataFrame(index=[1, 2]),
    "numbers": pd.DataFrame({"f": [1.5, np.nan, -0.0], "i": [1, 2, 3], "u": np.array([1, 2, 3], "uint8")}),
    "decimals": pd.DataFrame({"d": pd.Series([Decimal("1.50"), None, Decimal("1.5"), Decimal("1E+3")], dtype=object)}),
    "times": pd.DataFrame({"us": ZONED, "ns": ZONED.as_unit("ns").tz_convert("UTC"), "naive": ZONED.tz_localize(None)}),
    "durations": pd.DataFrame(
        {"t": pd.to_timedelta([1, None], unit="s"), "p": pd.period_range("2026", periods=2, freq="M")}
    ),
    "texts": pd.DataFrame(
        {"s": ["a", None], "o": pd.Series(["a", None], dtype=object), "n": pd.array(["a", None], "string")}
    ),
    "objects": pd.DataFrame(
        {"d": pd.Series([date(2026, 1, 1), None], dtype=object), "b": pd.Series([True, None], dtype=object)}
    ),
    "nullable": pd.DataFrame({"i": pd.array([1, None], "Int64"), "b": pd.array([True, None], "boolean")}),
    "categories": pd.DataFrame({"c": pd.Categorical(["b", "a", None], categories=["b", "a"], ordered=True)}),
    "index of times": pd.DataFrame({"x": [1, 2, 3]}, index=ZONED.rename("t")),
    "index of decimals": pd.DataFrame({"x": [1, 2]}, index=pd.Index([Decimal("1.10"), Decimal("1.1")], dtype=object)),
    "index twice": pd.DataFrame({"x": [1, 2], "o": pd.Series(["a", "b"], dtype=object).to_numpy()}, index=["k", "k"]),
    "levels": pd.DataFrame({"x": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["s", None])),
    "steps": pd.DataFrame({"x": [1, 2]}, index=pd.RangeIndex(10, 14, 2, name="r")),
    "named columns": pd.DataFrame({"x": [1]}).rename_axis(columns="fields"),
}
JSON_VALUES = [None, True, 0, 10**30, 1.1, -0.0, float("inf"), "", "é\ud800", [], [1, [None, "x"]], {"a": {"b": [1.5]}}]
STRANGE = [
    (1, 2),
    {1: "x"},
    [{"a": {1}}],
    np.float64(1),
    Decimal(1),
    datetime(2026, 1, 1, tzinfo=UTC),
    pd.Series([1]),
    b"x",
    10**5000,
    pd.DataFrame({1: [1]}),
    pd.DataFrame([[1, 2]], columns=["a", "a"]),
    pd.DataFrame({"a": pd.Series(["x", 1], dtype=object)}),
    pd.DataFrame({"a": pd.Series(["x", np.nan], dtype=object)}),
    pd.DataFrame({"a": [1j]}),
    pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}),
    pd.DataFrame({"a": [[1]]}),
    pd.DataFrame({"a": pd.array(["x"], dtype=pd.StringDtype("python", na_value=pd.NA))}),
    pd.DataFrame({"a": [1]}, index=pd.Index([1], name=("x", "y"))),
    type("Frame", (pd.DataFrame,), {})({"a": [1]}),
]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "trading_data.live.cache")


@pytest.fixture
def away() -> Iterator[LiveStore]:
    with closing(LiveStore.from_url("redis://127.0.0.1:1/0")) as store:
        yield store


class Double:
    """Doubles a number, and counts how often it had to."""

    def __init__(self, pause: float = 0.0) -> None:
        self.calls, self.pause = 0, pause

    def __call__(self, number: int) -> int:
        self.calls += 1
        time.sleep(self.pause)
        return 2 * number


def keys(server: Node) -> list[str]:
    return sorted(key.decode() for key in server.client.scan_iter("cache:*"))


def at_once(count: int, function: Any, *args: Any) -> list[Any]:
    """What several threads get that call at the same moment; errors included."""
    barrier = threading.Barrier(count)
    got: list[Any] = []

    def call() -> None:
        barrier.wait(10)
        try:
            got.append(function(*args))
        except ValueError as error:
            got.append(error)

    threads = [threading.Thread(target=call, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return got


def test_a_result_is_kept_for_a_while_under_the_key_of_the_contract(store: LiveStore, server: Node) -> None:
    double = Double()

    @store.cached("double", MINUTE)
    def doubled(number: int, *, sign: int = 1) -> int:
        """Twice as much."""
        return sign * double(number)

    assert [doubled(2), doubled(2), doubled(2, sign=1), doubled(number=2)] == [4] * 4
    assert double.calls == 1
    assert doubled(3) == 6
    assert doubled.counts == Counts(hits=3, misses=2)
    assert doubled.__name__ == "doubled"
    assert doubled.__doc__ == "Twice as much."
    (first, second) = keys(server)
    assert {first, second} == {f"cache:double:{digest({'number': number, 'sign': 1})}" for number in (2, 3)}
    for key in (first, second):
        assert 0 < server.client.pttl(key) <= 60_000
        assert server.client.type(key) == b"string"


def test_a_result_that_ran_out_is_computed_anew(store: LiveStore, server: Node) -> None:
    double = Double()
    doubled = store.cached("double", 0.05)(double)
    doubled(1)
    time.sleep(0.1)
    doubled(1)
    assert double.calls == 2


@pytest.mark.parametrize("name", FRAMES)
def test_frames_come_back_as_they_were(name: str, store: LiveStore, server: Node) -> None:
    frame = FRAMES[name]
    kept = store.cached("frames", MINUTE)(lambda: frame)
    kept()
    found = kept()
    assert kept.counts == Counts(hits=1, misses=1)
    pd.testing.assert_frame_equal(found, frame, check_exact=True)
    for column in frame:
        assert [repr(value) for value in found[column]] == [repr(value) for value in frame[column]]
    assert [repr(value) for value in found.index] == [repr(value) for value in frame.index]


def test_a_frame_from_the_cache_is_the_callers_own(store: LiveStore, server: Node) -> None:
    @store.cached("frames", MINUTE)
    def made() -> pd.DataFrame:
        return pd.DataFrame({"a": [1.0, 2.0]})

    made()
    first = made()
    first.attrs["mine"] = True
    first.loc[0, "a"] = 5.0
    assert made()["a"].tolist() == [1.0, 2.0]
    assert made().attrs == {}


def test_attributes_come_back() -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = {"source": ["x", 1]}
    assert decode(encode(frame)).attrs == frame.attrs


@pytest.mark.parametrize("value", JSON_VALUES, ids=repr)
def test_json_values_come_back_as_they_were(value: object) -> None:
    found = decode(encode(value))
    assert (repr(found), type(found)) == (repr(value), type(value))


@pytest.mark.parametrize("value", STRANGE, ids=lambda value: f"{value!r:.20}" if type(value) is not int else "huge")
def test_what_would_come_back_different_is_refused(value: object, store: LiveStore, server: Node) -> None:
    kept = store.cached("strange", MINUTE)(lambda: value)
    with pytest.raises(BadInput, match=r"cache|JSON"):
        kept()
    assert not [key for key in keys(server) if not key.startswith("cache:lock:")]


def test_equal_arguments_have_one_digest() -> None:
    berlin = timezone(timedelta(hours=1))
    same: list[tuple[dict[str, object], dict[str, object]]] = [
        ({"a": [1, 2]}, {"a": (1, 2)}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}),
        ({"a": {3, 1, 2}}, {"a": frozenset((1, 2, 3))}),
        ({"a": datetime(2026, 1, 1, tzinfo=UTC)}, {"a": datetime(2026, 1, 1, 1, tzinfo=berlin)}),
    ]
    assert all(digest(one) == digest(other) for one, other in same)
    different: list[object] = [1, 1.0, True, "1", None, b"1", Decimal(1), Decimal("1.0"), [1], {1}, {1: 1}, {"1": 1}]
    different += [date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01", timedelta(1), [[1]], ["1"]]
    assert len({digest({"a": value}) for value in different}) == len(different)


@pytest.mark.parametrize("value", [object(), pd.DataFrame(), datetime(2026, 1, 1), [np.int64(1)]])  # noqa: DTZ001
def test_arguments_that_cannot_be_compared_are_refused(value: object, away: LiveStore) -> None:
    with pytest.raises(BadInput, match=r"argument|time zone"):
        away.cached("any", MINUTE)(lambda argument: 1)(value)


def test_many_threads_compute_once(store: LiveStore, server: Node) -> None:
    double = Double(pause=0.3)
    doubled = store.cached("double", MINUTE)(double)
    assert at_once(20, doubled, 4) == [8] * 20
    assert double.calls == 1
    counts = doubled.counts
    assert (counts.misses, counts.waits + counts.hits) == (1, 19)
    assert counts.waits > 0
    assert len(keys(server)) == 1


def test_a_long_computation_keeps_its_lock(store: LiveStore, server: Node) -> None:
    double = Double(pause=0.6)
    doubled = store.cached("double", MINUTE, lock_seconds=0.15)(double)
    assert at_once(3, doubled, 4) == [8] * 3
    assert double.calls == 1


def test_a_failure_is_not_kept_and_those_who_waited_try_themselves(store: LiveStore, server: Node) -> None:
    started: list[float] = []

    @store.cached("failing", MINUTE)
    def failing() -> int:
        started.append(time.monotonic())
        time.sleep(0.3)
        raise ValueError("no")

    errors = at_once(5, failing)
    assert [str(error) for error in errors] == ["no"] * 5
    assert len(started) == 5
    assert failing.counts == Counts(misses=5)
    assert max(started) - min(started) < 4 * 0.3, "one after the other"
    assert not [key for key in keys(server) if not key.startswith("cache:lock:")]


def test_what_is_too_large_is_returned_and_not_kept(store: LiveStore, server: Node) -> None:
    double = Double()
    large = store.cached("large", MINUTE, most_bytes=1000)(lambda length: "x" * double(length))
    assert [len(large(length)) for length in (400, 600, 600, 400)] == [800, 1200, 1200, 800]
    assert large.counts == Counts(hits=1, misses=3, too_large=2)
    assert len(keys(server)) == 2, "that it is too large is known to others, who then do not wait for one another"
    assert max(server.client.strlen(key) for key in keys(server)) < 1000


def test_without_a_live_tier_it_is_computed_and_counted(away: LiveStore) -> None:
    double = Double()
    doubled = away.cached("double", MINUTE)(double)
    assert [doubled(1) for _ in range(50)] == [2] * 50
    assert doubled.counts == Counts(misses=50, errors=50)
    with pytest.raises(LiveTierError, match="does not answer"):
        doubled.invalidate(1)


def test_a_live_tier_that_goes_away_meanwhile_stops_nothing(store: LiveStore, server: Node) -> None:
    def compute() -> int:
        server.kill()
        return 7

    kept = store.cached("going", MINUTE)(compute)
    assert kept() == 7
    assert kept.counts == Counts(misses=1, errors=1)


def test_a_full_live_tier_stops_nothing(store: LiveStore, server: Node) -> None:
    store.record_prices([bar("A", minute) for minute in range(500)])
    doubled = store.cached("double", MINUTE)(Double())
    limit = server.client.config_get("maxmemory")["maxmemory"]
    server.client.config_set("maxmemory", 1)
    try:
        assert [doubled(1), doubled(1)] == [2, 2]
    finally:
        server.client.config_set("maxmemory", str(limit))
    assert doubled.counts == Counts(misses=2, errors=2)
    assert [doubled(1), doubled(1)] == [2, 2]
    assert doubled.counts == Counts(hits=1, misses=3, errors=2)


def test_what_somebody_else_put_under_the_key_stops_nothing(store: LiveStore, server: Node) -> None:
    doubled = store.cached("double", MINUTE)(Double())
    doubled(1)
    (key,) = keys(server)
    for stranger in (b"", b"1J{", b"1Fxx", b"\xff", b"2J1"):
        server.client.set(key, stranger)
        assert [doubled(1), doubled(1)] == [2, 2]
    assert doubled.counts == Counts(hits=5, misses=6, errors=5)
    server.client.delete(key)
    server.client.hset(key, "a", "b")
    assert doubled(1) == 2
    assert doubled.counts == Counts(hits=5, misses=7, errors=6)


def test_invalidate_forgets(store: LiveStore, server: Node) -> None:
    double = Double()
    doubled = store.cached("double", MINUTE)(double)
    doubled(1)
    assert doubled.invalidate(number=1)
    assert not doubled.invalidate(1)
    doubled(1)
    assert double.calls == 2


def test_invalidate_forgets_what_is_being_computed(store: LiveStore, server: Node) -> None:
    answers = iter(("before", "after"))

    def read() -> str:
        answer = next(answers)
        if answer == "before":
            assert not kept.invalidate()
        return answer

    kept: Cached[[], str] = store.cached("read", MINUTE)(read)
    assert [kept(), kept(), kept()] == ["before", "after", "after"]


@pytest.mark.parametrize(
    ("name", "ttl", "said"),
    [
        ("a:b", 1, "colon"),
        ("", 1, "non-empty"),
        ("{a}", 1, "braces"),
        ("a", 0, "at least 0.001 s"),
        ("a", -1, "at least 0.001 s"),
    ],
)
def test_names_and_lifetimes_are_checked(name: str, ttl: float, said: str, away: LiveStore) -> None:
    with pytest.raises(BadInput, match=said):
        away.cached(name, ttl)(lambda: 1)


def test_a_coroutine_is_refused(away: LiveStore) -> None:
    async def later() -> int:
        return 1

    with pytest.raises(BadInput, match="only a plain function"):
        away.cached("later", 1)(later)


SLOW = """
import sys, time
from datetime import timedelta
from trading_data import LiveStore
store = LiveStore.from_url(sys.argv[1])
@store.cached("slow", timedelta(minutes=1), lock_seconds=0.5)
def slow(name):
    print("computing", flush=True)
    time.sleep(60)
slow("x")
"""


def process(server: Node) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SLOW, server.url]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def test_a_process_that_dies_is_replaced_by_those_who_wait(store: LiveStore, server: Node) -> None:
    def here(name: str) -> str:
        return "computed here"

    slow = store.cached("slow", MINUTE, lock_seconds=0.5)(here)
    with process(server) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "computing\n"
        got: list[str] = []
        waiting = threading.Thread(target=lambda: got.append(slow("x")), daemon=True)
        waiting.start()
        waiting.join(1.2)
        assert waiting.is_alive(), "the lock of a process that lives was not renewed"
        first.send_signal(signal.SIGKILL)
        waiting.join(10)
    assert got == ["computed here"]
    assert slow.counts == Counts(misses=1)
    with closing(LiveStore.from_url(server.url)) as other:
        elsewhere = other.cached("slow", MINUTE)(lambda name: "computed elsewhere")
        assert elsewhere("x") == "computed here"
