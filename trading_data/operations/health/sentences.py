"""Figures and limits in words.

Belongs here: formatting. Does not: the words themselves (`meanings`, `rules`).
"""

from trading_data.operations.health.meanings import FIGURES
from trading_data.operations.health.metric import Metric
from trading_data.printable import noun, span

_UNKNOWN = (("1 where ", "whether "), ("0 where ", "whether "), ("1 while ", "whether "))


def sentence(figure: Metric) -> str:
    """A figure in a sentence, such as "the newest price row in the archive is 2 min old"; or that it is not known, and why."""
    meaning = FIGURES[figure.name]
    if figure.value is None:
        subject = f"{figure.subject}: " if figure.subject else ""
        return f"{subject}{counted_by(figure.name)} is not known ({figure.not_offered})"
    return formatted(meaning.zero if meaning.zero and not figure.value else meaning.sentence, figure)


def formatted(words: str, figure: Metric, limit: float | None = None) -> str:
    """Declared words with a figure's numbers in their places."""
    text = words.format(
        value=as_text(figure.value, figure.unit),
        limit=as_text(limit, figure.unit),
        subject=figure.subject,
        about=figure.about,
        many=_ByNumber(figure.value or 0.0),
    )
    return " ".join(text.split())


def label(metric: str) -> str:
    """What a figure's plot is about, by its name in `metrics_data`: the name of the figure, then what it is of."""
    name = max((figure for figure in FIGURES if metric == figure or metric.startswith(f"{figure}.")), key=len)
    subject = metric.removeprefix(name).removeprefix(".")
    return FIGURES[name].help + (f" ({subject})" if subject else "")


def as_text(value: float | None, unit: str) -> str:
    """A number with its unit, for people: `12.5 MB`, `93 %`, `2 h 5 min`, `1,200`."""
    if value is None:
        return "?"
    if unit == "bytes":
        return f"{value / 1e6:,.1f} MB"
    if unit == "ratio":
        return f"{value * 100:,.3g} %" if value < 1 else f"{value:,.0%}".replace("%", " %")
    if unit == "s":
        return span(value)
    number = f"{value:,.0f}" if value == round(value) else f"{value:,.6g}"
    return f"{number} {unit}".removesuffix(" count").strip()


def counted_by(name: str) -> str:
    """What a figure counts, as the subject of a sentence."""
    text = FIGURES[name].help
    for beginning, word in _UNKNOWN:
        if text.startswith(beginning):
            return word + text.removeprefix(beginning)
    return text if text[:2].isupper() else text[0].lower() + text[1:]


class _ByNumber(float):
    """A number that formats as the word for it: `{many:is/are}`."""

    def __format__(self, words: str) -> str:
        return noun(self, *words.split("/"))
