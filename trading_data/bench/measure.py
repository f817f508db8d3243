"""Measuring fairly: subject and reference in turn within the same minutes, medians and their spread.

Belongs here: stopwatch, order of the repetitions, statistics. Does not: what is measured.
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
"""Does a piece of work, with whatever it needs before that unmeasured, and returns the figure measured (seconds, mostly)."""


@dataclass(frozen=True)
class Spread:
    """Median, quartiles and extremes of some repetitions."""

    median: float
    low: float
    high: float
    lower_quartile: float
    upper_quartile: float
    samples: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value, all finite."""
        if not values or not all(map(math.isfinite, values)):
            raise ValueError(f"a spread needs finite values, not {list(values)!r}")
        lower, median, upper = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
        return cls(median, min(values), max(values), lower, upper, len(values))

    def as_json(self) -> dict[str, float]:
        """As plain values, rounded to five digits."""
        return {name: _rounded(value) for name, value in vars(self).items()}


@dataclass(frozen=True)
class Ratio:
    """One figure by another: of the medians, with the spread over the repetitions, each of which has one of both."""

    value: float
    spread: Spread

    @classmethod
    def of(cls, over: Sequence[float], under: Sequence[float]) -> "Ratio":
        """`over` by `under`; the same number of repetitions of both."""
        if len(over) != len(under):
            raise ValueError(f"{len(over)} repetitions of one and {len(under)} of the other")
        value = Spread.of(over).median / Spread.of(under).median
        return cls(value, Spread.of([one / other for one, other in zip(over, under, strict=True)]))

    @classmethod
    def alone(cls, value: float) -> "Ratio":
        """A ratio that was measured once."""
        return cls(value, Spread.of([value]))


def alternate(repeat: int, works: Mapping[str, Work]) -> dict[str, list[float]]:
    """Do every work `repeat` times, in turn, each second round in the opposite order; returns their figures."""
    found: dict[str, list[float]] = {name: [] for name in works}
    names = list(works)
    for at in range(repeat):
        for name in names if at % 2 == 0 else reversed(names):
            found[name].append(works[name]())
    return found


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of a piece of work.

    The cyclic collector is left on, for subject and reference alike; what lies in memory when it begins is out of its sight,
    so that neither pays for what the bench itself holds.
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
    """Seconds of one of `calls` calls, after one that is not counted."""
    work()

    def several() -> None:
        for _ in range(calls):
            work()

    return seconds(several) / calls


def spreads(figures: Mapping[str, Sequence[float]], unit: str = "seconds") -> dict[str, Any]:
    """The spread of each list of figures, as plain values, by `{name}_{unit}`."""
    return {f"{name}_{unit}": Spread.of(values).as_json() for name, values in figures.items()}


def rates(rows: int, times: Sequence[float]) -> dict[str, float]:
    """The spread of `rows` by each of these seconds."""
    return Spread.of([rows / time for time in times]).as_json()


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.5g}")


Say = Callable[[str], None]

_SIGNS = {"at least": "≥", "above": ">", "at most": "≤"}


@dataclass(frozen=True)
class RatioTarget:
    """What a ratio should be; `also` is a further condition in words, about figures that stand beside the ratio."""

    how: Literal["at least", "above", "at most"]
    value: float
    also: str = ""

    def met_by(self, ratio: float) -> bool:
        """Whether the ratio alone is what it should be."""
        if self.how == "at most":
            return ratio <= self.value
        return ratio > self.value if self.how == "above" else ratio >= self.value

    def __str__(self) -> str:
        """As in the table of targets: `≥ 0.8`."""
        return f"{_SIGNS[self.how]} {self.value:g}" + (f" {self.also}" if self.also else "")


@dataclass(frozen=True)
class Promise:
    """One ratio: its name, what is measured, the reference in words, and the target (None: it is only reported)."""

    name: str
    measures: str
    reference: str
    target: RatioTarget | None


@dataclass(frozen=True)
class BenchPlan:
    """How much: `scale` times the sizes of the promises, `repeat` repetitions of each; `say` gets a line now and then."""

    scale: float = 1.0
    repeat: int = 5
    say: Say = lambda _: None

    def size(self, full: int, least: int = 1) -> int:
        """A number of things at this scale."""
        return max(least, round(full * self.scale))


@dataclass(frozen=True)
class Outcome:
    """What came of a promise: the ratio, figures beside it (names carry their units), and the target's further condition."""

    ratio: Ratio
    figures: Mapping[str, Any] = field(default_factory=dict)
    also: bool = True


@dataclass(frozen=True)
class Bench:
    """One bench: `run` measures all its promises at once and returns an outcome for each, by the promise's name.

    `own_servers` says that it starts whatever it needs by itself and is given none.
    """

    name: str
    promises: tuple[Promise, ...]
    run: Callable[[BenchRig, BenchPlan], Mapping[str, Outcome]]
    own_servers: bool = False
