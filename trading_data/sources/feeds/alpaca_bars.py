"""Turns Alpaca's messages into `Bar` records, without those that the archive would refuse."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from trading_data.datasets import PRICE
from trading_data.datasets.codec import check
from trading_data.datasets.records import Bar
from trading_data.errors import VendorError
from trading_data.sources.feeds.alpaca_stream import Message
from trading_data.sources.vendors.alpaca_account import AlpacaAccount
from trading_data.sources.vendors.alpaca_rows import bars_table
from trading_data.times import now

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def records(table: pa.Table, earliest: datetime, report: Callable[[str], None]) -> list[Bar]:
    """The rows of a vendor's table, in order; bars that break a rule of the archive are left out and reported."""
    checked = check(PRICE, {name: table[name].combine_chunks() for name in PRICE.names}, now(), earliest)
    if checked.bad:
        first = checked.bad[min(checked.bad)].text
        report(f"left out {len(checked.bad):,} bars that the archive would refuse; the first: {first}")
    values = {name: checked.table[name].to_pylist() for name in PRICE.names if name != "timestamp"}
    times = checked.table["timestamp"].cast(pa.int64()).to_pylist()
    values["timestamp"] = [None if us is None else _EPOCH + us * _MICROSECOND for us in times]
    rows = zip(*(values[name] for name in PRICE.names), strict=True)
    return [Bar(*row) for at, row in enumerate(rows) if at not in checked.bad]


def bars_of(
    messages: Sequence[Message], account: AlpacaAccount, earliest: datetime, report: Callable[[str], None]
) -> list[Bar]:
    """The bars in messages of the stream, each with a symbol `S`; a malformed one is left out by itself, and reported."""
    if not messages:
        return []
    try:
        return records(bars_table([(message["S"], message) for message in messages], account.source), earliest, report)
    except VendorError as error:
        if len(messages) > 1:
            return [bar for message in messages for bar in bars_of([message], account, earliest, report)]
        report(f"left out a bar of {messages[0]['S']}: {account.scrub(error)}")
        return []


def time_of(message: Message, otherwise: datetime) -> datetime:
    """A message's own time `t`, UTC, cut to microseconds; `otherwise` where it has none that can be read."""
    try:
        moment = datetime.fromisoformat(str(message.get("t")))
    except ValueError:
        return otherwise
    return otherwise if moment.tzinfo is None else moment.astimezone(UTC)
