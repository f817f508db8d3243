"""What is looked for in the tiers: raw rows, buckets, newest rows; one a key.

Belongs here: putting together what the tiers hold. Does not: the order in which they are read (`tiers`), forms (`frames`).
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
from trading_data.datasets import PRICE, codec
from trading_data.datasets.declaration import Dataset
from trading_data.errors import LiveTierError
from trading_data.live.connection import live_errors
from trading_data.live.pipeline import exchange
from trading_data.reader.archive_queries import (
    Range,
    inside,
    occupied,
    read_aggregate,
    read_as_of,
    read_newest,
    read_rows,
    read_versions,
)
from trading_data.reader.frames import empty, in_order, made, put_together, with_tier
from trading_data.reader.merge import Piece
from trading_data.reader.query import ALWAYS, Query
from trading_data.reader.session import in_session
from trading_data.reader.tiers import Missing, TierReader, Tiers, TierSnapshot
from trading_data.times import DAY, floor, now

_TIME = codec.ARROW_TYPES["time"]


def look_for(question: Query, sight: TierSnapshot, range_: Range) -> pa.Table:
    """The rows in a range, or the buckets that begin in it: what the question asks for, sorted, with `tier`."""
    if question.aggregate is None:
        return rows(question, sight, range_)
    found = buckets(question, sight, range_)
    return found if question.rollup is None else put_together(question.aggregate, question.rollup, found)


def rows(question: Query, sight: TierSnapshot, range_: Range) -> pa.Table:
    """Raw rows in a range."""
    dataset, about = question.dataset, question.about
    if question.as_of is not None and sight.cursor is not None:
        found = sight.union(read_as_of(sight.cursor, dataset, about, range_, question.as_of), [])
    else:
        waiting = sight.pieces(range_)
        archived = _archived(question, sight, range_, waiting)
        if dataset.identity is not None and waiting:
            archived, waiting = _versions(sight, archived, waiting, range_)
        found = sight.union(archived, waiting)
        if dataset.identity is not None and waiting:
            found = inside(dataset, found, range_)
    if about is not None and question.subjects is None:
        found = found.filter(pc.is_in(found[dataset.about], pa.array(about, pa.string())))
    return found if question.session is None else found.filter(in_session(question.session, found[dataset.key[1]]))


def buckets(question: Query, sight: TierSnapshot, range_: Range) -> pa.Table:
    """Buckets of the aggregate, all that belong to those of the answer which begin in a range. Those that the continuous
    aggregate does not show truly yet are made from raw rows, a day at a time; all of them, where it cannot be asked or is made
    from other rows.
    """
    dataset, aggregate = question.dataset, question.aggregate
    if aggregate is None:
        raise ValueError("a question about raw rows has no buckets")
    span = question.rows_of(range_)
    waiting = sight.pieces(span)
    changed = [piece.rows for piece in waiting]
    if dataset.identity is not None:
        changed += _archived_versions(sight, waiting)
    touched = _touched(dataset, changed, max(aggregate.width, DAY) if dataset.identity else aggregate.width)
    if sight.cursor is None or sight.books is None or question.from_rows:
        chunks = occupied(sight.cursor, dataset, None, span) if sight.cursor is not None else []
        days = [made(dataset, aggregate, rows(question, sight, day)) for day in _by_day([*chunks, *touched], span)]
        return in_order(aggregate, [empty(dataset, aggregate), *days])
    asked = [window(aggregate, low, high) for low, high in sight.books.stale if high >= span[0] and low < span[1]]
    stale = list(_by_day([*asked, *touched], span))
    settled = with_tier(read_aggregate(sight.cursor, dataset, aggregate, question.about, span), "archive")
    if not stale:
        return in_order(aggregate, [settled])
    settled = settled.filter(pa.array(~_within(settled["bucket"], stale)))
    return in_order(aggregate, [settled, *(made(dataset, aggregate, rows(question, sight, part)) for part in stale)])


def newest(question: Query, sight: TierSnapshot) -> pa.Table:
    """The newest row of each subject asked about, whichever tier holds it."""
    dataset, about = question.dataset, question.about or []
    archived = codec.schema(dataset).empty_table()
    if sight.cursor is not None:
        archived = read_newest(sight.cursor, dataset, about)
    found = sight.union(archived, sight.pieces(ALWAYS))
    if not found.num_rows:
        return found
    subjects = codes(found[dataset.subject])
    return found.filter(pa.array(np.append(subjects[1:] != subjects[:-1], True)))


def _archived(question: Query, sight: TierSnapshot, range_: Range, waiting: Sequence[Piece]) -> pa.Table:
    """The archive's rows; where a correction may have moved a row from one symbol to another, those of the waiting keys too."""
    dataset = question.dataset
    if sight.cursor is None:
        return codec.schema(dataset).empty_table()
    also: set[str] = set()
    if question.about is not None and question.subjects is None and dataset.identity is None:
        also.update(*(piece.rows[dataset.subject].unique().to_pylist() for piece in waiting))
    return read_rows(sight.cursor, dataset, question.about, range_, sorted(also))


def _versions(
    sight: TierSnapshot, archived: pa.Table, waiting: Sequence[Piece], range_: Range
) -> tuple[pa.Table, list[Piece]]:
    """All versions, archived or waiting, of the rows of which one says a moment in a range: each may say a moment of its own."""
    dataset = waiting[0].held.dataset
    name = dataset.named_by[1]
    found = [archived[name], *(inside(dataset, piece.rows, range_)[name] for piece in waiting)]
    names = pa.chunked_array([chunk for column in found for chunk in column.chunks], pa.string()).unique()
    others = [pc.invert(pc.is_in(piece.rows[name], names)) for piece in waiting]
    kept = [Piece(piece.held.without(other.to_numpy())) for piece, other in zip(waiting, others, strict=True)]
    kept = [piece for piece in kept if piece.rows.num_rows]
    return pa.concat_tables([archived, *_archived_versions(sight, kept)]), kept


def _archived_versions(sight: TierSnapshot, waiting: Sequence[Piece]) -> list[pa.Table]:
    """The archive's rows that waiting ones are versions of, whatever moment they say."""
    if sight.cursor is None:
        return []
    return [read_versions(sight.cursor, piece.held.dataset, piece.rows) for piece in waiting]


def _touched(dataset: Dataset, rows: Sequence[pa.Table], width: timedelta) -> list[Range]:
    """The buckets that rows fall into, as few windows as possible."""
    size = width // timedelta(microseconds=1)
    numbers = [np.unique(microseconds(dataset, row) // size) for row in rows if row.num_rows]
    if not numbers:
        return []
    found = np.unique(np.concatenate(numbers))
    opens = found[np.append(True, np.diff(found) > 1)]
    closes = found[np.append(np.diff(found) > 1, True)] + 1
    moments = (pa.array(edges * size, pa.int64()).cast(_TIME).to_pylist() for edges in (opens, closes))
    return list(zip(*moments, strict=True))


def _by_day(ranges: Sequence[Range], span: Range) -> Iterator[Range]:
    """The same moments within `span`, in order, no range longer than its day."""
    clipped = [(max(low, span[0]), min(high, span[1])) for low, high in ranges]
    for low, high in merge([one for one in clipped if one[0] < one[1]]):
        at = low
        while at < high:
            until = min(floor(at, DAY) + DAY, high)
            yield at, until
            at = until


def _within(times: pa.ChunkedArray, ranges: Sequence[Range]) -> Mask:
    """Which times lie in one of the ranges, which are in order and apart."""
    moments = times.cast(pa.int64()).to_numpy()
    lows, highs = (pa.array(edges, _TIME).cast(pa.int64()).to_numpy() for edges in zip(*ranges, strict=True))
    at = np.searchsorted(lows, moments, side="right") - 1
    return (at >= 0) & (moments < highs[np.maximum(at, 0)])  # type: ignore[no-any-return]


def latest(tiers: Tiers, question: Query) -> tuple[pa.Table, Missing]:
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
    other, missing = TierReader(tiers, others).look(lambda sight: newest(others, sight))
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
