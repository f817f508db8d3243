"""docs/live_tier.md, KEYS, LiveStore and a real server say the same of every key."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import trading_data
from trading_data import LiveStore
from trading_data.live.keys import KEYS, LiveKey
from trading_data_tests.live.state.examples import Tier, context, indicators, position, sentiment, signal
from trading_data_tests.rig import bar, fill, measurement

PAGE = Path(__file__).parents[3] / "docs" / "live_tier.md"
TYPES = {"hash": "hash", "set": "set", "sorted set": "zset", "stream": "stream", "string": "string"}
EXPIRES = {"yes": True, "no": False, "**never**": False}

AAPL = {"symbol": "AAPL", "signal_type": "momentum"}
WRITES: dict[str, Callable[[LiveStore], object]] = {
    "record_prices": lambda store: store.record_prices([bar()]),
    "record_trades": lambda store: store.record_trades([fill()]),
    "record_metrics": lambda store: store.record_metrics([measurement()]),
    "set_indicators": lambda store: store.set_indicators(indicators()),
    "set_sentiment": lambda store: store.set_sentiment(sentiment()),
    "set_market_context": lambda store: store.set_market_context(context()),
    "set_watchlist": lambda store: store.set_watchlist(["AAPL"]),
    "add_to_watchlist": lambda store: store.add_to_watchlist("MSFT"),
    "remove_from_watchlist": lambda store: store.remove_from_watchlist("MSFT"),
    "set_candidates": lambda store: store.set_candidates({"AAPL": 2.0, "MSFT": 1.0}),
    "rank_candidates": lambda store: store.rank_candidates({"MSFT": 3.0}),
    "remove_candidates": lambda store: store.remove_candidates("MSFT"),
    "set_active_positions": lambda store: store.set_active_positions(position()),
    "set_monitored_positions": lambda store: store.set_monitored_positions(position()),
    "set_signals": lambda store: store.set_signals(signal()),
    "set_system_state": lambda store: store.set_system_state({"feed": "running"}),
}
"""A call of each setter that the page names."""


@dataclass(frozen=True)
class Row:
    """One key of the page's table."""

    pattern: str
    type: str
    expires: bool
    content: str
    record: str | None
    setters: list[str]
    getter: str | None
    channels: list[str]

    @property
    def declared(self) -> LiveKey:
        return next(key for key in KEYS.values() if key.pattern == self.pattern)

    @property
    def name(self) -> str:
        return self.pattern.format(**AAPL)


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def read_page() -> list[Row]:
    """The table's rows; one that has several keys has as many setters, getters and channels, in the same order."""
    rows = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 8 or not cells[0].startswith("`"):
            continue
        keys, setters, getters, channels = (code(cells[at]) for at in (0, 5, 6, 7))
        for at, key in enumerate(keys):
            several = len(keys) > 1
            rows.append(
                Row(
                    key,
                    TYPES[cells[1]],
                    EXPIRES[cells[2]],
                    cells[3],
                    next(iter(code(cells[4])), None),
                    [setters[at]] if several else setters,
                    getters[at] if getters else None,
                    [channels[at]] if several else channels,
                )
            )
    return rows


ROWS = read_page()
BY_LIBRARY = [row for row in ROWS if row.setters != ["cached"]]


def test_the_page_and_the_declaration_have_the_same_keys() -> None:
    assert [row.pattern for row in ROWS] == [key.pattern for key in KEYS.values()]
    for row in ROWS:
        assert row.type == row.declared.type
        assert row.expires == (row.declared.ttl is not None)
        assert row.pattern in row.channels or row.type == "stream" or row.setters == ["cached"]


def test_what_the_page_names_is_there() -> None:
    for row in BY_LIBRARY:
        assert row.record is None or hasattr(trading_data, row.record)
        for method in (*row.setters, *([row.getter] if row.getter else [])):
            assert callable(getattr(LiveStore, method))
    assert {setter for row in BY_LIBRARY for setter in row.setters} == set(WRITES)


@pytest.mark.parametrize(("row", "setter"), [(row, setter) for row in BY_LIBRARY for setter in row.setters])
def test_a_write_has_the_type_the_lifetime_and_the_publication(either: Tier, row: Row, setter: str) -> None:
    if setter not in row.setters[:1]:
        WRITES[row.setters[0]](either.store)
    channel = row.channels[0].format(**AAPL)
    with either.hearing(channel) as heard:
        WRITES[setter](either.store)
        ((found, message),) = heard()
    assert found == channel
    assert isinstance(message, dict)
    assert_kept(either, row.name, row)


@pytest.mark.parametrize("row", [row for row in BY_LIBRARY if row.getter], ids=lambda row: row.pattern)
def test_a_getter_reads_what_the_setter_wrote(either: Tier, row: Row) -> None:
    assert row.getter is not None
    WRITES[row.setters[0]](either.store)
    arguments = [AAPL[part] for part in row.declared.about]
    found: Any = getattr(either.store, row.getter)(*arguments)
    assert found
    assert row.record is None or isinstance(found, getattr(trading_data, row.record))


def test_a_late_bar_is_published_on_its_journal(either: Tier) -> None:
    with either.hearing("journal:price:AAPL", "stocks:price:AAPL") as heard:
        either.store.record_prices([bar(minute=1), bar(minute=0)])
        channels = [channel for channel, _ in heard()]
    assert sorted(channels) == ["journal:price:AAPL", "stocks:price:AAPL"]


def test_a_cached_result_has_its_type_and_lifetime(tier: Tier) -> None:
    @tier.store.cached("range", timedelta(minutes=5))
    def compute() -> int:
        return 7

    assert compute() == 7
    (name,) = (key.decode() for key in tier.client.scan_iter("cache:range:*"))
    (row,) = (row for row in ROWS if row.setters == ["cached"])
    assert_kept(tier, name, row, timedelta(minutes=5))


def assert_kept(tier: Tier, name: str, row: Row, ttl: timedelta | None = None) -> None:
    """The key has the page's type, and lives as long as declared (or `ttl`)."""
    lives = ttl or row.declared.ttl
    assert tier.client.type(name).decode() == row.type
    left = tier.client.ttl(name)
    assert left == -1 if lives is None else lives.total_seconds() - 60 < left <= lives.total_seconds()
