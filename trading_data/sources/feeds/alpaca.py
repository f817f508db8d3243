"""Live minute bars from Alpaca: `AlpacaFeed`. History fills the gaps of a broken connection.

Bars and updated bars are sent on as they come. A correction or a cancel of a trade only means that bars are wrong now, so the feed
requests these from history again, and sends them if they changed. Each version of a bar is sent once; the last one is that of
settled history.

After each new connection the feed requests from history everything since each symbol's last bar, and the end of that range again
a while later: a bar that ends as the connection begins comes neither over the stream nor, because history is late, with the
first request.

Belongs here: when to request and what to send. Does not: the stream's protocol (`alpaca_stream`), history's
(`sources.vendors.alpaca`), records (`alpaca_bars`), memory (`alpaca_memory`) and sending (`pump`).
"""

import threading
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_data.datasets.records import Bar
from trading_data.errors import LiveTierError, VendorError, VendorRefused, VendorUnavailable
from trading_data.printable import counted
from trading_data.sources.feeds.alpaca_memory import MINUTE, Hole, Holes, Versions
from trading_data.sources.feeds.alpaca_stream import (
    BARS,
    TRADES,
    AlpacaStream,
    Message,
    NotAllowed,
    bars_of,
    open_stream,
    records,
    time_of,
)
from trading_data.sources.feeds.pump import Minute
from trading_data.sources.vendors.alpaca import is_symbol
from trading_data.sources.vendors.alpaca_account import AlpacaAccount
from trading_data.sources.vendors.protocol import Vendor
from trading_data.sources.vendors.rate_limit import Patience
from trading_data.times import floor, now

_TICK = 0.5
"""Seconds between two looks at `stop`."""
_OVERLAP = 5 * MINUTE
"""Range before a symbol's last bar to request again, because an update may have been missed."""
_DOUBT = 10 * MINUTE
"""Range before a correction to request again: Alpaca does not promise that its time is that of the trade."""


@dataclass(frozen=True)
class Timing:
    """The times of requests to history.

    Attributes:
        settle: the time until history is complete; before, the stream may know more of a bar.
        again: the wait after history was not available; `refused` is the wait after a refusal.
        quiet: a stream without messages for so long may be dead, which a request to history shows.
        look: the time between two reads of the watchlist.
        well: a connection is good after this time, or after its first message.
    """

    settle: timedelta = timedelta(minutes=1)
    again: timedelta = timedelta(minutes=1)
    refused: timedelta = timedelta(minutes=15)
    quiet: timedelta = timedelta(minutes=5)
    look: timedelta = timedelta(seconds=30)
    well: timedelta = timedelta(seconds=10)


class AlpacaFeed:
    """Iterate for a `Minute` of bars whenever some come; ends when `stop` is set. Pass it to `pump` without a pace."""

    def __init__(
        self,
        account: AlpacaAccount,
        vendor: Vendor,
        symbols: Callable[[], Collection[str]],
        *,
        latest: Callable[[Collection[str]], Mapping[str, Bar]],
        stop: threading.Event,
        report: Callable[[str], None],
        earliest: datetime,
        timing: Timing | None = None,
        patience: Patience | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        """Opens no connection.

        Args:
            account: key, feed and address.
            vendor: the same account's history, for gaps.
            symbols: returns the symbols to follow; called from time to time. After a LiveTierError it is called again.
            latest: returns the latest bar, from any source, of the symbols that have one; also called again. A symbol without a
                bar from this feed is followed from now on.
            stop: checked every half second.
            report: gets lines for people.
            earliest: the first moment that the archive takes (aware).
            timing: the times of requests to history.
            patience: pauses between connections that fail.
            clock: the present moment, aware.
        """
        self._account, self._vendor, self._symbols, self._latest = account, vendor, symbols, latest
        self._stop, self._report, self._earliest, self._corrections = stop, report, earliest, account.corrections
        self._timing, self._now = timing or Timing(), clock
        self._patience = patience or Patience(longest=30.0)
        self._pauses = self._patience.seconds()
        self._versions, self._holes = Versions(), Holes(self._timing.settle / 4)
        self._unknown: set[str] = set()
        self._trouble = self._excuse = ""

    def __iter__(self) -> Iterator[Minute]:
        """The bars, until `stop` is set. The feed reconnects when a connection breaks.

        Raises:
            VendorRefused: the account has no right to the data.
            SettingError: a package is not installed, or an address has the wrong form.
        """
        while not self._stop.is_set():
            try:
                symbols = self._wanted()
                if symbols:
                    self._begin(symbols)
                    with open_stream(self._account) as stream:
                        yield from self._follow(stream, symbols)
                else:
                    self._in_trouble("there are no symbols: add some to watchlist:current, or name them by --symbols")
                    self._stop.wait(self._timing.look.total_seconds())
            except (VendorUnavailable, LiveTierError) as error:
                self._in_trouble(f"{error}; trying again, and history will fill the gap")
                self._stop.wait(next(self._pauses))

    def _follow(self, stream: AlpacaStream, symbols: frozenset[str]) -> Iterator[Minute]:
        """The bars of one connection, and those missed before it."""
        self._subscribe(stream, symbols)
        self._missed(symbols)
        began = heard = looked = self._now()
        while symbols and not self._stop.is_set():
            yield from self._fill()
            if self._now() - looked >= self._timing.look:
                looked, symbols = self._now(), self._look(stream, symbols)
            messages = stream.receive(_TICK)
            moment = self._now()
            if messages or moment - began >= self._timing.well:
                self._well()
            if messages:
                heard = moment
                bars = self._streamed(messages, moment)
                if bars:
                    yield Minute(self._now(), bars)
            elif moment - heard >= self._timing.quiet:
                heard = moment
                self._missed(symbols)
                if (yield from self._fill()):
                    raise VendorUnavailable("Alpaca's stream sent no message although there were bars")

    def _begin(self, symbols: Collection[str]) -> None:
        """Look up the last bars of new symbols, before any of their bars can be missed."""
        unknown = [symbol for symbol in sorted(symbols) if not self._versions.is_begun(symbol)]
        for bar in self._latest(unknown).values() if unknown else ():
            if bar.source == self._account.source:
                self._versions.note(bar, None)
        for symbol in unknown:
            self._versions.begin(symbol, floor(self._now(), MINUTE))

    def _subscribe(self, stream: AlpacaStream, symbols: Collection[str]) -> None:
        try:
            stream.subscribe(BARS, symbols)
        except NotAllowed as error:
            raise VendorRefused(
                f"Alpaca does not allow this account to read the bars of {counted(len(symbols), 'symbol')} ({error})"
            ) from None
        try:
            if self._corrections:
                stream.subscribe(TRADES, symbols)
        except NotAllowed as error:
            self._corrections = False
            self._report(
                f"this account may not subscribe to trades of these symbols, so there are no corrections ({error})"
            )

    def _look(self, stream: AlpacaStream, symbols: frozenset[str]) -> frozenset[str]:
        """Read the watchlist again, change the subscriptions, and return the symbols."""
        try:
            wanted = self._wanted()
            if added := wanted - symbols:
                self._begin(added)
                self._subscribe(stream, added)
                self._missed(added)
        except LiveTierError:
            return symbols
        if removed := symbols - wanted:
            stream.unsubscribe((*BARS, *TRADES) if self._corrections else BARS, removed)
        return wanted

    def _wanted(self) -> frozenset[str]:
        symbols = frozenset(self._symbols()) - self._unknown
        if odd := sorted(symbol for symbol in symbols if not is_symbol(symbol)):
            self._unknown.update(odd)
            self._report(f"left out, because they cannot be symbols at Alpaca: {odd}")
        return symbols - self._unknown

    def _missed(self, symbols: Collection[str]) -> None:
        """Plan requests to history up to this moment: one at once, and one for the end of the range after it has settled."""
        moment = self._now()
        end = floor(moment, MINUTE)
        for symbol in symbols:
            start = self._versions.newest(symbol) - _OVERLAP
            self._holes.add(Hole((symbol,), start, end), moment)
            late = Hole((symbol,), max(start, end - _OVERLAP), end + MINUTE)
            self._holes.add(late, end + MINUTE + self._timing.settle)

    def _fill(self) -> Generator[Minute, None, int]:
        """Request what is due from history; returns the number of bars, or versions of bars, that are new."""
        new = 0
        for hole in self._holes.take(self._now()):
            if self._stop.is_set():
                break
            asked = self._now()
            try:
                for table in self._vendor.bars(hole.symbols, hole.start, hole.end):
                    bars = self._settled(records(table, self._earliest, self._report), asked)
                    if bars:
                        new += len(bars)
                        yield Minute(self._now(), bars)
            except VendorUnavailable as error:
                self._put_off(hole, error, self._timing.again)
            except VendorRefused as error:
                self._unknown.update(error.symbols)  # they are no longer followed
                known = tuple(symbol for symbol in hole.symbols if symbol not in self._unknown)
                later = self._timing.refused if len(known) == len(hole.symbols) else timedelta()
                self._put_off(Hole(known, hole.start, hole.end), error, later)
            except VendorError as error:
                self._put_off(hole, error, self._timing.refused)
        if new:
            self._excuse = ""
            self._report(f"history had {counted(new, 'bar')} that the stream did not send")
        return new

    def _put_off(self, hole: Hole, error: VendorError, wait: timedelta) -> None:
        self._holes.add(hole, self._now() + wait)
        excuse = f"{error}; trying again in {wait.total_seconds():g} seconds"
        if excuse != self._excuse and not self._stop.is_set():
            self._excuse = excuse
            self._report(excuse)

    def _settled(self, bars: list[Bar], asked: datetime) -> list[Bar]:
        """The new ones of history's bars; a bar that the stream sent a moment ago is requested again later instead."""
        out = []
        for bar in bars:
            if not self._versions.is_new(bar):
                continue
            if self._versions.streamed_since(bar, asked - self._timing.settle):
                hole = Hole((bar.symbol,), bar.timestamp, bar.timestamp + MINUTE)
                self._holes.add(hole, self._now() + self._timing.settle)
                continue
            self._versions.note(bar, None)
            out.append(bar)
        return out

    def _streamed(self, messages: Sequence[Message], moment: datetime) -> list[Bar]:
        """The new bars among the messages."""
        sent: list[Message] = []
        for message in messages:
            kind, symbol = message.get("T"), message.get("S")
            if not isinstance(symbol, str):
                continue
            if kind in ("b", "u"):
                sent.append(message)
            elif kind in ("c", "x"):
                about = floor(time_of(message, moment), MINUTE)
                self._holes.add(Hole((symbol,), about - _DOUBT, about + MINUTE), moment + self._timing.settle)
        out = []
        for bar in bars_of(sent, self._account, self._earliest, self._report):
            if self._versions.is_new(bar):
                self._versions.note(bar, moment)
                out.append(bar)
        return out

    def _in_trouble(self, text: str) -> None:
        if self._trouble != text:
            self._trouble = text
            self._report(text)

    def _well(self) -> None:
        if self._trouble:
            self._trouble = ""
            self._pauses = self._patience.seconds()
            self._report("the stream is back")
