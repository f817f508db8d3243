"""What declarations of thresholds are made of: commands, what is away, when it hurts, a warning with its error.

Belongs here: what several declarations share. Does not: limits (`redis`, `timescale`, `flow`, `backups`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from trading_data.operations.health.metric import Figure, Figures
from trading_data.operations.health.thresholds import ERROR, WARN, Threshold

ARCHIVE = REFRESH = "trading-data archive"
COMPRESS = "trading-data run compression_job"
DRILL = "trading-data run restore_drill_job"


def ask_redis(words: str) -> str:
    """The command that sends these words to the server of the live tier that a figure is about."""
    return f"trading-data redis-cli{{node}} {words}"


def ask_archive(statement: str, *, owner: bool = False) -> str:
    """The command that sends a statement to the archive, as the owner of its tables where only that one may."""
    return f"trading-data psql {'--owner ' if owner else ''}-c '{statement}'"


@dataclass(frozen=True)
class Away:
    """The finding that something does not answer, or refuses: its key, what to run, its harm."""

    key: str
    command: str
    harm: int


LIVE_AWAY = Away("redis_away", "trading-data services start", 1000)
ARCHIVE_AWAY = Away("timescale_away", "trading-data services start", 950)
LIVE_REFUSES = Away("redis_refuses", "trading-data redis-cli info", 990)
ARCHIVE_REFUSES = Away("timescale_refuses", "trading-data doctor", 945)
SCHEMA_OTHER = Away("timescale_schema", "trading-data migrate", 940)
FLOW_UNKNOWN = Away("flow_unknown", "trading-data status", 930)
AWAYS = (LIVE_AWAY, ARCHIVE_AWAY, LIVE_REFUSES, ARCHIVE_REFUSES, SCHEMA_OTHER, FLOW_UNKNOWN)


def full_in(figure: Figure, figures: Figures) -> float | None:
    """Seconds until the live tier's memory is full."""
    own = figures.value("flow.memory.full_in", figure.of)
    return own if own is not None else soonest_full(figures)


def soonest_full(figures: Figures) -> float | None:
    """Seconds until the first server of the live tier is full; None where that is not known."""
    return min((one.value for one in figures.named("flow.memory.full_in") if one.value is not None), default=None)


def itself(figure: Figure, _: Figures) -> float | None:
    """The figure is the seconds until it hurts."""
    return figure.value


def at_once(_: Figure, __: Figures) -> float:
    """It hurts already."""
    return 0.0


def both(
    key: str,
    figure: str,
    says: str,
    command: str,
    *,
    warn: float,
    error: float,
    harm: tuple[int, int],
    under: bool = False,
    hurts_in: Callable[[Figure, Figures], float | None] | None = None,
) -> tuple[Threshold, Threshold]:
    """A warning and, further on, an error about the same trouble."""
    return (
        single(key, figure, says, command, limit=error, severity=ERROR, harm=harm[1], under=under, hurts_in=hurts_in),
        single(key, figure, says, command, limit=warn, severity=WARN, harm=harm[0], under=under, hurts_in=hurts_in),
    )


def single(
    key: str,
    figure: str,
    says: str,
    command: str,
    *,
    limit: float,
    severity: str = WARN,
    harm: int,
    under: bool = False,
    of: str | None = None,
    hurts_in: Callable[[Figure, Figures], float | None] | None = None,
    stays: bool = False,
) -> Threshold:
    """One limit, above which (`under`: below which) it is wrong."""
    above, below = (None, limit) if under else (limit, None)
    return Threshold(key, figure, says, command, above, below, severity, harm, hurts_in, of, stays)
