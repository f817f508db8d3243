"""What a channel was told, and what it is to be told now. Pure: the moment, the findings and the old state are arguments.

A finding is told when it begins, again after `every` while it stays, at once when what was told as a warning is an error
now, and once more when it is over. One that comes and goes is told no more often than one that stays.

Belongs here: the state, one step of it, its form as text. Does not: words (`message`) and delivery (`channels`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from trading_data.operations.health.thresholds import ERROR, WARN, Finding, in_order

NEW = "new"
STILL = "still"
WORSE = "worse"
CLEARED = "cleared"


@dataclass(frozen=True)
class AlertState:
    """What is known of one key. Moments are seconds since 1970.

    `finding` is the newest seen. `ended` is None while it fires. `open` says whether it was told and not yet cleared;
    `told_at`, `told_severity` are of the last telling, `times` counts those since it began.
    """

    finding: Finding
    since: float
    ended: float | None = None
    open: bool = False
    told_at: float | None = None
    told_severity: str = WARN
    times: int = 0


@dataclass(frozen=True)
class Alert:
    """One thing to tell: `status` is new, still, worse or cleared; `until` is when it was over, None before that.

    `times` counts this telling too.
    """

    status: str
    finding: Finding
    since: float
    until: float | None
    times: int


@dataclass(frozen=True)
class NotifierState:
    """What is known, by finding key."""

    known: Mapping[str, AlertState] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        """As plain values."""
        return {key: asdict(one) for key, one in self.known.items()}

    @classmethod
    def load(cls, found: Mapping[str, Any]) -> "NotifierState":
        """From plain values; fields that another release wrote and this one does not know are left out."""
        return cls({key: _known(values) for key, values in found.items()})

    def untold(self) -> "NotifierState":
        """The same trouble as a channel sees it that was never told anything."""
        firing = {key: one for key, one in self.known.items() if one.ended is None}
        return NotifierState({key: AlertState(one.finding, one.since) for key, one in firing.items()})


@dataclass(frozen=True)
class NotifyStep:
    """What is due now, and the state afterwards: `delivered` if that reached the channel, else `undelivered`."""

    due: tuple[Alert, ...]
    delivered: NotifierState
    undelivered: NotifierState


def step(
    state: NotifierState,
    findings: Iterable[Finding],
    now: float,
    every: float,
    unknown: Callable[[str], bool] = lambda _: False,
) -> NotifyStep:
    """What one channel is to be told.

    Args:
        state: as left by the last step.
        findings: what is wrong now; of several with one key the most harmful counts.
        now: seconds since 1970.
        every: seconds between two tellings of one key.
        unknown: whether a key could not be judged now; what fires and cannot be judged is neither over nor repeated.
    """
    seen = _observed(state, {one.key: one for one in reversed(in_order(findings))}, now, unknown)
    due, after = [], dict(seen)
    for key, one in seen.items():
        status = _status(one, now, every, judged=not (one.ended is None and unknown(key)))
        if status is None:
            continue
        if status == CLEARED:
            due.append(Alert(CLEARED, one.finding, one.since, one.ended, one.times))
            after[key] = replace(one, open=False, times=0)
        else:
            after[key] = replace(one, open=True, told_at=now, told_severity=one.finding.severity, times=one.times + 1)
            due.append(Alert(status, one.finding, one.since, None, one.times + 1))
    return NotifyStep(_in_order(due), NotifierState(_kept(after, now, every)), NotifierState(_kept(seen, now, every)))


def _observed(
    state: NotifierState, findings: Mapping[str, Finding], now: float, unknown: Callable[[str], bool]
) -> dict[str, AlertState]:
    """What is known once the present findings were seen; a clock that was set back makes no moment lie ahead."""
    found = {key: _not_ahead(one, now) for key, one in state.known.items()}
    for key, one in found.items():
        if key not in findings and one.ended is None and not unknown(key):
            found[key] = replace(one, ended=now)
    for key, finding in findings.items():
        before = found.get(key)
        if before is None:
            found[key] = AlertState(finding, now)
        elif before.ended is None or before.open:
            found[key] = replace(before, finding=finding, ended=None)
        else:
            found[key] = replace(before, finding=finding, since=now, ended=None, times=0)
    return found


def _status(alert_state: AlertState, now: float, every: float, *, judged: bool) -> str | None:
    if alert_state.ended is not None:
        return CLEARED if alert_state.open else None
    if not judged:
        return None
    if alert_state.told_at is not None and alert_state.told_severity == WARN and alert_state.finding.severity == ERROR:
        return WORSE if alert_state.open else NEW
    if alert_state.told_at is not None and now - alert_state.told_at < every:
        return None
    return STILL if alert_state.open else NEW


def _kept(known: Mapping[str, AlertState], now: float, every: float) -> dict[str, AlertState]:
    """What is over is remembered while it could come back too soon, or while its end is still to be told."""
    return {
        key: one
        for key, one in known.items()
        if one.ended is None or one.open or (one.told_at is not None and now - one.told_at < every)
    }


def _in_order(due: Iterable[Alert]) -> tuple[Alert, ...]:
    alerts = {one.finding.key: one for one in due}
    ordered = [alerts[one.key] for one in in_order(alert.finding for alert in alerts.values())]
    return tuple(sorted(ordered, key=lambda one: one.status == CLEARED))


def _not_ahead(alert_state: AlertState, now: float) -> AlertState:
    return replace(
        alert_state,
        since=min(alert_state.since, now),
        ended=None if alert_state.ended is None else min(alert_state.ended, now),
        told_at=None if alert_state.told_at is None else min(alert_state.told_at, now),
    )


def _known(values: Mapping[str, Any]) -> AlertState:
    names = {field.name for field in fields(AlertState)}
    given = {name: value for name, value in values.items() if name in names}
    of_finding = {field.name for field in fields(Finding)}
    finding = Finding(**{name: value for name, value in given.pop("finding").items() if name in of_finding})
    return AlertState(finding, **given)
