"""The pump against a real server that is full, away or told to stop: nothing is lost, the newest stays the newest."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest

from trading_data.datasets import DATASETS, METRICS, PRICE, TRADE
from trading_data.datasets.codec import canonical_decimal, plain
from trading_data.datasets.records import Bar
from trading_data.errors import BadInput, LiveTierFull
from trading_data.live.connection import read_memory
from trading_data.live.store import LiveStore
from trading_data.sources.feeds import FeedCounts, Minute, SimulatedMarket, live_minutes, pump
from trading_data.sources.feeds.pump import RealClock
from trading_data_tests.sources.feeds.servers import Entry, Reader, Server

DAY = date(2026, 3, 2)
START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class SteppedClock:
    """A clock that stands still but for the waits."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        self.at += timedelta(seconds=seconds)
        return stop.is_set()


class ImpatientClock(RealClock):
    """The real clock with pauses a fiftieth as long, so that trouble takes a test no time."""

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        return stop.wait(seconds / 50)


def written(value: object) -> str:
    """A value as the door writes it into a journal."""
    return str(canonical_decimal(plain(value))) if isinstance(value, Decimal) else plain(value)


def entries(minutes: Iterable[Minute]) -> dict[str, list[Entry]]:
    """What should be in the journals, by dataset, in the order sent."""
    out: dict[str, list[Entry]] = {name: [] for name in DATASETS}
    for minute in minutes:
        for dataset, records in ((PRICE, minute.bars), (TRADE, minute.fills), (METRICS, minute.measurements)):
            out[dataset.name] += [
                {name: written(value) for name, value in asdict(record).items()} for record in records
            ]
    return out


def last_order(found: Iterable[Entry]) -> list[tuple[str, ...]]:
    """The distinct entries in the order of their last occurrence."""
    out: dict[tuple[str, ...], None] = {}
    for entry in found:
        key = tuple(entry[name] for name in sorted(entry))
        out.pop(key, None)
        out[key] = None
    return list(out)


def by_journal(found: list[Entry], name: str) -> dict[str, list[tuple[str, ...]]]:
    dataset = DATASETS[name]
    journals: dict[str, list[Entry]] = {}
    for entry in found:
        journals.setdefault(dataset.journal_of(entry[dataset.subject]), []).append(entry)
    return {journal: last_order(found) for journal, found in journals.items()}


def run(store: LiveStore, minutes: Iterable[Minute], **other: Any) -> FeedCounts:
    options = {"pace": None, "stop": threading.Event(), "report": print, "clock": ImpatientClock()}
    return pump(store, minutes, **(options | other))


def test_all_of_a_feed_is_in_the_journals_in_order(store: LiveStore, reader: Reader) -> None:
    minutes = list(islice(SimulatedMarket(300, DAY, 7), 12))
    lines: list[str] = []
    counts = run(store, minutes, report=lines.append)
    reader.go_on()
    expected = entries(minutes)
    for name, dataset in DATASETS.items():
        found = reader.of(dataset)
        assert len(found) == len(expected[name]) == counts.accepted[name]
        assert by_journal(found, name) == by_journal(expected[name], name)
    assert (counts.minutes, counts.repeats, counts.waits, counts.unsent) == (12, 0, 0, 0)
    assert lines == []
    assert str(counts).startswith(f"12 minutes: {counts.accepted['price']:,} bars, ")


def test_a_full_server_loses_nothing_and_keeps_the_order(store: LiveStore, reader: Reader) -> None:
    limit = read_memory(store.client, 0.0).used + 400_000
    store.client.config_set("maxmemory", limit)
    minutes = list(islice(SimulatedMarket(25, DAY, 7, late=0.05, corrected=0.05, fills_per_minute=15), 160))
    finished, counts = threading.Event(), FeedCounts()

    def archive() -> None:
        seen = 0
        while not finished.wait(0.002):
            if counts.waits > seen:
                seen = counts.waits
                reader.go_on(trim=True)

    archiver = threading.Thread(target=archive)
    archiver.start()
    lines: list[str] = []
    try:
        run(store, minutes, report=lines.append, counts=counts)
    finally:
        finished.set()
        archiver.join()
    reader.go_on()
    expected = entries(minutes)
    for name, dataset in DATASETS.items():
        assert counts.accepted[name] == len(expected[name])
        assert by_journal(reader.of(dataset), name) == by_journal(expected[name], name)
    assert sum(reader.counts().values()) == sum(counts.accepted.values()) + counts.repeats
    assert counts.waits >= 2
    assert counts.unsent == 0
    assert ["waiting" in line for line in lines] == [True, False] * (len(lines) // 2)
    assert "live tier is full" in lines[0]
    assert "accepts all records again" in lines[1]


def test_what_overtook_a_refused_record_is_sent_again_behind_it(server: Server, reader: Reader) -> None:
    class OneRefused(LiveStore):
        """The real store on the real server, whose memory limit is reached by one entry in the middle of a block."""

        def record(self, dataset: Any, records: Iterable[Any]) -> list[str]:
            listed = list(records)
            if len(listed) != 6:
                return super().record(dataset, listed)
            self.client.config_set("maxmemory", 0)
            super().record(dataset, listed[:2])
            self.client.config_set("maxmemory", 1)
            try:
                return super().record(dataset, listed[2:4])
            except LiveTierFull as full:
                self.client.config_set("maxmemory", 0)
                super().record(dataset, listed[4:])
                raise LiveTierFull(str(full), [2 + at for at in full.refused]) from full

    bars = [Bar(symbol, START, 10.0, 20.0, 5.0, close, 1.0, "t") for close in (11.0, 12.0, 13.0) for symbol in "AB"]
    store = OneRefused.from_url(server.url)
    counts = run(store, [Minute(START, bars)])
    store.close()
    reader.go_on()
    for symbol in "AB":
        closes = [entry["close"] for entry in reader.read[f"journal:price:{symbol}"]]
        assert closes == ["11.0", "13.0", "12.0", "13.0"]
    assert (counts.accepted["price"], counts.repeats, counts.waits) == (6, 2, 1)


def test_a_server_that_was_killed_gets_all_of_it(store: LiveStore, server: Server, reader: Reader) -> None:
    minutes = list(islice(SimulatedMarket(40, DAY, 7), 30))
    lines: list[str] = []

    def on_report(line: str) -> None:
        lines.append(line)
        if "waiting" in line:
            server.start()

    def with_a_kill() -> Iterator[Minute]:
        for number, minute in enumerate(minutes):
            if number in (10, 20):
                server.kill()
            yield minute

    counts = run(store, with_a_kill(), report=on_report)
    reader.go_on()
    expected = entries(minutes)
    for name, dataset in DATASETS.items():
        assert counts.accepted[name] == len(expected[name])
        assert by_journal(reader.of(dataset), name) == by_journal(expected[name], name)
    assert len(lines) == 4
    assert "does not answer" in lines[0]
    assert counts.waits >= 2
    assert counts.repeats > 0
    assert (counts.minutes, counts.unsent) == (30, 0)


def test_stopped_while_the_server_is_away_it_ends_and_says_what_was_not_sent(store: LiveStore, server: Server) -> None:
    server.kill()
    stop = threading.Event()
    minutes = list(islice(SimulatedMarket(300, DAY, 7), 3))
    counts = run(store, minutes, stop=stop, report=lambda _: stop.set())
    assert counts.unsent == len(minutes[0].bars) + len(minutes[0].fills) + len(minutes[0].measurements)
    assert (sum(counts.accepted.values()), counts.minutes, counts.waits) == (0, 0, 1)


def test_a_minute_begun_is_finished_when_stopped(store: LiveStore, reader: Reader) -> None:
    stop = threading.Event()

    def stopping() -> Iterator[Minute]:
        for number, minute in enumerate(SimulatedMarket(600, DAY, 7)):
            if number == 2:
                stop.set()
            yield minute

    counts = run(store, stopping(), stop=stop)
    reader.go_on()
    assert counts.minutes == 2
    assert reader.counts() == counts.accepted
    assert counts.unsent == 0


def moments(store: LiveStore, minutes: Iterable[Minute], pace: float, at: datetime) -> list[datetime]:
    """When each minute was sent on a clock that begins at `at`."""
    clock = SteppedClock(at)
    seen: list[datetime] = []

    def watched() -> Iterator[Minute]:
        for minute in minutes:
            yield minute
            seen.append(clock.now())

    run(store, watched(), pace=pace, clock=clock)
    return seen


def test_real_pace_keeps_to_the_clock_when_the_market_is_live(store: LiveStore) -> None:
    begin = START + timedelta(seconds=42.5)
    live = islice(live_minutes(2, 7, begin=begin), 4)
    assert moments(store, live, 1.0, begin) == [START + number * MINUTE for number in range(1, 5)]


def test_a_live_market_waits_over_night_and_catches_up_after_an_outage(store: LiveStore) -> None:
    later = [Minute(START + hours * timedelta(hours=1)) for hours in (0, 1, 20)]
    assert moments(store, later, 1.0, START - MINUTE) == [minute.at for minute in later]
    clock = SteppedClock(START)
    sent: list[datetime] = []

    def held_up() -> Iterator[Minute]:
        for number in range(1, 6):
            yield Minute(START + number * MINUTE)
            if number == 1:
                clock.at += 3 * MINUTE  # the server was away
            sent.append(clock.now())

    run(store, held_up(), pace=1.0, clock=clock)
    assert [(at - START) / MINUTE for at in sent] == [4, 4, 4, 4, 5]


@pytest.mark.parametrize(("pace", "seconds"), [(1.0, 60.0), (60.0, 1.0), (6000.0, 0.01)])
def test_a_past_market_takes_its_minutes_at_the_pace(store: LiveStore, pace: float, seconds: float) -> None:
    today = datetime(2026, 5, 5, 12, 0, 7, tzinfo=UTC)
    sent = moments(store, islice(SimulatedMarket(2, DAY, 7), 4), pace, today)
    assert sent == [today + number * timedelta(seconds=seconds) for number in range(4)]


def test_nights_in_recorded_data_are_not_waited_for(store: LiveStore) -> None:
    today = datetime(2026, 5, 5, 12, 0, 7, tzinfo=UTC)
    minutes = [Minute(START + offset) for offset in (timedelta(), timedelta(seconds=30), timedelta(days=3))]
    sent = moments(store, minutes, 1.0, today)
    assert [(at - today).total_seconds() for at in sent] == [0, 30, 90]


@pytest.mark.parametrize("pace", [0.0, -1.0, float("nan")])
def test_a_pace_that_is_none_is_refused(store: LiveStore, pace: float) -> None:
    with pytest.raises(BadInput, match="pace must be above zero"):
        run(store, [], pace=pace)


def test_a_record_that_breaks_a_rule_is_an_error(store: LiveStore, reader: Reader) -> None:
    wrong = Bar("A", START, 1.0, 1.0, 2.0, 1.0, 1.0, "t")
    with pytest.raises(BadInput, match=r"low 2\.0 is above high 1\.0"):
        run(store, [Minute(START, [wrong])])
    reader.go_on()
    assert reader.read == {}
