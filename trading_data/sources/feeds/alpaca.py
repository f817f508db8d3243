"""Live minute bars from Alpaca: `AlpacaFeed`. What a broken connection missed is filled from history.

Bars and updated bars are handed over as they come. A correction or a cancel of a trade is not data of its own: it says
that bars are wrong now, so these are asked of history again, and handed over if they changed. Each version of a bar is
handed over once; the last one is what history says when it has settled.

After a connection was made, and only then, history is asked for everything since each symbol's last bar, and once more for
the end of it a while later: a bar that ended as the connection began comes over neither, for history is late.

Belongs here: what is asked and handed over when. Does not: the stream's protocol (`alpaca_stream`), history's
(`sources.vendors.alpaca`), records (`alpaca_bars`), memory (`alpaca_memory`) and sending (`pump`).
"""

import threading
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_data.datasets.records import Bar
from trading_data.errors import LiveTierError, VendorError, VendorRefused, VendorUnavailable
from trading_data.printable import counted
from trading_data.sources.feeds.alpaca_bars import bars_of, records, time_of
from trading_data.sources.feeds.alpaca_memory import MINUTE, Hole, Holes, Versions
from trading_data.sources.feeds.alpaca_stream import BARS, TRADES, AlpacaStream, Message, NotAllowed, open_stream
from trading_data.sources.feeds.minute import Minute
from trading_data.sources.vendors.alpaca_account import AlpacaAccount
from trading_data.sources.vendors.alpaca_rows import is_symbol
from trading_data.sources.vendors.protocol import Vendor
from trading_data.sources.vendors.rate_limit import Patience
from trading_data.times import floor, now

_TICK = 0.5
"""Seconds after which `stop` is looked at."""
_OVERLAP = 5 * MINUTE
"""Before a symbol's last bar: an update of one of these may have been missed as well."""
_DOUBT = 10 * MINUTE
"""Before a correction: its time is not said to be that of the trade."""


@dataclass(frozen=True)
class Timing:
    """When history is asked.

    Attributes:
        settle: until this has passed, history may know less of a bar than the stream said, and is not believed.
        again: it is asked again after this when it was not available, and after `refused` when it refused.
        quiet: a stream that said nothing for so long may have died without a sign; history tells.
        look: the watchlist is looked at again.
        well: a connection that held so long, or brought something, is a good one.
    """

    settle: timedelta = timedelta(minutes=1)
    again: timedelta = timedelta(minutes=1)
    refused: timedelta = timedelta(minutes=15)
    quiet: timedelta = timedelta(minutes=5)
    look: timedelta = timedelta(seconds=30)
    well: timedelta = timedelta(seconds=10)


class AlpacaFeed:
    """Iterate for a `Minute` of bars whenever some have come; ends when `stop` is set. Hand it to `pump` without a pace."""

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
            account: whose key, which feed, where.
            vendor: whom to ask for what was missed; the same account's history.
            symbols: who is followed; asked again from time to time. May raise LiveTierError, which is waited out.
            latest: the latest bar, whoever made it, of those symbols that have one; likewise. A symbol without one from
                this feed is followed from now on.
            stop: looked at every half second.
            report: takes lines for people.
            earliest: the first moment that the archive takes (aware).
            timing: when history is asked.
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
        """What comes, until `stop` is set. Connections that break are made again.

        Raises:
            VendorRefused: the account may not do this.
            SettingError: something is not installed, or an address is none.
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
                self._in_trouble(f"{error}; trying again, and history fills what is missed")
                self._stop.wait(next(self._pauses))

    def _follow(self, stream: AlpacaStream, symbols: frozenset[str]) -> Iterator[Minute]:
        """What comes over one connection, and what was missed before it."""
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
                    raise VendorUnavailable("Alpaca's stream said nothing although there were bars")

    def _begin(self, symbols: Collection[str]) -> None:
        """See where symbols stand that are new here, before anything of them can be missed."""
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
                f"Alpaca does not allow this account the bars of {counted(len(symbols), 'symbol')} ({error})"
            ) from None
        try:
            if self._corrections:
                stream.subscribe(TRADES, symbols)
        except NotAllowed as error:
            self._corrections = False
            self._report(f"this account may not follow the trades of these symbols, so no corrections come ({error})")

    def _look(self, stream: AlpacaStream, symbols: frozenset[str]) -> frozenset[str]:
        """The symbols that are wanted now, subscribed to."""
        try:
            wanted = self._wanted()
            if added := wanted - symbols:
                self._begin(added)
                self._subscribe(stream, added)
                self._missed(added)
        except LiveTierError:
            return symbols
        if gone := symbols - wanted:
            stream.unsubscribe((*BARS, *TRADES) if self._corrections else BARS, gone)
        return wanted

    def _wanted(self) -> frozenset[str]:
        symbols = frozenset(self._symbols()) - self._unknown
        if odd := sorted(symbol for symbol in symbols if not is_symbol(symbol)):
            self._unknown.update(odd)
            self._report(f"left out what cannot be a symbol: {odd}")
        return symbols - self._unknown

    def _missed(self, symbols: Collection[str]) -> None:
        """Have history asked for what came before this moment: at once, and for the end of it when it has settled."""
        moment = self._now()
        end = floor(moment, MINUTE)
        for symbol in symbols:
            start = self._versions.newest(symbol) - _OVERLAP
            self._holes.add(Hole((symbol,), start, end), moment)
            late = Hole((symbol,), max(start, end - _OVERLAP), end + MINUTE)
            self._holes.add(late, end + MINUTE + self._timing.settle)

    def _fill(self) -> Generator[Minute, None, int]:
        """Ask history for what is due; returns how many bars, or versions of them, were not known."""
        found = 0
        for hole in self._holes.take(self._now()):
            if self._stop.is_set():
                break
            asked = self._now()
            try:
                for table in self._vendor.bars(hole.symbols, hole.start, hole.end):
                    bars = self._settled(records(table, self._earliest, self._report), asked)
                    if bars:
                        found += len(bars)
                        yield Minute(self._now(), bars)
            except VendorUnavailable as error:
                self._put_off(hole, error, self._timing.again)
            except VendorRefused as error:
                self._unknown.update(error.symbols)  # they are followed no longer
                known = tuple(symbol for symbol in hole.symbols if symbol not in self._unknown)
                later = self._timing.refused if len(known) == len(hole.symbols) else timedelta()
                self._put_off(Hole(known, hole.start, hole.end), error, later)
            except VendorError as error:
                self._put_off(hole, error, self._timing.refused)
        if found:
            self._excuse = ""
            self._report(f"history gave {found:,} bars that the stream had not brought")
        return found

    def _put_off(self, hole: Hole, error: VendorError, wait: timedelta) -> None:
        self._holes.add(hole, self._now() + wait)
        excuse = f"{error}; what was missed is asked for again in {wait.total_seconds():g} seconds"
        if excuse != self._excuse and not self._stop.is_set():
            self._excuse = excuse
            self._report(excuse)

    def _settled(self, bars: list[Bar], asked: datetime) -> list[Bar]:
        """Those of history's bars that are new; what the stream said just before is asked again later instead."""
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
        """The bars among the messages that are new."""
        found: list[Message] = []
        for message in messages:
            kind, symbol = message.get("T"), message.get("S")
            if not isinstance(symbol, str):
                continue
            if kind in ("b", "u"):
                found.append(message)
            elif kind in ("c", "x"):
                about = floor(time_of(message, moment), MINUTE)
                self._holes.add(Hole((symbol,), about - _DOUBT, about + MINUTE), moment + self._timing.settle)
        out = []
        for bar in bars_of(found, self._account, self._earliest, self._report):
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
            self._report("the stream is there again")
