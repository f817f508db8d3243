"""The newest bar of each symbol: the live tier's latest value, else the newest of what the journals, the intake and the
archive hold.

Belongs here: which of them is asked. Does not: the latest values themselves (`live.store`).
"""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
from redis.exceptions import ResponseError

from trading_data.datasets import PRICE, codec
from trading_data.errors import LiveTierError
from trading_data.live.connection import live_errors
from trading_data.live.pipeline import exchange
from trading_data.reader.frames import with_tier
from trading_data.reader.query import Question
from trading_data.reader.rows import newest
from trading_data.reader.tiers import Missing, Tiers, View
from trading_data.times import now


def latest(tiers: Tiers, question: Question) -> tuple[pa.Table, Missing]:
    """For a question about the raw prices of some symbols: the newest of each, sorted by symbol.

    The journals, the intake and the archive are asked only for symbols that have no latest value, or a malformed one.
    """
    symbols = question.about or []
    try:
        live = _latest_values(tiers, symbols)
    except LiveTierError:
        if not question.partial:
            raise
        live = codec.schema(PRICE).empty_table()
    found = with_tier(live, "live")
    if live.num_rows == len(symbols):
        return found, ()
    there = set(live["symbol"].to_pylist())
    wanted = [symbol for symbol in symbols if symbol not in there]
    others = replace(question, about=wanted)
    other, missing = View(tiers, others).look(lambda sight: newest(others, sight))
    return pa.concat_tables([found, other]).sort_by("symbol"), missing


def _latest_values(tiers: Tiers, symbols: Sequence[str]) -> pa.Table:
    """The latest values that there are, whole and well-formed, as rows."""
    commands = [("HMGET", f"{PRICE.latest_prefix}{symbol}", *PRICE.fields) for symbol in symbols]
    with live_errors(tiers.client):
        replies = exchange(tiers.client, commands)
        found = [(symbol, values) for symbol, values in zip(symbols, replies, strict=True) if _whole(values)]
    arrays = [pa.array(values, pa.binary()) for values in zip(*(values for _, values in found), strict=True)]
    columns = dict(zip(PRICE.fields, arrays or [pa.array([], pa.binary())] * len(PRICE.fields), strict=True))
    columns["symbol"] = pa.array([symbol for symbol, _ in found], pa.string())
    checked = codec.check(PRICE, columns, now(), tiers.earliest)
    good, bad = codec.by_position(checked.bad, len(found))
    return checked.table.filter(pa.array(good)) if bad else checked.table


def _whole(values: object) -> bool:
    """Whether a reply has all fields; a key of another type is no latest value."""
    if isinstance(values, Exception) and not isinstance(values, ResponseError):
        raise values
    return isinstance(values, list) and None not in values
