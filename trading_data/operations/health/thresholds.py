"""Thresholds, by which figures are judged, findings, which are the result, and the sentences that tell them.

Belongs here: the forms of thresholds and findings, judging, and sentences. Does not: the declared thresholds themselves
(`rules`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from trading_data.operations.health.meanings import FIGURES
from trading_data.operations.health.metric import Figures, Metric
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


WARN = "warn"
ERROR = "error"
_SEVERITY = {WARN: "a warning", ERROR: "an error"}


@dataclass(frozen=True)
class Finding:
    """Something that is wrong now.

    `key` is the same for the same trouble in every minute (`redis_memory`, `journal_lag.price`): alerts are grouped, repeated and
    cleared by it. `severity` is `error` or `warn`; findings are ordered by `priority`, the highest first. `time_to_impact` are the
    seconds until data or service suffer, None if unknown, 0 if they do already. `command` is what to run next; `subject` is the
    dataset, table or other object that the finding is about.
    """

    key: str
    severity: str
    message: str
    command: str
    subject: str = ""
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    time_to_impact: float | None = None
    priority: int = 0


@dataclass(frozen=True)
class Threshold:
    """A declared limit for all figures of a name.

    A figure is wrong when it is above `above`, or below `below`. `message` is formatted with the texts `value`, `limit`,
    `subject` and `about`, and with `many`, which chooses words by the value (`{many:row waits/rows wait}`); `command` with
    `subject`, and with `node`, the option that names a server of a cluster. `time_to_impact` computes the seconds until data or
    service suffer from the figure and all others of its tier. With `subject`, only the figure of that object is judged. Of
    several crossed thresholds with one key, the one with the highest priority makes the finding. With `stays`, a finding is over
    only by a figure, not for want of one.
    """

    key: str
    figure: str
    message: str
    command: str
    above: float | None = None
    below: float | None = None
    severity: str = WARN
    priority: int = 0
    time_to_impact: Callable[[Metric, Figures], float | None] | None = None
    subject: str | None = None
    stays: bool = False

    def crossed(self, value: float) -> bool:
        """Is the value beyond the limit?"""
        return (self.above is not None and value > self.above) or (self.below is not None and value < self.below)


def judge(thresholds: Sequence[Threshold], figures: Figures) -> list[Finding]:
    """What is wrong, in order of priority. A figure without a number is not judged."""
    worst: dict[str, Finding] = {}
    for finding in (finding for threshold in thresholds for finding in _judged(threshold, figures)):
        if finding.key not in worst or worst[finding.key].priority < finding.priority:
            worst[finding.key] = finding
    return in_order(worst.values())


def command_for(threshold: Threshold, subject: str) -> str:
    """The command of a threshold about an object; for a server of a cluster, `subject` is its address."""
    return threshold.command.format(subject=subject, node=f" --node {subject}" if subject else "")


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """The highest priority first; among equals, the sooner impact."""
    return sorted(
        findings,
        key=lambda finding: (
            -finding.priority,
            float("inf") if finding.time_to_impact is None else finding.time_to_impact,
            finding.key,
        ),
    )


def _judged(threshold: Threshold, figures: Figures) -> Iterable[Finding]:
    limit = threshold.above if threshold.above is not None else threshold.below
    for figure in figures.named(threshold.figure):
        if (
            threshold.subject not in (None, figure.subject)
            or figure.value is None
            or not threshold.crossed(figure.value)
        ):
            continue
        yield Finding(
            key=f"{threshold.key}.{figure.subject}" if figure.subject else threshold.key,
            severity=threshold.severity,
            message=formatted(threshold.message, figure, limit),
            command=command_for(threshold, figure.subject),
            subject=figure.subject,
            value=figure.value,
            limit=limit,
            unit=figure.unit,
            time_to_impact=None if threshold.time_to_impact is None else threshold.time_to_impact(figure, figures),
            priority=threshold.priority,
        )


def condition(thresholds: Sequence[Threshold]) -> str:
    """When a check with these thresholds is red, in one sentence for its page."""
    by_figure: dict[str, list[Threshold]] = {}
    for threshold in thresholds:
        by_figure.setdefault(threshold.figure, []).append(threshold)
    return f"Red when {'; or '.join(_crossed(name, of_figure) for name, of_figure in by_figure.items())}."


def _crossed(name: str, thresholds: Sequence[Threshold]) -> str:
    meaning = FIGURES[name]
    first = thresholds[0]
    if meaning.help.startswith(("1 w", "0 w")) or (meaning.zero and first.below == 1):
        return sentence(Metric(name, 0.0 if first.below is not None else 1.0, meaning.unit))
    limits = [
        f"{word} {as_text(limit, meaning.unit)} ({_SEVERITY[threshold.severity]})"
        for threshold in thresholds
        for word, limit in _limits(threshold)
    ]
    subject = counted_by(name)
    return f"{'' if subject.startswith('how ') else 'the '}{subject} is {' or '.join(limits)}"


def _limits(threshold: Threshold) -> list[tuple[str, float]]:
    return [
        (word, limit) for word, limit in (("above", threshold.above), ("below", threshold.below)) if limit is not None
    ]


ARCHIVE = REFRESH = "trading-data archive"
COMPRESS = "trading-data run compression_job"
DRILL = "trading-data run restore_drill_job"


def ask_redis(words: str) -> str:
    """The command that sends these words to the figure's server of the live tier."""
    return f"trading-data redis-cli{{node}} {words}"


def ask_archive(statement: str, *, owner: bool = False) -> str:
    """The command that sends a statement to the archive, as the owner of its tables if only that role may."""
    return f"trading-data psql {'--owner ' if owner else ''}-c '{statement}'"


@dataclass(frozen=True)
class Unavailable:
    """Of the finding that a tier does not answer or refuses: its key, what to run, its priority."""

    key: str
    command: str
    priority: int


LIVE_AWAY = Unavailable("redis_away", "trading-data services start", 1000)
ARCHIVE_AWAY = Unavailable("timescale_away", "trading-data services start", 950)
LIVE_REFUSES = Unavailable("redis_refuses", "trading-data redis-cli info", 990)
ARCHIVE_REFUSES = Unavailable("timescale_refuses", "trading-data doctor", 945)
SCHEMA_OTHER = Unavailable("timescale_schema", "trading-data migrate", 940)
FLOW_UNKNOWN = Unavailable("flow_unknown", "trading-data status", 930)
UNAVAILABLE = (LIVE_AWAY, ARCHIVE_AWAY, LIVE_REFUSES, ARCHIVE_REFUSES, SCHEMA_OTHER, FLOW_UNKNOWN)


def full_in(figure: Metric, figures: Figures) -> float | None:
    """Seconds until the live tier's memory is full."""
    own = figures.value("flow.memory.full_in", figure.subject)
    return own if own is not None else soonest_full(figures)


def soonest_full(figures: Figures) -> float | None:
    """Seconds until the first server of the live tier is full; None if unknown."""
    return min(
        (figure.value for figure in figures.named("flow.memory.full_in") if figure.value is not None), default=None
    )


def its_own_value(figure: Metric, _: Figures) -> float | None:
    """The figure itself is the time to impact."""
    return figure.value


def impact_now(_: Metric, __: Figures) -> float:
    """The impact is already there."""
    return 0.0


def two_limits(
    key: str,
    figure: str,
    message: str,
    command: str,
    *,
    warn: float,
    error: float,
    priority: tuple[int, int],
    under: bool = False,
    time_to_impact: Callable[[Metric, Figures], float | None] | None = None,
) -> tuple[Threshold, Threshold]:
    """A warning and, at a further limit, an error with the same key."""
    return (
        one_limit(
            key,
            figure,
            message,
            command,
            limit=error,
            severity=ERROR,
            priority=priority[1],
            under=under,
            time_to_impact=time_to_impact,
        ),
        one_limit(
            key,
            figure,
            message,
            command,
            limit=warn,
            severity=WARN,
            priority=priority[0],
            under=under,
            time_to_impact=time_to_impact,
        ),
    )


def one_limit(
    key: str,
    figure: str,
    message: str,
    command: str,
    *,
    limit: float,
    severity: str = WARN,
    priority: int,
    under: bool = False,
    subject: str | None = None,
    time_to_impact: Callable[[Metric, Figures], float | None] | None = None,
    stays: bool = False,
) -> Threshold:
    """One limit, above which (`under`: below which) a figure is wrong."""
    above, below = (None, limit) if under else (limit, None)
    return Threshold(key, figure, message, command, above, below, severity, priority, time_to_impact, subject, stays)
