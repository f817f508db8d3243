"""A toy strategy on simulated bars: two moving averages that cross. It gives every key of the live tier content.

Everything is a function of the bars, the positions that are kept, and the seed: two feeds of one seed and one start decide
the same. It buys and sells at the close of a bar, in whole units, one order an execution.

Belongs here: numbers and decisions. Does not: reading and writing the live tier (`desk`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from trading_data.datasets.records import Bar, Fill, Measurement
from trading_data.live.records import Indicators, MarketContext, Position, Sentiment, Signal
from trading_data.sources.feeds.orders import SOURCE
from trading_data.sources.feeds.walk import Stream, generator

STRATEGY = "crossover"
MOST = 24
"""Symbols watched at most, so that the cost of a minute does not grow with the market."""
UNITS = Decimal(100)
_FAST, _SLOW, _RSI = 2 / 6, 2 / 21, 1 / 14
"""Weights of a new bar: averages of 5 and 20 bars, and the relative strength index of 14."""
_STOP, _TARGET = Decimal("0.003"), Decimal("0.004")
_LONGEST = timedelta(minutes=8)
_CENT, _PER_UNIT = Decimal("0.01"), Decimal("0.0035")
_SIDES: Mapping[str, tuple[str, str]] = {"long": ("buy", "sell"), "short": ("sell", "buy")}
"""The side of the fill that opens, and of the one that closes."""
_SECTORS = ("technology", "health", "energy", "finance", "industry")
_NEWS = ("beats what was expected", "names a new chief", "is looked at by a regulator", "opens a plant")


@dataclass(frozen=True, slots=True)
class Trend:
    """The state of one symbol: averages of the closes, of gains and of losses per bar, and the first and the newest bar."""

    fast: float
    slow: float
    gain: float
    loss: float
    first: Bar
    last: Bar

    @property
    def strength(self) -> float:
        """How far the averages are apart, in percent of the slow one; above zero the price rises."""
        return round(100 * (self.fast / self.slow - 1), 4)

    @property
    def side(self) -> Literal["long", "short"]:
        """Which way to trade it."""
        return "short" if self.strength < 0 else "long"


def follow(trend: Trend | None, bar: Bar) -> Trend:
    """The trend after one more bar; one that is older than the newest, or a correction of it, changes nothing."""
    if trend is None:
        return Trend(bar.close, bar.open, 0.0, 0.0, bar, bar)
    if bar.timestamp <= trend.last.timestamp:
        return trend
    change = bar.close - trend.last.close
    return Trend(
        trend.fast + _FAST * (bar.close - trend.fast),
        trend.slow + _SLOW * (bar.close - trend.slow),
        trend.gain + _RSI * (max(change, 0.0) - trend.gain),
        trend.loss + _RSI * (max(-change, 0.0) - trend.loss),
        trend.first,
        bar,
    )


def indicators(trend: Trend) -> Indicators:
    """The indicators of a symbol, as a chart shows them."""
    moved = trend.gain + trend.loss
    values = {
        "ema_5": round(trend.fast, 4),
        "ema_20": round(trend.slow, 4),
        "rsi_14": round(100 * trend.gain / moved, 2) if moved else 50.0,
    }
    return Indicators(trend.last.symbol, trend.last.timestamp, values)


def signal(trend: Trend) -> Signal:
    """The signal of the strategy."""
    return Signal(STRATEGY, trend.last.symbol, trend.last.timestamp, trend.side, abs(trend.strength))


def sentiment(symbol: str, at: datetime, seed: int) -> Sentiment:
    """A made-up sentiment of the news, -1 to 1."""
    draw = generator(seed, Stream.NEWS, at.date(), at.hour * 60 + at.minute)
    number = sum(map(ord, symbol))
    score, articles = draw.uniform(-1, 1, 16)[number % 16], draw.integers(1, 20, 16)[number % 16]
    return Sentiment(symbol, at, round(float(score), 2), int(articles), f"{symbol} {_NEWS[number % len(_NEWS)]}")


def market_context(trends: Sequence[Trend], at: datetime) -> MarketContext:
    """Performance of each sector since the feed began, in percent, and how many symbols rose and fell in their last bar."""
    values: dict[str, float] = {}
    for number, sector in enumerate(_SECTORS[: len(trends)]):
        members = trends[number :: len(_SECTORS)]
        changes = [100 * (trend.last.close / trend.first.open - 1) for trend in members]
        values[sector] = round(sum(changes) / len(changes), 4)
    values["advancing"] = float(sum(trend.last.close > trend.last.open for trend in trends))
    values["declining"] = float(sum(trend.last.close < trend.last.open for trend in trends))
    return MarketContext(at, values)


def places(watched: int) -> tuple[int, int]:
    """How many positions are held and how many monitored, of so many watched symbols: at most a third and a sixth."""
    return max(1, watched // 3), max(1, watched // 6)


def leaving(position: Position, trend: Trend, at: datetime, seed: int) -> Fill | None:
    """The fill that closes a position, or halves it, at the newest bar, or None.

    It is closed at its stop, at its target, and when it has been held for three to eight minutes; half of it goes half
    way to the target.
    """
    if position.opened_at is None or position.opened_at >= at - timedelta(minutes=1):
        return None
    price, way = _price(trend), 1 if position.side == "long" else -1
    gained = way * (price - position.entry_price) / position.entry_price
    longest = _LONGEST - timedelta(minutes=sum(map(ord, position.symbol)) % 6)
    if gained <= -_STOP or gained >= _TARGET or at - position.opened_at >= longest:
        quantity = position.quantity
    elif gained >= _TARGET / 2 and position.quantity == UNITS:
        quantity = UNITS / 2
    else:
        return None
    return _fill(trend, at - timedelta(seconds=2), _SIDES[position.side][1], quantity, seed)


def wanted(trend: Trend) -> Position:
    """The position to open in a symbol, at its newest close."""
    price, way = _price(trend), 1 if trend.side == "long" else -1
    return Position(
        trend.last.symbol,
        UNITS,
        price,
        stop=_cents(price * (1 - way * _STOP)),
        target=_cents(price * (1 + way * _TARGET)),
        side=trend.side,
        strategy=STRATEGY,
    )


def entering(position: Position, trend: Trend, at: datetime, seed: int) -> tuple[Position, Fill]:
    """A monitored position as it is opened at the newest close, and the fill that opens it."""
    opened = replace(wanted(trend), extra=position.extra)
    return opened, _fill(trend, at - timedelta(seconds=1), _SIDES[opened.side][0], UNITS, seed)


def profit(position: Position, price: Decimal, quantity: Decimal) -> Decimal:
    """The gain of a quantity of a position at a price, before commissions, in US dollars."""
    return quantity * (price - position.entry_price) * (1 if position.side == "long" else -1)


def measurements(
    at: datetime, fills: int, closed: Decimal, held: Sequence[tuple[Position, Trend]]
) -> list[Measurement]:
    """The minute's fills, the profit since the feed began (closed and open positions), and the number of open positions."""
    still_open = sum((profit(position, _price(trend), position.quantity) for position, trend in held), Decimal(0))
    return [
        Measurement("feed.fills_per_minute", at, float(fills), "fills"),
        Measurement(f"strategy.{STRATEGY}.pnl", at, float(closed + still_open), "USD"),
        Measurement(f"strategy.{STRATEGY}.held", at, float(len(held)), "positions"),
    ]


def _fill(trend: Trend, moment: datetime, side: str, quantity: Decimal, seed: int) -> Fill:
    order_id = f"T{seed}-{moment:%Y%m%d-%H%M}-{trend.last.symbol}-{side}"
    return Fill(
        order_id=order_id,
        timestamp=moment,
        execution_id=f"{order_id}-1",
        symbol=trend.last.symbol,
        side=side,
        quantity=quantity,
        price=_price(trend),
        commission=quantity * _PER_UNIT,
        strategy=STRATEGY,
        source=SOURCE,
    )


def _price(trend: Trend) -> Decimal:
    return _cents(Decimal(repr(trend.last.close)))


def _cents(price: Decimal) -> Decimal:
    return max(price.quantize(_CENT), _CENT)
