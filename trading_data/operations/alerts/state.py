"""What a channel was notified of, and what is due to it now. The steps are pure: the moment, the findings and the old state
are arguments.

A finding is due when it begins, again after `every` while it lasts, at once when a warning has become an error, and once more
when it is over. A finding that comes and goes is due no more often than one that stays.

Belongs here: the state of a channel, one step of it, its form as text, and where that is saved. Does not: words (`message`)
and delivery (`channels`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from trading_data.files import replacing
from trading_data.operations.health.thresholds import ERROR, WARN, Finding, in_order

KEY = "trading_data.operations.alerts"


class StateStore(Protocol):
    """One text that outlives the process."""

    def load(self) -> str:
        """The text last saved, empty if there is none."""

    def save(self, text: str) -> None:
        """Replace the text, whole or not at all."""


class FileMemory:
    """A file, written aside and renamed, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        """Use `path`; nothing is touched before the first call."""
        self.path = path

    def load(self) -> str:
        """The content of the file; empty if there is none."""
        try:
            return self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def save(self, text: str) -> None:
        """Write it; it is durable when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing(self.path) as aside:
            aside.write_text(text, encoding="utf-8")


class KeyValues(Protocol):
    """The interface of `daemon_cursor_storage` of a Dagster instance."""

    def get_cursor_values(self, keys: set[str]) -> Mapping[str, str]:
        """The values of those of the keys that have one."""

    def set_cursor_values(self, pairs: Mapping[str, str]) -> None:
        """Set values."""


class StorageMemory:
    """A key in Dagster's own storage: `StorageMemory(instance.daemon_cursor_storage)`."""

    def __init__(self, storage: KeyValues, key: str = KEY) -> None:
        """Use `key`."""
        self._storage, self._key = storage, key

    def load(self) -> str:
        """The key's value."""
        return self._storage.get_cursor_values({self._key}).get(self._key, "")

    def save(self, text: str) -> None:
        """Set the key."""
        self._storage.set_cursor_values({self._key: text})


NEW = "new"
STILL = "still"
WORSE = "worse"
CLEARED = "cleared"
T = TypeVar("T")
_FORMER_NAMES = {
    "told_at": "notified_at",
    "told_severity": "notified_severity",
    "said": "message",
    "of": "subject",
    "harm": "priority",
    "hurts_in": "time_to_impact",
}
"""Names of fields in a state that was saved before they were renamed, and today's."""


@dataclass(frozen=True)
class AlertState:
    """What a channel knows of one key. Moments are seconds since 1970.

    `finding` is the newest one. `ended` is None while it lasts. `open` says whether the channel was notified of it and not yet of
    its end; `notified_at` and `notified_severity` are of the last notification, `times` counts them since it began.
    """

    finding: Finding
    since: float
    ended: float | None = None
    open: bool = False
    notified_at: float | None = None
    notified_severity: str = WARN
    times: int = 0


@dataclass(frozen=True)
class Alert:
    """One thing to notify of: `status` is new, still, worse or cleared; `until` is when it was over, None before that.

    `times` counts this notification too.
    """

    status: str
    finding: Finding
    since: float
    until: float | None
    times: int


@dataclass(frozen=True)
class ChannelState:
    """What a channel knows, by finding key."""

    known: Mapping[str, AlertState] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        """As plain values."""
        return {key: asdict(alert_state) for key, alert_state in self.known.items()}

    @classmethod
    def load(cls, saved: Mapping[str, Any]) -> "ChannelState":
        """From plain values, as this or another release dumped them."""
        return cls(
            {
                key: restored(AlertState, {**values, "finding": restored(Finding, values["finding"])})
                for key, values in saved.items()
            }
        )

    def unnotified(self) -> "ChannelState":
        """The same findings as a channel knows them that was notified of none."""
        return ChannelState(
            {key: AlertState(known.finding, known.since) for key, known in self.known.items() if known.ended is None}
        )


def restored(cls: type[T], values: Mapping[str, Any]) -> T:
    """An instance of a dataclass from what this or another release saved: fields that this one does not have are left out."""
    names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    renamed = {_FORMER_NAMES.get(name, name): value for name, value in values.items()}
    return cls(**{name: value for name, value in renamed.items() if name in names})


@dataclass(frozen=True)
class NotifyStep:
    """What is due now, and the state afterwards: `delivered` if that reached the channel, else `undelivered`."""

    due: tuple[Alert, ...]
    delivered: ChannelState
    undelivered: ChannelState


def step(
    state: ChannelState,
    findings: Iterable[Finding],
    now: float,
    every: float,
    unknown: Callable[[str], bool] = lambda _: False,
) -> NotifyStep:
    """What is due to one channel.

    Args:
        state: as the last step left it.
        findings: what is wrong now; of several with one key the most harmful counts.
        now: seconds since 1970.
        every: seconds between two notifications of one key.
        unknown: whether a key could not be judged now; an alert that lasts and cannot be judged is neither over nor repeated.
    """
    observed = _observed(state, {finding.key: finding for finding in reversed(in_order(findings))}, now, unknown)
    due, after = [], dict(observed)
    for key, alert_state in observed.items():
        finding, since = alert_state.finding, alert_state.since
        status = _status(alert_state, now, every, judged=not (alert_state.ended is None and unknown(key)))
        if status == CLEARED:
            due.append(Alert(CLEARED, finding, since, alert_state.ended, alert_state.times))
            after[key] = replace(alert_state, open=False, times=0)
        elif status is not None:
            times = alert_state.times + 1
            due.append(Alert(status, finding, since, None, times))
            after[key] = replace(
                alert_state, open=True, notified_at=now, notified_severity=finding.severity, times=times
            )
    return NotifyStep(_in_order(due), _remembered(after, now, every), _remembered(observed, now, every))


def _observed(
    state: ChannelState, findings: Mapping[str, Finding], now: float, unknown: Callable[[str], bool]
) -> dict[str, AlertState]:
    """What is known after the present findings; if the clock was set back, no moment lies in the future."""
    observed = {key: _not_ahead(alert_state, now) for key, alert_state in state.known.items()}
    for key, alert_state in observed.items():
        if key not in findings and alert_state.ended is None and not unknown(key):
            observed[key] = replace(alert_state, ended=now)
    for key, finding in findings.items():
        before = observed.get(key)
        if before is None:
            observed[key] = AlertState(finding, now)
        elif before.ended is None or before.open:
            observed[key] = replace(before, finding=finding, ended=None)
        else:
            observed[key] = replace(before, finding=finding, since=now, ended=None, times=0)
    return observed


def _status(alert_state: AlertState, now: float, every: float, *, judged: bool) -> str | None:
    notified_at = alert_state.notified_at
    if alert_state.ended is not None:
        return CLEARED if alert_state.open else None
    if not judged:
        return None
    if notified_at is not None and alert_state.notified_severity == WARN and alert_state.finding.severity == ERROR:
        return WORSE if alert_state.open else NEW
    if notified_at is not None and now - notified_at < every:
        return None
    return STILL if alert_state.open else NEW


def _remembered(known: Mapping[str, AlertState], now: float, every: float) -> ChannelState:
    """An ended alert is remembered until its end was delivered and it may be new again."""
    return ChannelState(
        {
            key: alert_state
            for key, alert_state in known.items()
            if alert_state.ended is None
            or alert_state.open
            or (alert_state.notified_at is not None and now - alert_state.notified_at < every)
        }
    )


def _in_order(due: Iterable[Alert]) -> tuple[Alert, ...]:
    alerts = {alert.finding.key: alert for alert in due}
    ordered = [alerts[finding.key] for finding in in_order(alert.finding for alert in alerts.values())]
    return tuple(sorted(ordered, key=lambda alert: alert.status == CLEARED))


def _not_ahead(alert_state: AlertState, now: float) -> AlertState:
    return replace(
        alert_state,
        since=min(alert_state.since, now),
        ended=None if alert_state.ended is None else min(alert_state.ended, now),
        notified_at=None if alert_state.notified_at is None else min(alert_state.notified_at, now),
    )
