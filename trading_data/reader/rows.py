"""Answers from the tiers at one moment: raw rows, buckets, days of daily history, newest rows. Each has one row per key.

A query in days has two sources. A symbol's day is made of its minutes, or else is its bar of daily history; the two are never
added up.

Belongs here: what is read of each tier for an answer. Does not: the order of reading the tiers (`tiers`), forms (`frames`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from redis.exceptions import ResponseError

from trading_data.archive.aggregates.refresh import merge, window
from trading_data.archive.versions import Mask, codes, microseconds
from trading_data.datasets import HISTORY, PRICE, codec
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.errors import LiveTierError
from trading_data.live.connection import live_errors
from trading_data.live.pipeline import exchange
from trading_data.reader.archive_queries import (
    inside,
    occupied,
    read_aggregate,
    read_as_of,
    read_newest,
    read_rows,
    read_versions,
)
from trading_data.reader.frames import buckets_of, empty, in_order, in_session, roll_up, with_tier
from trading_data.reader.pending import PendingRows
from trading_data.reader.query import ALWAYS, Missing, Query, Range
from trading_data.reader.tiers import TierReader, Tiers, TierSnapshot
from trading_data.times import DAY, floor, now

NOTE = 'daily: days without minutes are bars of daily history; `read("daily", …)` has them with their sources'
Part = tuple[pa.Table, Missing, tuple[str, ...]]
"""Rows, what they lack, and notes about them."""
_TIME = codec.ARROW_TYPES["time"]


def read_all(tiers: Tiers, query: Query) -> Part:
    """The whole answer to a query."""
    table, missing = read_span(tiers, query, query.span)
    daily = daily_query(query)
    if daily is None or query.aggregate is None:
        return table, missing, ()
    return with_daily_bars(query.aggregate, table, missing, read_span(tiers, daily, daily.span))


def read_span(tiers: Tiers, query: Query, span: Range) -> tuple[pa.Table, Missing]:
    """The answer for a part of the query's range, and what it lacks."""
    part = replace(query, start=span[0], end=span[1])
    return TierReader(tiers, part).read(lambda snapshot: answer_for(part, snapshot, span))


def answer_for(query: Query, snapshot: TierSnapshot, range_: Range) -> pa.Table:
    """The rows in a range, or the buckets that begin in it, sorted, with `tier`."""
    if query.aggregate is None:
        return rows(query, snapshot, range_)
    parts = buckets(query, snapshot, range_)
    return parts if query.rollup is None else roll_up(query.aggregate, query.rollup, parts)


def rows(query: Query, snapshot: TierSnapshot, range_: Range) -> pa.Table:
    """Raw rows in a range."""
    dataset = query.dataset
    if query.as_of is not None and snapshot.cursor is not None:
        merged = snapshot.merge(read_as_of(snapshot.cursor, query, range_), [])
    else:
        pending = snapshot.pending(range_)
        archived = _archived(query, snapshot, range_, pending)
        if dataset.identity is not None and pending:
            archived, pending = _versions(snapshot, archived, pending, range_)
        merged = snapshot.merge(archived, pending)
        if dataset.identity is not None and pending:
            merged = inside(dataset, merged, range_)
    if query.symbols is not None and not query.symbol_in_key:
        merged = merged.filter(pc.is_in(merged[dataset.about], pa.array(query.symbols, pa.string())))
    return merged if query.session is None else merged.filter(in_session(query.session, merged[dataset.key[1]]))


def buckets(query: Query, snapshot: TierSnapshot, range_: Range) -> pa.Table:
    """Buckets of the aggregate: all parts of the answer's buckets that begin in a range.

    Buckets that pending or unrefreshed rows change are made from raw rows, a day at a time; so are all buckets where the
    continuous aggregate is out of reach or made from other rows.
    """
    dataset, aggregate = query.dataset, query.aggregate
    if aggregate is None:
        raise ValueError("a query for raw rows has no buckets")
    span = query.rows_of(range_)
    pending = snapshot.pending(span)
    changed = [held.table for held in pending]
    if dataset.identity is not None:
        changed += _archived_versions(snapshot, pending)
    touched = _touched(dataset, changed, max(aggregate.width, DAY) if dataset.identity else aggregate.width)
    if snapshot.cursor is None or snapshot.ledger is None or query.from_rows:
        chunks = occupied(snapshot.cursor, query, span) if snapshot.cursor is not None else []
        days = [
            buckets_of(dataset, aggregate, rows(query, snapshot, day)) for day in _by_day([*chunks, *touched], span)
        ]
        return in_order(aggregate, [empty(dataset, aggregate), *days])
    unrefreshed = [
        window(aggregate, low, high) for low, high in snapshot.ledger.stale if high >= span[0] and low < span[1]
    ]
    stale = list(_by_day([*unrefreshed, *touched], span))
    settled = with_tier(read_aggregate(snapshot.cursor, query, span), "archive")
    if not stale:
        return in_order(aggregate, [settled])
    settled = settled.filter(pa.array(~_within(settled["bucket"], stale)))
    remade = (buckets_of(dataset, aggregate, rows(query, snapshot, part)) for part in stale)
    return in_order(aggregate, [settled, *remade])


def _archived(query: Query, snapshot: TierSnapshot, range_: Range, pending: Sequence[PendingRows]) -> pa.Table:
    """The archive's rows; those of the pending keys too, where a correction may give a row another symbol."""
    dataset = query.dataset
    if snapshot.cursor is None:
        return codec.schema(dataset).empty_table()
    also: set[str] = set()
    if query.symbols is not None and not query.symbol_in_key and dataset.identity is None:
        also.update(*(held.rows[dataset.subject].unique().to_pylist() for held in pending))
    return read_rows(snapshot.cursor, query, range_, sorted(also))


def _versions(
    snapshot: TierSnapshot, archived: pa.Table, pending: Sequence[PendingRows], range_: Range
) -> tuple[pa.Table, list[PendingRows]]:
    """All versions, archived or pending, of each row that has a version in a range; versions may have different times."""
    dataset = pending[0].dataset
    name = dataset.named_by[1]
    columns = [archived[name], *(inside(dataset, held.rows, range_)[name] for held in pending)]
    names = pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string()).unique()
    others = [pc.invert(pc.is_in(held.rows[name], names)) for held in pending]
    kept = [held.without(other.to_numpy()) for held, other in zip(pending, others, strict=True)]
    kept = [held for held in kept if held.rows.num_rows]
    return pa.concat_tables([archived, *_archived_versions(snapshot, kept)]), kept


def _archived_versions(snapshot: TierSnapshot, pending: Sequence[PendingRows]) -> list[pa.Table]:
    """The archive's versions of pending rows, at whatever moment."""
    if snapshot.cursor is None:
        return []
    return [read_versions(snapshot.cursor, held.dataset, held.rows) for held in pending]


def _touched(dataset: Dataset, tables: Sequence[pa.Table], width: timedelta) -> list[Range]:
    """The buckets that rows fall into, as few windows as possible."""
    size = width // timedelta(microseconds=1)
    numbers = [np.unique(microseconds(dataset, table) // size) for table in tables if table.num_rows]
    if not numbers:
        return []
    touched = np.unique(np.concatenate(numbers))
    opens = touched[np.append(True, np.diff(touched) > 1)]
    closes = touched[np.append(np.diff(touched) > 1, True)] + 1
    moments = (pa.array(edges * size, pa.int64()).cast(_TIME).to_pylist() for edges in (opens, closes))
    return list(zip(*moments, strict=True))


def _by_day(ranges: Sequence[Range], span: Range) -> Iterator[Range]:
    """The same moments within `span`, in order, no range longer than its day."""
    clipped = [(max(low, span[0]), min(high, span[1])) for low, high in ranges]
    for low, high in merge([(low, high) for low, high in clipped if low < high]):
        start = low
        while start < high:
            end = min(floor(start, DAY) + DAY, high)
            yield start, end
            start = end


def _within(times: pa.ChunkedArray, ranges: Sequence[Range]) -> Mask:
    """Which times lie in one of the ranges, which are in order and apart."""
    moments = times.cast(pa.int64()).to_numpy()
    lows, highs = (pa.array(edges, _TIME).cast(pa.int64()).to_numpy() for edges in zip(*ranges, strict=True))
    index = np.searchsorted(lows, moments, side="right") - 1
    return (index >= 0) & (moments < highs[np.maximum(index, 0)])  # type: ignore[no-any-return]


def daily_query(query: Query) -> Query | None:
    """The query for daily history that belongs to one in days; None where there is none.

    With a session filter there is none: a daily bar may contain trades outside the session.
    """
    history, aggregate = HISTORY.get(query.dataset.name), query.aggregate
    if history is None or aggregate is None or aggregate.width != DAY or query.session is not None:
        return None
    return replace(query, dataset=history, aggregate=None)


def with_daily_bars(aggregate: Aggregate, minutes: pa.Table, missing: Missing, daily: tuple[pa.Table, Missing]) -> Part:
    """Buckets made of minutes, and the daily bars of the symbols' days that have none."""
    bars, missing_daily = daily
    keys = [*aggregate.group_by, "bucket"]
    missing = tuple(dict.fromkeys((*missing, *missing_daily)))
    if bars.num_rows:
        bars = daily_buckets(aggregate, bars).join(minutes.select(keys), keys, join_type="left anti")
    if not bars.num_rows:
        return minutes, missing, ()
    return in_order(aggregate, [minutes, bars.select(minutes.column_names).cast(minutes.schema)]), missing, (NOTE,)


def daily_buckets(aggregate: Aggregate, bars: pa.Table) -> pa.Table:
    """Daily bars with the columns of the aggregate's buckets."""
    names = ["bucket" if name == "timestamp" else name for name in bars.column_names]
    return bars.rename_columns(names).select([*aggregate.columns, "tier"])


def latest(tiers: Tiers, query: Query) -> tuple[pa.Table, Missing]:
    """For a query about raw prices of some symbols: the newest of each, sorted by symbol.

    The journals, the intake and the archive are read only for symbols without a well-formed latest value.
    """
    try:
        live = _latest_values(tiers, query)
    except LiveTierError:
        if not query.partial:
            raise
        live = codec.schema(PRICE).empty_table()
    values, symbols = with_tier(live, "live"), query.symbols or []
    if live.num_rows == len(symbols):
        return values, ()
    known = set(live["symbol"].to_pylist())
    others = replace(query, symbols=[symbol for symbol in symbols if symbol not in known])
    other, missing = TierReader(tiers, others).read(lambda snapshot: _newest(others, snapshot))
    return pa.concat_tables([values, other]).sort_by("symbol"), missing


def _newest(query: Query, snapshot: TierSnapshot) -> pa.Table:
    """The newest row of each of the query's symbols, whichever tier holds it."""
    archived = codec.schema(query.dataset).empty_table()
    if snapshot.cursor is not None:
        archived = read_newest(snapshot.cursor, query)
    merged = snapshot.merge(archived, snapshot.pending(ALWAYS))
    if not merged.num_rows:
        return merged
    subjects = codes(merged[query.dataset.subject])
    return merged.filter(pa.array(np.append(subjects[1:] != subjects[:-1], True)))


def _latest_values(tiers: Tiers, query: Query) -> pa.Table:
    """The well-formed latest values of the query's symbols, as rows."""
    symbols = query.symbols or []
    commands = [("HMGET", f"{PRICE.latest_prefix}{symbol}", *PRICE.fields) for symbol in symbols]
    with live_errors(tiers.client):
        replies = exchange(tiers.client, commands)
        complete = [(symbol, reply) for symbol, reply in zip(symbols, replies, strict=True) if _is_complete(reply)]
    arrays = [pa.array(values, pa.binary()) for values in zip(*(reply for _, reply in complete), strict=True)]
    columns = dict(zip(PRICE.fields, arrays or [pa.array([], pa.binary())] * len(PRICE.fields), strict=True))
    columns["symbol"] = pa.array([symbol for symbol, _ in complete], pa.string())
    checked = codec.check(PRICE, columns, now(), tiers.earliest)
    good, bad = codec.by_position(checked.bad, len(complete))
    return checked.table.filter(pa.array(good)) if bad else checked.table


def _is_complete(reply: object) -> bool:
    """Whether a reply has all fields; a key of another type has no latest value."""
    if isinstance(reply, Exception) and not isinstance(reply, ResponseError):
        raise reply
    return isinstance(reply, list) and None not in reply
