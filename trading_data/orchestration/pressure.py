"""Whether memory pressure calls for an archive run: a pure decision over readings, with hysteresis."""

import json
from dataclasses import asdict, dataclass, field, replace

from trading_data.live.connection import MemoryReading, seconds_until_full
from trading_data.printable import span

FIRE_RATIO, REARM_RATIO = 0.75, 0.60
FIRE_SECONDS = 600.0
PAUSE_SECONDS = 60.0
_READINGS = 10
_TREND_READINGS = 3


@dataclass(frozen=True)
class PressureState:
    """What the sensor keeps between ticks: armed or not, when it last fired (seconds since 1970), the last readings."""

    armed: bool = True
    fired_at: float = 0.0
    readings: list[MemoryReading] = field(default_factory=list)

    def dump(self) -> str:
        """As a sensor's cursor."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, cursor: str | None) -> "PressureState":
        """From a sensor's cursor."""
        if not cursor:
            return cls()
        stored = json.loads(cursor)
        return cls(stored["armed"], stored["fired_at"], [MemoryReading(**reading) for reading in stored["readings"]])


@dataclass(frozen=True)
class PressureVerdict:
    """Fire or not, the numbers behind it in one sentence, and what to remember."""

    fire: bool
    reason: str
    state: PressureState


def judge(state: PressureState, reading: MemoryReading, under_way: str | None) -> PressureVerdict:
    """Fire above 75 % or under ten minutes to full; again after a pause while it stays; re-arm below 60 %.

    Args:
        state: what was remembered.
        reading: memory now.
        under_way: the id of an unfinished run that this sensor requested.
    """
    readings = [*state.readings, reading][-_READINGS:]
    state = replace(state, readings=readings)
    if not reading.limit:
        return PressureVerdict(
            False, f"{_mb(reading.used)} used and no maxmemory set: set one, or nothing can be forecast", state
        )
    seconds = seconds_until_full(readings) if len(readings) >= _TREND_READINGS else None
    trend = "not growing" if seconds is None else f"full in {span(seconds)}"
    numbers = f"{reading.ratio:.1%} of {_mb(reading.limit)} used, {trend}"
    pressed = reading.ratio >= FIRE_RATIO or (seconds is not None and seconds < FIRE_SECONDS)
    waited = reading.at - state.fired_at
    if pressed and under_way:
        return PressureVerdict(False, f"{numbers}; archive run {under_way[:8]} is queued or under way", state)
    if pressed and not state.armed and waited < PAUSE_SECONDS:
        return PressureVerdict(
            False, f"{numbers}; fired {waited:.0f} s ago, fires again after {PAUSE_SECONDS:.0f} s", state
        )
    if pressed:
        return PressureVerdict(True, numbers, replace(state, armed=False, fired_at=reading.at))
    if not state.armed and reading.ratio < REARM_RATIO:
        return PressureVerdict(False, f"{numbers}; armed again", replace(state, armed=True))
    armed = "armed" if state.armed else f"not armed before it is below {REARM_RATIO:.0%}"
    return PressureVerdict(
        False, f"{numbers}; fires at {FIRE_RATIO:.0%} or under {FIRE_SECONDS:.0f} s to full; {armed}", state
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
