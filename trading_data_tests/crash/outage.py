"""What the outage needs: tiers of a test's own of which one can go away, a feed that remembers, and what was drained.

Belongs here: these, without assertions. Does not: the story (`test_outage`).
"""

import itertools
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Dataset
from trading_data.live.connection import Client, read_memory
from trading_data.live.journal import find_journals, inspect
from trading_data.local.timescale import Timescale
from trading_data.local.valkey import Valkey
from trading_data.settings import INTAKE_URI, REDIS_URL, TIMESCALE_URL, Settings
from trading_data.sources.feeds import FeedCounts, Minute, SimulatedMarket, pump
from trading_data.sources.feeds.pump import RealClock
from trading_data_tests.rig import MOMENT, Rig

THE_DAY = MOMENT.date()
SEED = 20261123
CLOSED = "postgresql+psycopg2://postgres@127.0.0.1:1/trading"
Sent = tuple[str, str, datetime]
"""Journal, subject and time of an entry."""


class Impatient(RealClock):
    """Pauses a tenth as long, so that trouble takes a test less time."""

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        return stop.wait(seconds / 10)


class Tiers:
    """A live tier with little memory and an archive that can go away."""

    def __init__(self, settings: Settings, home: Path, setenv: Callable[[str, str], None]) -> None:
        self.setenv = setenv
        self.live = Valkey(home / "redis")
        self.own = None if os.environ.get(TIMESCALE_URL) else Timescale(home / "timescale", home=settings.home)
        self.live.start()
        if self.own:
            self.own.start()
        url = self.own.url() if self.own else settings.timescale_url
        self.settings = replace(settings, redis_url=self.live.url(), timescale_url=url, intake_uri=str(home / "intake"))
        setenv(REDIS_URL, self.settings.require_redis_url())
        setenv(INTAKE_URI, self.settings.intake_uri)
        setenv(TIMESCALE_URL, self.settings.require_timescale_url())

    def archive_goes(self) -> None:
        if self.own:
            self.own.stop()
        else:
            self.setenv(TIMESCALE_URL, CLOSED)

    def archive_comes_back(self) -> None:
        if self.own:
            self.own.start()
            self.settings = replace(self.settings, timescale_url=self.own.url())
        self.setenv(TIMESCALE_URL, self.settings.require_timescale_url())

    def stop(self) -> None:
        self.live.stop()
        if self.own:
            self.own.stop()


class Feed:
    """A simulated market, some minutes at a time, and the newest value of each key that it has sent."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.counts, self.stop = rig, FeedCounts(), threading.Event()
        self.minutes = iter(
            SimulatedMarket(40, THE_DAY, SEED, round_the_clock=True, corrected=0.03, fills_per_minute=8)
        )
        self.model: dict[str, dict[tuple[Any, ...], tuple[Any, ...]]] = {name: {} for name in DATASETS}
        self.said: list[str] = []
        self.forget_order()

    def forget_order(self) -> None:
        """Begin anew with what was sent in which order: journal and key."""
        self.sent: dict[str, list[Sent]] = {name: [] for name in DATASETS}

    def send(self, minutes: int) -> None:
        """As fast as the live tier takes them."""
        sent = [self.noted(minute) for minute in itertools.islice(self.minutes, minutes)]
        pump(
            self.rig.store,
            sent,
            pace=None,
            stop=self.stop,
            report=self.said.append,
            clock=Impatient(),
            counts=self.counts,
        )

    def noted(self, minute: Minute) -> Minute:
        of_minute: tuple[Sequence[Any], ...] = (minute.bars, minute.fills, minute.measurements)
        for name, records in zip(DATASETS, of_minute, strict=True):
            self.model[name] |= {astuple(record)[:2]: astuple(record) for record in records}
            self.sent[name] += [
                (DATASETS[name].journal_of(key[0]), *key) for key in (astuple(record)[:2] for record in records)
            ]
        return minute


def leave(client: Client, room: int) -> None:
    """Limit the live tier's memory to what it uses and some bytes more."""
    client.config_set("maxmemory", read_memory(client, 0.0).used + room)


def drained(rig: Rig, dataset: Dataset) -> list[Sent]:
    """The entries that wait in the intake, in the order in which they will be loaded."""
    found = []
    for file in rig.intake.pending(dataset.name):
        batch = rig.intake.read(file)
        if batch and batch.origin == "journal":
            columns = [batch.rows[name].to_pylist() for name in ("_journal", *dataset.key)]
            found += [(batch.journals[at].journal, subject, time) for at, subject, time in zip(*columns, strict=True)]
    return found


def last_in_order(entries: Iterable[Sent]) -> dict[str, list[Sent]]:
    """Each journal's entries in the order in which they came last: what came once more counts from there."""
    last: dict[Sent, None] = {}
    for entry in entries:
        last.pop(entry, None)
        last[entry] = None
    return {journal: [one for one in last if one[0] == journal] for journal in sorted({one[0] for one in last})}


def left_too_early(rig: Rig, archived: Mapping[str, int]) -> list[str]:
    """Journals from which more entries are gone than are archived or, read afterwards, durable in the intake."""
    wrong = []
    for name, dataset in DATASETS.items():
        infos = inspect(rig.client, find_journals(rig.client, dataset))
        safe = Counter(archived)
        for batch in map(rig.intake.head, rig.intake.pending(name)):
            if batch and batch.origin == "journal":
                safe.update({one.journal: one.count for one in batch.journals})
        for journal, info in infos.items():
            if info.added - info.length > safe[journal]:
                wrong.append(f"{journal}: {info.added - info.length} gone, {safe[journal]} archived or in the intake")
    return wrong
