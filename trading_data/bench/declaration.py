"""What a bench is: the types in which the modules beside this one declare what they measure, and what came of it.

Belongs here: names, targets, outcomes. Does not: measuring (`measure`), the list of all benches (`registry`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from trading_data.bench.measure import Ratio
from trading_data.bench.servers import BenchRig

Say = Callable[[str], None]

_SIGNS = {"at least": "≥", "above": ">", "at most": "≤"}


@dataclass(frozen=True)
class Target:
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
    target: Target | None


@dataclass(frozen=True)
class Plan:
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
    run: Callable[[BenchRig, Plan], Mapping[str, Outcome]]
    own_servers: bool = False
