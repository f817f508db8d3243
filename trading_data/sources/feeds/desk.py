"""`Desk` runs the toy strategy. After each minute it writes the keys of the live tier that a trading system keeps.

Positions are moved by `monitor_candidate`, `open_position` and `reduce_position`, which journal the fill with the position,
in one transaction; so the strategy's positions are the sums of its fills. Positions are read again each minute: a feed that was
stopped, or a live tier that was away, changes none.

Belongs here: order and effects. Does not: decisions (`toy`), and bars (`pump`).
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from trading_data.datasets import METRICS, TRADE
from trading_data.errors import Refused, TradingDataError
from trading_data.live.keys import KEYS
from trading_data.live.records import Position
from trading_data.live.store import LiveStore
from trading_data.sources.feeds import toy
from trading_data.sources.feeds.pump import Minute
from trading_data.sources.feeds.sender import FeedCounts
from trading_data.times import utc

_TRADED = f"{toy.STRATEGY}.traded_to"
_FRESH_NEWS = 3
"""Symbols with news per minute."""


class Desk:
    """One strategy for the first `toy.MOST` symbols it sees. Call `minute` after each minute sent.

    It only trades forwards: minutes up to the one in `system:state` are not traded again, so that a day sent twice has its fills
    once. It leaves positions of other strategies alone.
    """

    def __init__(self, store: LiveStore, seed: int, counts: FeedCounts, report: Callable[[str], None]) -> None:
        """`report` gets one line when the live tier begins to refuse writes."""
        self._store, self._seed, self._counts, self._report = store, seed, counts, report
        self._trends: dict[str, toy.Trend] = {}
        self._traded: datetime | None = None
        self._begun = self._troubled = False
        self._closed = Decimal(0)
        self._fills = 0
        self._together = store.cached("moves_together", KEYS["cache"].ttl or timedelta(hours=1))(self._share_together)

    def minute(self, minute: Minute) -> None:
        """Follow the minute's bars, write, and trade; what the live tier refuses is skipped, without an error."""
        for bar in minute.bars:
            if bar.symbol in self._trends or len(self._trends) < toy.MOST:
                self._trends[bar.symbol] = toy.follow(self._trends.get(bar.symbol), bar)
        try:
            if self._trends:
                self._work(minute.at)
            self._troubled = False
        except TradingDataError as error:
            if not self._troubled:
                self._report(f"the strategy {toy.STRATEGY} waits: {error}")
            self._troubled = True

    def close(self) -> None:
        """Set the state of feed and strategy to `stopped`."""
        try:
            self._store.set_system_state({"feed": "stopped", toy.STRATEGY: "stopped"})
        except TradingDataError as error:
            self._report(f"the state of the system was not set: {error}")

    def _work(self, at: datetime) -> None:
        store = self._store
        if self._traded is None:
            self._traded = _moment(store.system_state().get(_TRADED))
        if self._traded is not None and at <= self._traded:
            return
        # Before trading, so that an interrupted minute is not traded twice.
        store.set_system_state({_TRADED: at.isoformat()})
        self._traded = at
        symbols = sorted(self._trends)
        now_seen = [trend for trend in self._trends.values() if trend.last.timestamp >= at - timedelta(minutes=1)]
        fresh = symbols if not self._begun else symbols[at.minute % len(symbols) :][:_FRESH_NEWS]
        if not self._begun:
            store.add_to_watchlist(symbols)
        store.set_indicators(map(toy.indicators, now_seen))
        store.set_signals(map(toy.signal, now_seen))
        store.set_sentiment([toy.sentiment(symbol, at, self._seed) for symbol in fresh])
        context = toy.market_context([self._trends[symbol] for symbol in symbols], at)
        store.set_market_context(context)
        self._together(symbols)
        self._begun = True
        self._fills = 0
        held, monitored = self._trade(at, symbols, {trend.last.symbol: trend for trend in now_seen})
        store.set_system_state({"feed": "running", toy.STRATEGY: f"holds {len(held)}, monitors {monitored}"})
        ours = [
            (position, self._trends[symbol]) for symbol, position in held.items() if position.strategy == toy.STRATEGY
        ]
        figures = toy.measurements(at, self._fills, self._closed, ours)
        store.record_metrics(figures)
        self._counts.accepted[METRICS.name] += len(figures)

    def _trade(
        self, at: datetime, symbols: Sequence[str], trends: dict[str, toy.Trend]
    ) -> tuple[dict[str, Position], int]:
        """Close, open, monitor, rank; returns the positions held then, and how many are monitored."""
        store, (most, most_monitored) = self._store, toy.places(len(symbols))
        held: dict[str, Position] = dict(store.active_positions(symbols))
        left = set(held)  # a position closed in this minute is not opened again at once
        for symbol, position in list(held.items()):
            trend = trends.get(symbol)
            if trend is None or position.strategy != toy.STRATEGY:
                continue
            fill = toy.leaving(position, trend, at, self._seed)
            if fill is not None:
                after = store.reduce_position(symbol, fill)
                self._count()
                self._closed += toy.profit(position, fill.price, fill.quantity)
                if after is None:
                    del held[symbol]
                else:
                    held[symbol] = after
        monitored: dict[str, Position] = dict(store.monitored_positions(symbols))
        ranked = {symbol: abs(self._trends[symbol].strength) for symbol in symbols if symbol not in held | monitored}
        store.rank_candidates(ranked)
        best = sorted((symbol for symbol in ranked if symbol in trends), key=lambda symbol: (-ranked[symbol], symbol))
        while best and len(held) + len(monitored) < most + most_monitored:
            position = toy.wanted(trends[best.pop(0)])
            if position.symbol in left:
                continue
            try:
                store.monitor_candidate(position)
            except Refused:  # another program took it
                continue
            monitored[position.symbol] = position
        for symbol, position in list(monitored.items()):
            if len(held) >= most or symbol not in trends or symbol in left or position.strategy != toy.STRATEGY:
                continue
            held[symbol] = store.open_position(*toy.entering(position, trends[symbol], at, self._seed))
            self._count()
            del monitored[symbol]
        return held, len(monitored)

    def _count(self) -> None:
        self._fills += 1
        self._counts.accepted[TRADE.name] += 1

    def _share_together(self, symbols: Sequence[str]) -> float:
        """The share of symbols that went the way most went, since the feed began: dear to compute on a real market."""
        rising = sum(self._trends[symbol].last.close > self._trends[symbol].first.open for symbol in symbols)
        return max(rising, len(symbols) - rising) / len(symbols)


def _moment(text: str | None) -> datetime | None:
    """A moment from the hash; None for any other text, since other programs may write it too."""
    try:
        return utc(text, _TRADED) if text else None
    except TradingDataError:
        return None
