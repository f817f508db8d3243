"""Medians, spreads and the order of repetitions."""

import gc
import math
import subprocess
import sys

import pytest

from trading_data.bench.measure import Spread, alternate, exponent, per_call, rates, ratios, seconds, spreads
from trading_data.bench.worker import peak_bytes


def test_a_spread_has_median_quartiles_and_extremes() -> None:
    spread = Spread.of([5.0, 1.0, 3.0, 2.0, 4.0])
    assert (spread.low, spread.lower_quartile, spread.median, spread.upper_quartile, spread.high) == (1, 2, 3, 4, 5)
    assert spread.samples == 5
    assert Spread.of([2.0]).as_json() == {
        "median": 2.0,
        "low": 2.0,
        "high": 2.0,
        "lower_quartile": 2.0,
        "upper_quartile": 2.0,
        "samples": 1,
    }


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_what_has_no_median_is_an_error(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        Spread.of(values)


def test_ratios_are_of_the_repetitions() -> None:
    spread = ratios([2.0, 6.0, 100.0], [1.0, 2.0, 4.0])
    assert (spread.low, spread.median, spread.high) == (2.0, 3.0, 25.0)
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_is_of_what_exceeds_the_fixed_cost(power: float) -> None:
    sizes = [10, 40, 160, 640]
    assert exponent(sizes, [3 + 0.01 * size**power for size in sizes], 3) == pytest.approx(power)
    assert exponent(sizes, [2.9, 2.8, 2.9, 3.1], 3) == 0


def test_subject_and_reference_take_turns_and_each_second_round_goes_the_other_way() -> None:
    order: list[str] = []

    def work(name: str) -> float:
        order.append(name)
        return float(len(order))

    figures = alternate(3, {"subject": lambda: work("s"), "reference": lambda: work("r")})
    assert "".join(order) == "srrssr"
    assert figures == {"subject": [1.0, 4.0, 5.0], "reference": [2.0, 3.0, 6.0]}


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_is_for_all_works_as_it_was(on: bool) -> None:
    was, seen = gc.isenabled(), []
    (gc.enable if on else gc.disable)()
    try:
        assert seconds(lambda: seen.append(gc.isenabled())) >= 0
        with pytest.raises(ZeroDivisionError):
            seconds(lambda: 1 // 0)
        assert gc.isenabled() is on
    finally:
        (gc.enable if was else gc.disable)()
    assert seen == [on]
    assert gc.get_freeze_count() == 0


def test_the_first_call_does_not_count() -> None:
    calls: list[int] = []
    assert per_call(lambda: calls.append(1), 4) >= 0
    assert len(calls) == 5


def test_figures_have_their_unit_in_their_name() -> None:
    assert rates(10, [2.0, 5.0])["median"] == 3.5
    assert spreads({"read": [1.0]})["read_seconds"]["median"] == 1.0


def test_a_peak_is_that_of_the_process_and_not_of_its_parent() -> None:
    large = bytearray(b"1") * 250_000_000
    program = "from trading_data.bench.worker import peak_bytes; print(peak_bytes())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < len(large) < peak_bytes()
