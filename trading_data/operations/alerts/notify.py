"""One round of telling: load what was told, send to each channel what is due to it, remember what arrived.

Each channel has a state of its own, so that one that fails neither stops the others nor makes them repeat. What did not
arrive stays due. It is remembered after it was sent: who is killed in between tells it again, rather than never.

Belongs here: the round, and what is remembered of it. Does not: Dagster, and where findings come from.
"""

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
from trading_data.operations.alerts.state import NotifierState, step
from trading_data.operations.alerts.store import StateStore
from trading_data.operations.health.collect import Measured, findings, measure_all
from trading_data.operations.health.rules import AWAYS, THRESHOLDS
from trading_data.operations.health.thresholds import WARN, Finding, Threshold, in_order


@dataclass(frozen=True)
class Watched:
    """What is wrong, and whether a key could not be judged."""

    findings: list[Finding]
    unknown: Callable[[str], bool]


def watch(client: Client, archive: Archive, intake: Intake, now: datetime) -> Watched:
    """One look; a tier that is away is a finding."""
    measured = measure_all(client, archive, intake, now)
    return Watched(findings(measured), lambda key: unjudged(key, measured))


def blind(finding: Finding) -> Watched:
    """No look was possible, and why: all that a look says is unknown, also whether a tier is still away."""
    away = {away.key for away in AWAYS}
    return Watched([finding], lambda key: key in away or _threshold(key) is not None)


def unjudged(key: str, measured: Measured) -> bool:
    """Whether the figure behind a threshold's key is missing: while a tier is away, or at any time where the threshold says so."""
    threshold = _threshold(key)
    if threshold is None or not (measured.away or threshold.stays):
        return False
    of = key.removeprefix(threshold.key).removeprefix(".")
    return measured.together().value(threshold.figure, of) is None


def _threshold(key: str) -> Threshold | None:
    """The threshold that makes findings of this key: `redis_memory` makes `redis_memory` and `redis_memory.anything`."""
    found = [threshold for threshold in THRESHOLDS if key == threshold.key or key.startswith(f"{threshold.key}.")]
    return max(found, key=lambda one: len(one.key), default=None)


UNDELIVERED = "alerts_undelivered"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeliveryFailure:
    """A channel that does not deliver: since when (seconds since 1970), how often it was tried, what was said last."""

    since: float
    tries: int
    said: str


@dataclass(frozen=True)
class Book:
    """What is remembered: each channel's state, and the trouble of those that have any."""

    states: dict[str, NotifierState] = field(default_factory=dict)
    troubles: dict[str, DeliveryFailure] = field(default_factory=dict)

    def dump(self) -> str:
        """As JSON."""
        states = {name: state.dump() for name, state in self.states.items()}
        return json.dumps(
            {"states": states, "troubles": {name: asdict(trouble) for name, trouble in self.troubles.items()}}
        )

    @classmethod
    def load(cls, text: str) -> "Book":
        """From JSON; a text that cannot be read is as good as none, and is said in the log: all is told anew."""
        if not text:
            return cls()
        try:
            found: dict[str, Any] = json.loads(text)
            states = {name: NotifierState.load(one) for name, one in found["states"].items()}
            return cls(states, {name: DeliveryFailure(**one) for name, one in found["troubles"].items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("what was told of alerts cannot be read (%s): everything is told anew", error)
            return cls()

    def standing(self) -> list[str]:
        """The keys of what is known to be wrong and not known to be over, the most harmful first."""
        known = [one.finding for state in self.states.values() for one in state.known.values() if one.ended is None]
        return list(dict.fromkeys(one.key for one in in_order(known)))

    def state_of(self, channel: str) -> NotifierState:
        """The state of a channel; one that was never used knows since when everything is, and was told nothing."""
        if channel in self.states:
            return self.states[channel]
        return next((state.untold() for state in self.states.values()), NotifierState())


@dataclass(frozen=True)
class NotifyResult:
    """What one round did: alerts delivered and not delivered, by channel, and the book afterwards."""

    delivered: dict[str, int]
    failed: dict[str, str]
    book: Book


def tell(
    memory: StateStore,
    channels: Sequence[Channel],
    findings: Iterable[Finding],
    now: float,
    every: float,
    unknown: Callable[[str], bool] = lambda _: False,
    log: logging.Logger = _log,
) -> NotifyResult:
    """Tell every channel what is due to it.

    Args:
        memory: what was told.
        channels: the ways to use; one that is no longer used is forgotten.
        findings: what is wrong now; that a channel did not deliver in the last round is added here.
        now: seconds since 1970.
        every: seconds between two tellings of one trouble.
        unknown: whether a key could not be judged now (see `state.step`).
        log: where it is said that a channel does not deliver.
    """
    book = Book.load(memory.load())
    names = [channel.name for channel in channels]
    book = Book(book.states, {name: trouble for name, trouble in book.troubles.items() if name in names})
    wrong = [*findings, *undelivered(book)]
    delivered, failed = {}, {}
    for channel in channels:
        found = step(book.state_of(channel.name), wrong, now, every, unknown)
        after, trouble = found.delivered, None
        if found.due:
            try:
                channel.send(Message(found.due, now))
                delivered[channel.name] = len(found.due)
            except NotDelivered as error:
                trouble = _trouble(book.troubles.get(channel.name), now, str(error))
                after, failed[channel.name] = found.undelivered, trouble.said
                log.warning("%d alerts stay due, tried again the next minute: %s", len(found.due), trouble.said)
        book = _with(book, channel.name, after, trouble)
        memory.save(book.dump())
    book = replace(book, states={name: state for name, state in book.states.items() if name in names})
    memory.save(book.dump())
    return NotifyResult(delivered, failed, book)


def undelivered(book: Book) -> list[Finding]:
    """The findings that a channel does not deliver."""
    return [
        Finding(
            key=f"{UNDELIVERED}.{name}",
            severity=WARN,
            message=f"alerts do not arrive by {name}, tried {trouble.tries} times: {trouble.said}",
            command="trading-data doctor",
            of=name,
            harm=450,
        )
        for name, trouble in book.troubles.items()
    ]


def _trouble(before: DeliveryFailure | None, now: float, said: str) -> DeliveryFailure:
    return DeliveryFailure(now, 1, said) if before is None else DeliveryFailure(before.since, before.tries + 1, said)


def _with(book: Book, name: str, state: NotifierState, trouble: DeliveryFailure | None) -> Book:
    troubles = {other: trouble for other, trouble in book.troubles.items() if other != name}
    if trouble is not None:
        troubles[name] = trouble
    return Book({**book.states, name: state}, troubles)
