"""What a soak with returns knows of what it wrote: each record has a number that no other one has, as its value.

A record is accepted if the server answered. Of one whose answer was lost nobody knows (`unknown`): it may be anywhere or
nowhere. One that is lost by Redis itself, because it had not reached the replica, leaves the books.

Belongs here: the producer, and where each number is. Does not: what happens to the tiers meanwhile.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from trading_data import Bar, LiveStore, Measurement
from trading_data.datasets import METRICS, PRICE
from trading_data.datasets.declaration import Dataset
from trading_data.errors import TradingDataError
from trading_data.intake.batch import decode
from trading_data.live.connection import connect
from trading_data.live.journal import BEGINNING, ReadRange, find_journals, inspect, read
from trading_data_tests.crash.returns_cycle import DATASETS
from trading_data_tests.rig import Rig, bar, measurement

Key = tuple[str, str, datetime]
"""Dataset, subject, time."""
VALUE = {PRICE.name: "close", METRICS.name: "value"}
"""The column that has the number."""
KEYS = [
    *((METRICS.name, f"m{number}", minute) for number in range(4) for minute in range(25)),
    *((PRICE.name, f"S{number:02}", minute) for number in range(50) for minute in range(4)),
]
_MOST = 12
"""Records a write at most."""


class Producer(threading.Thread):
    """Writes without pause, and stands still after a write that was not answered until it is told to go on."""

    def __init__(self, url: str, seed: int, pause: float) -> None:
        """Write to `url`, about `pause` seconds between two writes."""
        super().__init__(daemon=True)
        self._store = LiveStore(connect(url, retries=0))
        self._random, self._pause = random.Random(seed), pause
        self.key_of: dict[int, Key] = {}
        self.accepted: dict[int, float] = {}
        """Number → when it was written, on our clock."""
        self.unknown: set[int] = set()
        self.errors: Counter[str] = Counter()
        self.may_go_on, self.stands, self.over = threading.Event(), threading.Event(), threading.Event()
        self.may_go_on.set()

    def run(self) -> None:
        """Write until `over`."""
        while not self.over.is_set():
            chosen = self._random.choice((PRICE.name, METRICS.name))
            of_dataset = [key for key in KEYS if key[0] == chosen]
            hot = of_dataset[:10] if self._random.random() < 0.3 else of_dataset
            self.write(self._random.choices(hot, k=self._random.randint(1, _MOST)))
            self.over.wait(self._random.uniform(0, 2 * self._pause))

    def write(self, keys: Iterable[tuple[str, str, int]]) -> None:
        """Write a new value of each of these keys, which are of one dataset."""
        records: dict[int, Bar | Measurement] = {}
        for name, subject, minute in keys:
            number = len(self.key_of) + 1
            record = _record(name, subject, minute, number)
            records[number] = record
            self.key_of[number] = (name, subject, record.timestamp)
        dataset = PRICE if name == PRICE.name else METRICS
        try:
            self._store.record(dataset, records.values())
        except TradingDataError as error:
            self.errors[type(error).__name__] += 1
            self.unknown |= set(records)
            self.stands.set()
            self.may_go_on.wait()
            self.stands.clear()
        else:
            self.accepted.update(dict.fromkeys(records, time.monotonic()))

    def found(self, numbers: set[int]) -> None:
        """These were accepted, whatever was answered."""
        self.accepted.update(dict.fromkeys(numbers & self.unknown, 0.0))
        self.unknown -= numbers

    def write_every_key(self) -> None:
        """Once more, each."""
        for dataset in DATASETS:
            self.write([key for key in KEYS if key[0] == dataset.name])


def _record(name: str, subject: str, minute: int, number: int) -> Bar | Measurement:
    value = float(number)
    if name == PRICE.name:
        return bar(subject, minute, open=value, high=value, low=value, close=value, volume=value)
    return measurement(subject, minute, value)


@dataclass
class Lost:
    """Numbers that no longer have to be anywhere, and those of which the journals know nothing any more."""

    by_redis: set[int] = field(default_factory=set)
    by_redis_and_restore: set[int] = field(default_factory=set)
    only_archived: set[int] = field(default_factory=set)
    """A failover took them out of the journals: they are in batches and the archive, and an older archive may lack them."""

    @property
    def numbers(self) -> set[int]:
        """All that are lost."""
        return self.by_redis | self.by_redis_and_restore

    def after_failover(self, rig: Rig, away: Path, written: Iterable[int]) -> set[int]:
        """Look where each of these numbers is: what is neither in a journal nor in a batch or the archive, Redis has lost.

        Returns those that are somewhere.
        """
        gone = set(written) - in_journals(rig)
        kept = gone & (in_batches(rig, away) | in_archive(rig, min(gone, default=0)))
        self.only_archived |= kept
        self.by_redis |= gone - kept
        return set(written) - gone | kept

    def after_restore(self, rig: Rig, away: Path) -> None:
        """An older archive lacks what no journal has any more."""
        here = in_journals(rig) | in_batches(rig, away) | in_archive(rig, min(self.only_archived, default=0))
        self.by_redis_and_restore |= self.only_archived - here
        self.only_archived &= here


def in_journals(rig: Rig) -> set[int]:
    """The numbers that the journals hold."""
    found = set()
    for dataset in DATASETS:
        infos = inspect(rig.client, find_journals(rig.client, dataset))
        stretches = [ReadRange(name, BEGINNING, info.last, info.length) for name, info in infos.items() if info.length]
        column = VALUE[dataset.name].encode()
        for reading in read(rig.client, stretches, 1000):
            for _, fields in reading.entries:
                found.add(int(float(fields[fields.index(column) + 1])))
    return found


def in_batches(rig: Rig, away: Path) -> set[int]:
    """The numbers in batches that wait or are away."""
    found: set[int] = set()
    for dataset in DATASETS:
        files = [Path(one.path) for one in rig.intake.pending(dataset.name)] + list((away / dataset.name).glob("*"))
        for file in files:
            table = decode(file.read_bytes(), str(file)).table
            found |= {int(value) for value in table[VALUE[dataset.name]].to_pylist() if value is not None}
    return found


def in_archive(rig: Rig, least: int = 0) -> set[int]:
    """The numbers, from `least` on, that are a row, a revision or in quarantine."""
    return {number for dataset in DATASETS for number in every_number(rig, dataset, least)}


def every_number(rig: Rig, dataset: Dataset, least: int = 0) -> Iterator[int]:
    """The numbers, from `least` on, of rows, revisions and quarantined entries: each as often as it is there."""
    column = VALUE[dataset.name]
    statement = f"""
        select "{column}" from {dataset.table} where "{column}" >= %(least)s
        union all select (old->>%(column)s)::float8 from archive_revision
        where dataset = %(name)s and (old->>%(column)s)::float8 >= %(least)s
    """
    with rig.archive.transaction() as cursor:
        cursor.execute(statement, {"least": least, "column": column, "name": dataset.name})
        yield from (int(value) for (value,) in cursor.fetchall())
    yield from (number for number, _, _ in quarantined(rig, dataset) if number >= least)


def quarantined(rig: Rig, dataset: Dataset) -> list[tuple[int, str, str]]:
    """Number, kind and reason of each entry in quarantine."""
    rows = rig.query("select payload, kind, reason from archive_quarantine where dataset = %s", dataset.name)
    return [(int(float(dict(one["fields"])[VALUE[dataset.name]])), kind, reason) for one, kind, reason in rows]


def rows_of(rig: Rig, dataset: Dataset) -> Mapping[Key, int]:
    """The number that the archive shows for each key."""
    columns = ", ".join(f'"{name}"' for name in (*dataset.key, VALUE[dataset.name]))
    found: Iterable[tuple[Any, ...]] = rig.query(f"select {columns} from {dataset.table}")
    return {(dataset.name, subject, moment): int(value) for subject, moment, value in found}
