"""Fair measurement: subject and reference in turn within the same minutes, medians and their spread.

Belongs here: the stopwatch, the order of the repetitions, statistics, and the declaration of a bench. Does not: the benches.
"""

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from trading_data.bench.servers import BenchRig

Work = Callable[[], float]
"""Does a piece of work and returns its figure, mostly seconds; its preparation is not measured."""


@dataclass(frozen=True)
class Spread:
    """Median, quartiles and extremes of several repetitions."""

    median: float
    low: float
    high: float
    lower_quartile: float
    upper_quartile: float
    samples: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value; all must be finite."""
        if not values or not all(map(math.isfinite, values)):
            raise ValueError(f"a spread needs finite values, not {list(values)!r}")
        lower, median, upper = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
        return cls(median, min(values), max(values), lower, upper, len(values))

    def as_json(self) -> dict[str, float]:
        """As plain values, rounded to five digits."""
        return {name: _rounded(value) for name, value in vars(self).items()}


def ratios(over: Sequence[float], under: Sequence[float]) -> Spread:
    """The spread of `over` by `under`, repetition by repetition."""
    return Spread.of([a / b for a, b in zip(over, under, strict=True)])


def exponent(sizes: Sequence[int], costs: Sequence[float], fixed: float) -> float:
    """The k of `cost = fixed + c * size ** k`: the slope of a line through the logarithms of what exceeds the fixed cost.

    Sizes whose cost does not exceed it are left out; 0 if fewer than two remain, as then nothing grows.
    """
    grown = [(size, cost - fixed) for size, cost in zip(sizes, costs, strict=True) if cost > fixed]
    if len(grown) < 2:
        return 0.0
    at, beyond = np.log(np.array(grown, dtype=float)).T
    return float(np.polyfit(at, beyond, 1)[0])


def alternate(repeat: int, works: Mapping[str, Work]) -> dict[str, list[float]]:
    """Do every work `repeat` times, in turn, every second round in reverse order; returns their figures."""
    figures: dict[str, list[float]] = {name: [] for name in works}
    names = list(works)
    for at in range(repeat):
        for name in names if at % 2 == 0 else reversed(names):
            figures[name].append(works[name]())
    return figures


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of a piece of work.

    The cyclic garbage collector stays on for subject and reference alike. Objects that exist at the start are frozen, so that
    neither pays for those of the bench itself.
    """
    gc.collect()
    gc.freeze()
    try:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began
    finally:
        gc.unfreeze()


def per_call(work: Callable[[], object], calls: int) -> float:
    """Seconds per call, over `calls` calls after one that does not count."""
    work()

    def several() -> None:
        for _ in range(calls):
            work()

    return seconds(several) / calls


def spreads(figures: Mapping[str, Sequence[float]], unit: str = "seconds") -> dict[str, Any]:
    """The spread of each list of figures, as plain values under `{name}_{unit}`."""
    return {f"{name}_{unit}": Spread.of(values).as_json() for name, values in figures.items()}


def rates(rows: int, times: Sequence[float]) -> dict[str, float]:
    """The spread of `rows` divided by each of the times."""
    return Spread.of([rows / time for time in times]).as_json()


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.5g}")


Say = Callable[[str], None]

_SIGNS = {"at least": "≥", "above": ">", "at most": "≤"}


@dataclass(frozen=True)
class RatioTarget:
    """The target of a ratio; `also` is a further condition in words, about other figures of the bench."""

    how: Literal["at least", "above", "at most"]
    value: float
    also: str = ""

    def met_by(self, ratio: float) -> bool:
        """Whether the ratio meets the target; ignores `also`."""
        if self.how == "at most":
            return ratio <= self.value
        return ratio > self.value if self.how == "above" else ratio >= self.value

    def __str__(self) -> str:
        """As in the table of targets: `≥ 0.8`."""
        return f"{_SIGNS[self.how]} {self.value:g}" + (f" {self.also}" if self.also else "")


@dataclass(frozen=True)
class Promise:
    """One ratio: its name, subject and reference in words, and the target (None: only reported).

    `settled` is the file in `references` that is compared with; "" if the product is compared with itself.
    """

    name: str
    measures: str
    reference: str
    target: RatioTarget | None
    settled: str = ""


@dataclass(frozen=True)
class BenchPlan:
    """How much to measure: `scale` times the promised sizes, `repeat` repetitions; `say` gets progress lines."""

    scale: float = 1.0
    repeat: int = 5
    say: Say = lambda _: None

    def size(self, full: int, least: int = 1) -> int:
        """The number `full` at this scale."""
        return max(least, round(full * self.scale))


@dataclass(frozen=True)
class Outcome:
    """The result of a promise: the ratio, the size in words, other figures (units in their names), and the further condition."""

    ratio: Spread
    size: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    also: bool = True


@dataclass(frozen=True)
class Bench:
    """One bench: `run` measures all its promises together and returns an outcome for each, by the promise's name."""

    name: str
    promises: tuple[Promise, ...]
    run: Callable[[BenchRig, BenchPlan], Mapping[str, Outcome]]
