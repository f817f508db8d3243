"""A figure: a number with a name and a unit, of one dataset or object if need be."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

ARCHIVE = "archive"
FLOW = "flow"


@dataclass(frozen=True)
class Metric:
    """One number of one moment.

    `name` is in dots, tier first: `redis.memory.used`, `timescale.locks.waiting`, `flow.journal.lag`. `subject` names the dataset,
    table or other object that the number belongs to, empty for the whole server. `value` is None where the server does not
    offer it, and `not_offered` then says why. `unit` is one of `bytes`, `s`, `ratio`, `count`, `per s`. `about` says in words what
    was counted, for the finding that is made of it.
    """

    name: str
    value: float | None
    unit: str
    subject: str = ""
    not_offered: str = ""
    about: str = ""

    @property
    def metric(self) -> str:
        """The figure's name in `metrics_data`."""
        return f"{self.name}.{self.subject}" if self.subject else self.name


@dataclass(frozen=True)
class Figures:
    """The figures of one tier at one moment, and texts beside them: versions, slowest statements, configuration.

    `texts` are lines for people, by heading; nothing is judged by them.
    """

    figures: tuple[Metric, ...]
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Metric]:
        return iter(self.figures)

    def named(self, name: str) -> tuple[Metric, ...]:
        """All figures of that name, one for each `subject`."""
        return tuple(figure for figure in self.figures if figure.name == name)

    def value(self, name: str, subject: str = "") -> float | None:
        """The number, or None where there is none."""
        return next(
            (figure.value for figure in self.figures if figure.name == name and figure.subject == subject), None
        )


def offered(figures: Iterable[Metric]) -> list[Metric]:
    """Those that have a number."""
    return [figure for figure in figures if figure.value is not None]


Wanted = Sequence[tuple[str, str]]
"""Names and units of figures that are measured together."""
_AWAY = {"redis": "the live tier could not be measured", "timescale": "the archive could not be measured"}


def numbered(wanted: Wanted, subject: str, values: Sequence[float | str]) -> Iterator[Metric]:
    """Figures of one object, each with its number, or with the reason why there is none."""
    for (name, unit), value in zip(wanted, values, strict=True):
        if isinstance(value, str):
            yield Metric(name, None, unit, subject, value)
        else:
            yield Metric(name, float(value), unit, subject)


def not_measured(wanted: Wanted, subject: str, tier: str) -> Iterator[Metric]:
    """Figures without numbers, because a tier (`redis`, `timescale`) is unavailable."""
    return (Metric(name, None, unit, subject, _AWAY[tier]) for name, unit in wanted)
