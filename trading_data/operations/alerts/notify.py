"""One round of notifications: load the state, send to each channel what is due to it, save what was delivered.

Each channel has a state of its own, so that one that fails neither stops the others nor makes them repeat. An alert that was not
delivered stays due. The state is saved after sending: a process killed in between sends the alert again, rather than never.

Belongs here: the round, and its state. Does not: Dagster, and where findings come from.
"""

import functools
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from trading_data.archive.database import Archive
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.operations.alerts.channels import Channel, NotDelivered
from trading_data.operations.alerts.message import Message
from trading_data.operations.alerts.state import ChannelState, StateStore, restored, step
from trading_data.operations.health.collect import Measured, findings, measure_all
from trading_data.operations.health.rules import THRESHOLDS, UNAVAILABLE
from trading_data.operations.health.thresholds import WARN, Finding, Threshold, in_order


@dataclass(frozen=True)
class TierFindings:
    """The findings about both tiers, and a function that returns whether a key could not be judged."""

    findings: list[Finding]
    unknown: Callable[[str], bool]


def judge_tiers(client: Client, archive: Archive, intake: Intake, now: datetime) -> TierFindings:
    """Measure and judge both tiers; an unavailable tier is a finding."""
    measured = measure_all(client, archive, intake, now)
    return TierFindings(findings(measured), lambda key: unjudged(key, measured))


def unobservable(finding: Finding) -> TierFindings:
    """Nothing could be measured, for the reason in `finding`: every key of a threshold or of an unavailable tier is unknown."""
    away = {unavailable.key for unavailable in UNAVAILABLE}
    return TierFindings([finding], lambda key: key in away or _threshold(key) is not None)


def unjudged(key: str, measured: Measured) -> bool:
    """Whether the figure behind a threshold's key is missing while a tier is away, or at any time if the threshold `stays`."""
    threshold = _threshold(key)
    if threshold is None or not (measured.away or threshold.stays):
        return False
    subject = key.removeprefix(threshold.key).removeprefix(".")
    return measured.together().value(threshold.figure, subject) is None


def _threshold(key: str) -> Threshold | None:
    """The threshold that makes findings of this key: `redis_memory` makes `redis_memory` and `redis_memory.anything`."""
    matching = [threshold for threshold in THRESHOLDS if key == threshold.key or key.startswith(f"{threshold.key}.")]
    return max(matching, key=lambda threshold: len(threshold.key), default=None)


UNDELIVERED = "alerts_undelivered"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeliveryFailure:
    """A channel that does not deliver: since when (seconds since 1970), after how many tries, and the last error."""

    since: float
    tries: int
    message: str


@dataclass(frozen=True)
class NotifierState:
    """The state of all channels, by their names, and the failures of those that do not deliver.

    `complete` has the moment (seconds since 1970) up to which a channel got all that was due to it.
    """

    states: dict[str, ChannelState] = field(default_factory=dict)
    failures: dict[str, DeliveryFailure] = field(default_factory=dict)
    complete: dict[str, float] = field(default_factory=dict)

    def dump(self) -> str:
        """As JSON."""
        states = {name: state.dump() for name, state in self.states.items()}
        failures = {name: asdict(failure) for name, failure in self.failures.items()}
        return json.dumps({"states": states, "failures": failures, "complete": self.complete})

    @classmethod
    def load(cls, text: str) -> "NotifierState":
        """From JSON of this or an earlier release; an unreadable text is logged and counts as empty: all alerts are sent anew."""
        if not text:
            return cls()
        try:
            saved: dict[str, Any] = json.loads(text)
            failures = saved["failures"] if "failures" in saved else saved["troubles"]
            return cls(
                {name: ChannelState.load(state) for name, state in saved["states"].items()},
                {name: restored(DeliveryFailure, failure) for name, failure in failures.items()},
                {name: float(moment) for name, moment in saved.get("complete", {}).items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("the saved state of alerts is unreadable (%s): all alerts are sent anew", error)
            return cls()

    def standing(self) -> list[str]:
        """The keys of the alerts that have not ended, the most harmful first."""
        lasting = [
            known.finding for state in self.states.values() for known in state.known.values() if known.ended is None
        ]
        return list(dict.fromkeys(finding.key for finding in in_order(lasting)))

    def state_of(self, channel: str) -> ChannelState:
        """The state of a channel; a new one knows since when each alert lasts, and was notified of none."""
        if channel in self.states:
            return self.states[channel]
        return next((state.unnotified() for state in self.states.values()), ChannelState())

    def after(self, channel: str, state: ChannelState, failure: DeliveryFailure | None, now: float) -> "NotifierState":
        """This state after a channel's part of a round, which delivered all that was due or failed."""
        failures = {name: before for name, before in self.failures.items() if name != channel}
        if failure is not None:
            failures[channel] = failure
        complete = now if failure is None else min(self.complete.get(channel, now), now)
        return NotifierState({**self.states, channel: state}, failures, {**self.complete, channel: complete})

    def of_channels(self, names: Iterable[str]) -> "NotifierState":
        """This state without channels that are no longer used."""
        used = set(names)
        return NotifierState(
            {name: state for name, state in self.states.items() if name in used},
            {name: failure for name, failure in self.failures.items() if name in used},
            {name: moment for name, moment in self.complete.items() if name in used},
        )


@dataclass(frozen=True)
class NotifyResult:
    """What one round did: number of alerts delivered, or the error, by channel; and the state afterwards."""

    delivered: dict[str, int]
    failed: dict[str, str]
    book: NotifierState


def notify(
    memory: StateStore,
    channels: Sequence[Channel],
    findings: Iterable[Finding],
    now: float,
    every: float,
    unknown: Callable[[str], bool] = lambda _: False,
    log: logging.Logger = _log,
    ended: Callable[[float], Iterable[Finding]] = lambda _: [],
) -> NotifyResult:
    """Notify every channel of what is due to it.

    Args:
        memory: where the state is kept.
        channels: the channels to use; the state of any other is dropped.
        findings: what is wrong now; channels that failed in the last round are added here.
        now: seconds since 1970.
        every: seconds between two notifications of one key.
        unknown: whether a key could not be judged now (see `state.step`).
        log: for channels that do not deliver.
        ended: findings that began after a moment (seconds since 1970) and are over: a channel that has not heard of them since
            then gets them once as new, and in the next round as cleared.
    """
    book = NotifierState.load(memory.load())
    names = [channel.name for channel in channels]
    wrong = [*findings, *undelivered(book.of_channels(names))]
    ended_since = functools.cache(lambda moment: list(ended(moment)))
    delivered, failed = {}, {}
    for channel in channels:
        missed = ended_since(min(book.complete.get(channel.name, now), now))
        planned = step(book.state_of(channel.name), [*wrong, *missed], now, every, unknown)
        state, failure = planned.delivered, None
        if planned.due:
            try:
                channel.send(Message(planned.due, now))
                delivered[channel.name] = len(planned.due)
            except NotDelivered as error:
                failure = _failure(book.failures.get(channel.name), now, str(error))
                state, failed[channel.name] = planned.undelivered, failure.message
                log.warning("%d alerts stay due, tried again the next minute: %s", len(planned.due), failure.message)
        book = book.after(channel.name, state, failure, now)
        memory.save(book.dump())
    book = book.of_channels(names)
    memory.save(book.dump())
    return NotifyResult(delivered, failed, book)


def undelivered(book: NotifierState) -> list[Finding]:
    """A finding for each channel that does not deliver."""
    return [
        Finding(
            key=f"{UNDELIVERED}.{name}",
            severity=WARN,
            message=f"alerts do not arrive by {name}, tried {failure.tries} times: {failure.message}",
            command="trading-data doctor",
            subject=name,
            priority=450,
        )
        for name, failure in book.failures.items()
    ]


def _failure(before: DeliveryFailure | None, now: float, message: str) -> DeliveryFailure:
    return (
        DeliveryFailure(now, 1, message) if before is None else replace(before, tries=before.tries + 1, message=message)
    )
