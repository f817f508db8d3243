"""The feed of Alpaca against a local stream and a local history: what breaks, what is filled, what is said of it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner
from websockets.exceptions import ConnectionClosed

from trading_data.cli.up import up_command as up
from trading_data.datasets import PRICE
from trading_data.datasets.records import Bar
from trading_data.errors import SettingError, VendorRefused
from trading_data.live.store import LiveStore
from trading_data.settings import REDIS_URL
from trading_data.sources.feeds import FeedCounts, Minute, open_feed, pump
from trading_data.sources.feeds.alpaca import AlpacaFeed, Timing
from trading_data.sources.vendors.alpaca import AlpacaVendor
from trading_data.sources.vendors.alpaca_account import KEYS, SECRETS, STREAM_URL, URL, AlpacaAccount
from trading_data.sources.vendors.rate_limit import Patience
from trading_data.times import floor, now
from trading_data_tests.rig import EARLIEST
from trading_data_tests.sources.feeds.servers import Reader, Server
from trading_data_tests.sources.vendors.alpaca_history import KEY, MINUTE, SECRET, AlpacaHistory, Fault, bar
from trading_data_tests.sources.vendors.alpaca_live import LONGEST, AlpacaLive

Told = list[tuple[int, float]]
"""Of one symbol: minute after the test's own zero, and close; in the order of the journal."""


class Scene:
    """A stream, a history and a live tier, and a feed between them that runs in a thread of its own."""

    def __init__(self, store: LiveStore, reader: Reader) -> None:
        self.store, self.reader = store, reader
        self.history, self.live = AlpacaHistory(), AlpacaLive()
        self.zero = floor(now(), MINUTE) - 60 * MINUTE
        self.shift = timedelta()
        self.frozen: datetime | None = None
        self.stop, self.lines, self.counts = threading.Event(), list[str](), FeedCounts()
        self.account = AlpacaAccount(KEY, SECRET, url=self.history.url, stream_url=self.live.url)
        self.vendor = AlpacaVendor(
            self.account, patience=Patience(tries=2, first=0.01, wait=self.stop.wait), timeout=(2, 5)
        )
        self.thread: threading.Thread | None = None
        self.failure: BaseException | None = None

    def feed(self, symbols: Callable[[], Collection[str]] | str = "AB", **timing: float) -> AlpacaFeed:
        spans = {"settle": 0.2, "again": 0.2, "refused": 0.2, "look": 0.1, **timing}
        return AlpacaFeed(
            self.account,
            self.vendor,
            symbols if callable(symbols) else lambda: list(symbols),
            latest=self.store.latest_bars,
            stop=self.stop,
            report=self.lines.append,
            earliest=EARLIEST,
            timing=Timing(**{name: timedelta(seconds=seconds) for name, seconds in spans.items()}),
            patience=Patience(first=0.02, longest=0.05),
            clock=lambda: (self.frozen or now()) + self.shift,
        )

    def start(self, feed: AlpacaFeed | None = None) -> None:
        """Pump the feed into the live tier."""

        def run() -> None:
            try:
                minutes = feed or self.feed()
                pump(self.store, minutes, pace=None, stop=self.stop, report=self.lines.append, counts=self.counts)
            except BaseException as error:  # noqa: BLE001 - it is for the test
                self.failure = error

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def begun(self, feed: AlpacaFeed | None = None) -> "Scene":
        """Started and subscribed."""
        self.start(feed)
        self.live.wait_for(1)
        return self

    def close(self) -> None:
        self.stop.set()
        if self.thread is not None:
            self.thread.join(LONGEST)
        self.vendor.close()
        self.live.close()
        self.history.close()

    def bar(self, symbol: str, minute: int, close: float = 11.0, kind: str = "b") -> dict[str, Any]:
        """A bar as the stream says it; history knows it too."""
        one = bar(self.zero + minute * MINUTE, close)
        self.history.put(symbol, one)
        return {"T": kind, "S": symbol, **one}

    def put(self, symbol: str, minute: int, close: float = 11.0) -> None:
        """A bar that only history knows."""
        self.bar(symbol, minute, close)

    def say(self, symbol: str, minute: int, close: float = 11.0, kind: str = "b") -> None:
        self.live.send(self.bar(symbol, minute, close, kind))

    def journal(self, symbol: str) -> Told:
        self.reader.go_on()
        entries = self.reader.read.get(PRICE.journal_of(symbol), [])
        return [
            (round((datetime.fromisoformat(entry["timestamp"]) - self.zero) / MINUTE), float(entry["close"]))
            for entry in entries
        ]

    def holds(self, symbol: str, closes: dict[int, float]) -> bool:
        return dict(self.journal(symbol)) == closes

    def arrived(self, symbol: str, *told: tuple[int, float]) -> None:
        """Wait until the symbol's journal holds as many entries as told; they are what was told."""
        self.until(lambda: len(self.journal(symbol)) >= len(told))
        assert self.journal(symbol) == list(told)

    def until(self, done: Callable[[], object]) -> None:
        end = time.monotonic() + LONGEST
        while not done():
            assert self.failure is None, self.failure
            assert time.monotonic() < end, (self.lines, self.reader.read)
            time.sleep(0.01)

    def reported(self, text: str) -> None:
        self.until(lambda: any(text in line for line in self.lines))


@pytest.fixture
def scene(store: LiveStore, reader: Reader) -> Iterator[Scene]:
    scene = Scene(store, reader)
    yield scene
    scene.close()


def test_a_cut_is_filled_and_each_version_arrives_once_and_in_order(scene: Scene) -> None:
    scene.frozen = now()
    scene.begun()
    scene.say("A", 0)
    scene.live.send(scene.bar("B", 0), scene.bar("A", 1), scene.bar("B", 1))
    scene.arrived("B", (0, 11.0), (1, 11.0))
    scene.put("A", 0, 11.5)  # an update that is missed
    for minute in (2, 3):
        scene.put("A", minute)
        scene.put("B", minute)
    scene.live.cut()
    scene.live.wait_for(2)
    scene.arrived("B", (0, 11.0), (1, 11.0), (2, 11.0), (3, 11.0))
    # What the stream said just before the cut is believed until history has settled.
    scene.arrived("A", (0, 11.0), (1, 11.0), (2, 11.0), (3, 11.0))
    scene.shift += timedelta(seconds=1)
    scene.arrived("A", (0, 11.0), (1, 11.0), (2, 11.0), (3, 11.0), (0, 11.5))
    again = scene.bar("A", 4)
    scene.live.send(again)
    scene.live.send(again, scene.bar("A", 2, 12.0, "u"))
    scene.live.send(scene.bar("A", 2, 12.0, "u"), scene.bar("B", 4))
    scene.arrived("B", (0, 11.0), (1, 11.0), (2, 11.0), (3, 11.0), (4, 11.0))
    scene.arrived("A", (0, 11.0), (1, 11.0), (2, 11.0), (3, 11.0), (0, 11.5), (4, 11.0), (2, 12.0))
    entry = scene.reader.of(PRICE)[0]
    assert (entry["source"], entry["open"], entry["volume"]) == ("alpaca:iex", "10.01", "100.0")
    scene.until(lambda: scene.counts.accepted["price"] >= 12)
    assert scene.counts.accepted["price"] == 12
    assert (scene.counts.repeats, scene.counts.waits) == (0, 0)
    asked = [line for line in scene.lines if "stream broke" in line or "stream is back" in line]
    assert len(asked) == 2
    scene.reported("history had 4 bars")


def test_many_cuts_lose_nothing(scene: Scene) -> None:
    scene.begun()
    scene.live.send(scene.bar("A", 0, 10.0), scene.bar("B", 0, 10.0))
    scene.arrived("B", (0, 10.0))
    for minute in range(1, 40):
        for symbol in "AB":
            message = scene.bar(symbol, minute, 10.0 + minute)
            with suppress(AssertionError, ConnectionClosed):  # between two connections nobody hears it
                scene.live.send(message)
        if minute % 8 == 4:
            scene.live.cut()
        elif minute % 8 == 6:
            scene.live.wait_for(2 + minute // 8)
    whole = {minute: 10.0 + minute for minute in range(40)}
    for symbol in "AB":
        scene.until(partial(scene.holds, symbol, whole))
        assert len(scene.journal(symbol)) == 40


def test_a_bar_that_neither_had_when_the_connection_began_comes_later(scene: Scene) -> None:
    scene.shift = -30 * MINUTE
    scene.put("A", 28)
    scene.begun()
    scene.arrived("A", (28, 11.0))
    scene.put("A", 29)  # ended before the connection began, and history is late
    scene.put("A", 30)
    scene.shift += MINUTE + timedelta(seconds=1)
    scene.arrived("A", (28, 11.0), (29, 11.0), (30, 11.0))


@pytest.mark.parametrize("kind", ["c", "x"])
def test_a_correction_of_a_trade_has_its_bars_asked_again(scene: Scene, kind: str) -> None:
    scene.begun()
    for minute in range(12):
        scene.say("A", minute)
    scene.arrived("A", *((minute, 11.0) for minute in range(12)))
    scene.put("A", 10, 10.5)
    scene.put("A", 3, 10.6)
    moment = (scene.zero + 11 * MINUTE).strftime("%Y-%m-%dT%H:%M:08.000760661Z")
    scene.live.send({"T": kind, "S": "A", "t": moment, "p": 1.0}, {"T": "t", "S": "A", "p": 1.0, "t": moment})
    scene.arrived("A", *((minute, 11.0) for minute in range(12)), (3, 10.6), (10, 10.5))
    asked = [
        request
        for request in scene.history.requests
        if datetime.fromisoformat(request["end"]) < scene.zero + 12 * MINUTE
    ]
    assert [datetime.fromisoformat(request["start"]) for request in asked] == [scene.zero + MINUTE]
    assert scene.live.symbols("trades") == [["A", "B"]]


def test_where_it_stood_before_it_was_stopped_is_where_it_goes_on(scene: Scene) -> None:
    values = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0}
    scene.store.record_prices(
        [
            Bar("A", scene.zero, source="alpaca:iex", **values),
            Bar("B", scene.zero, source="simulated", **values),
        ]
    )
    for minute in range(1, 4):
        scene.put("A", minute)
        scene.put("B", minute)
    scene.begun()
    scene.arrived("A", (0, 1.0), (1, 11.0), (2, 11.0), (3, 11.0))
    assert scene.journal("B") == [(0, 1.0)]
    scene.until(lambda: any("B" in asked["symbols"] for asked in scene.history.requests))
    starts = [(asked["symbols"], datetime.fromisoformat(asked["start"])) for asked in scene.history.requests]
    assert ("A", scene.zero - 5 * MINUTE) in starts
    assert min(start for symbols, start in starts if "B" in symbols) > scene.zero + 30 * MINUTE


def test_without_history_the_stream_goes_on_and_the_hole_is_filled_later(scene: Scene) -> None:
    scene.begun()
    scene.say("A", 0)
    scene.arrived("A", (0, 11.0))
    scene.history.faults.extend([Fault("status", 500)] * 4 + [Fault("status", 403, body={"message": "recent data"})])
    scene.put("A", 1)
    scene.live.cut()
    scene.reported("in 2 attempts, the last failed with 500")
    scene.say("A", 2)
    scene.arrived("A", (0, 11.0), (2, 11.0), (1, 11.0))
    scene.reported("refuses this account (403: recent data)")


def test_what_waits_while_nobody_reads_is_not_lost(scene: Scene) -> None:
    minutes = iter(scene.feed("A"))
    taken: list[Bar] = []

    def take(until: int) -> None:
        while len(taken) < until:
            taken.extend(next(minutes).bars)

    reading = threading.Thread(target=take, args=(1,))
    reading.start()
    scene.live.wait_for(1)
    scene.say("A", 0)
    reading.join(LONGEST)
    scene.say("A", 1)
    scene.say("A", 2)
    scene.put("A", 3)
    scene.live.cut()
    take(4)
    assert [(bar.timestamp - scene.zero) / MINUTE for bar in taken] == [0, 1, 2, 3]
    scene.stop.set()
    assert list(minutes) == []


def test_a_stream_that_died_without_a_sign_is_found_out(scene: Scene) -> None:
    scene.shift = -30 * MINUTE
    scene.begun(scene.feed(quiet=240.0))
    scene.say("A", 20)
    scene.arrived("A", (20, 11.0))
    scene.put("A", 21)
    scene.put("A", 22)
    scene.shift += 5 * MINUTE
    scene.arrived("A", (20, 11.0), (21, 11.0), (22, 11.0))
    scene.reported("sent no message although there were bars")
    scene.live.wait_for(2)


def test_a_connection_that_is_not_let_in_is_tried_again(scene: Scene) -> None:
    scene.live.refusals += [
        {"code": 406, "msg": "connection limit exceeded"},
        1013,
        {"code": 404, "msg": "auth timeout"},
    ]
    scene.begun()
    scene.say("A", 0)
    scene.arrived("A", (0, 11.0))
    assert "406: connection limit exceeded" in scene.lines[0]
    scene.live.send({"T": "error", "code": 407, "msg": "slow client"})
    scene.live.wait_for(2)
    scene.reported("407: slow client")


@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        (None, r"402: auth failed for \*\*\*.*APCA_API_KEY_ID"),
        ({"code": 409, "msg": "insufficient subscription"}, "insufficient subscription.*TRADING_DATA_ALPACA_FEED"),
    ],
)
def test_an_account_that_may_not_is_an_error(scene: Scene, refusal: dict[str, Any] | None, text: str) -> None:
    if refusal is None:
        scene.account = AlpacaAccount("WRONGKEY77", "wr0ng", url=scene.history.url, stream_url=scene.live.url)
    else:
        scene.live.refusals.append(refusal)
    with pytest.raises(VendorRefused, match=text) as error:
        next(iter(scene.feed()))
    assert "KEY77" not in str(error.value)


def test_without_the_trades_there_are_no_corrections_but_bars(scene: Scene) -> None:
    scene.live.trades_refused = {"code": 405, "msg": "symbol limit exceeded"}
    scene.begun()
    scene.reported("there are no corrections (405: symbol limit exceeded)")
    scene.say("A", 0)
    scene.arrived("A", (0, 11.0))
    scene.live.cut()
    scene.live.wait_for(2)
    assert len(scene.live.symbols("trades")) == 1


def test_the_watchlist_is_followed(scene: Scene) -> None:
    scene.start(scene.feed(scene.store.watchlist))
    scene.reported("there are no symbols: add some to watchlist:current")
    scene.store.set_watchlist({"B", "A", "not one"})
    scene.reported("cannot be symbols at Alpaca: ['not one']")
    scene.live.wait_for(1)
    scene.store.set_watchlist({"C", "B"})
    scene.until(lambda: len(scene.live.symbols("bars")) == 3)
    scene.say("C", 0)
    scene.arrived("C", (0, 11.0))
    assert [
        (request["action"], request["bars"], request["updatedBars"])
        for request in scene.live.asked
        if "bars" in request
    ] == [
        ("subscribe", ["A", "B"], ["A", "B"]),
        ("subscribe", ["C"], ["C"]),
        ("unsubscribe", ["A"], ["A"]),
    ]
    assert scene.live.connected == 1


def test_what_is_no_good_bar_is_left_out_alone(scene: Scene) -> None:
    scene.begun()
    bad = scene.bar("A", 1) | {"l": 99.0}
    none = scene.bar("A", 2) | {"o": "ten"}
    scene.history.bars.clear()
    scene.live.send({"T": "b"}, {"T": "new"}, bad, none, scene.bar("A", 3), scene.bar("B", 3))
    scene.live.send(scene.bar("A", 4))
    scene.arrived("A", (3, 11.0), (4, 11.0))
    scene.arrived("B", (3, 11.0))
    scene.reported("the first: low 99.0 is above high")
    scene.reported("left out a bar of A")


def test_a_symbol_that_history_does_not_know_holds_nobody_up(scene: Scene) -> None:
    scene.put("A", 58)
    scene.begun(scene.feed(lambda: ["A", "nosuch"]))
    scene.arrived("A", (58, 11.0))
    scene.reported("does not know nosuch")
    scene.until(lambda: ["nosuch"] in scene.live.symbols("bars"))
    assert scene.live.asked[-1]["action"] == "unsubscribe"


def test_as_a_process_until_it_is_told_to_stop(scene: Scene, server: Server) -> None:
    scene.put("A", 58)
    env = {**os.environ, KEYS[0]: KEY, SECRETS[0]: SECRET, URL: scene.history.url, STREAM_URL: scene.live.url}
    options = ["--kind", "alpaca", "--symbols", "A, B", "--redis-url", server.url]
    command = [sys.executable, "-W", "error", "-m", "trading_data.sources.feeds", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as process:
        scene.live.wait_for(1)
        scene.arrived("A", (58, 11.0))
        scene.say("B", 5)
        scene.arrived("B", (5, 11.0))
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=LONGEST)[0]
    assert process.returncode == 0
    assert said.startswith("feed alpaca: begins\n")
    assert "feed alpaca: stopped: 2 minutes: 2 bars, 0 fills" in said


def test_what_up_is_told_is_looked_at_before_anything_starts(store: LiveStore) -> None:
    unset = dict.fromkeys((*KEYS, *SECRETS)) | {REDIS_URL: "redis://127.0.0.1:1"}
    refused = CliRunner(env=unset).invoke(up, ["--feed", "alpaca"])
    assert isinstance(refused.exception, SettingError)
    number = CliRunner(env=unset | {KEYS[1]: KEY, SECRETS[1]: SECRET}).invoke(
        up, ["--feed", "alpaca", "--symbols", "5"]
    )
    assert number.exit_code == 2
    assert "the names of symbols" in number.output
    with pytest.raises(Exception, match="by name"):
        open_feed("alpaca", symbols=3, store=store)
    assert Minute(EARLIEST).bars == []
