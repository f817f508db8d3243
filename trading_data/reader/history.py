"""Days without minutes, shown from daily history: a question in days is two, and minutes win where both have an answer.

The two are never added up: a day of a symbol is either made of its minutes or is its daily bar.

Belongs here: when daily history is asked, and putting it beside buckets. Does not: reading either (`rows`, `stream`).
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets import HISTORY
from trading_data.datasets.declaration import Aggregate
from trading_data.reader.frames import by_time, empty, in_order
from trading_data.reader.query import Query
from trading_data.reader.rows import look_for
from trading_data.reader.stream import Windows, stream
from trading_data.reader.tiers import Missing, TierReader, Tiers
from trading_data.times import DAY

NOTE = 'daily: days without minutes are bars of daily history; `read("daily", …)` has them with their sources'
_MICROSECOND = timedelta(microseconds=1)
Part = tuple[pa.Table, Missing, tuple[str, ...]]
"""Rows, what is missing from them, and notes about them."""


def history_of(question: Query) -> Query | None:
    """The question about daily history that stands beside one in days; None where there is none.

    A session filter chooses minutes, and a daily bar does not say what was traded outside the session.
    """
    history = HISTORY.get(question.dataset.name)
    aggregate = question.aggregate
    if history is None or aggregate is None or aggregate.width != DAY or question.session is not None:
        return None
    return replace(question, dataset=history, aggregate=None)


def read_all(tiers: Tiers, question: Query) -> Part:
    """The whole answer to a question."""
    span = (question.start, question.end)
    found, missing = TierReader(tiers, question).look(lambda sight: look_for(question, sight, span))
    history, aggregate = history_of(question), question.aggregate
    if history is None or aggregate is None:
        return found, missing, ()
    return _beside(aggregate, found, missing, _days(tiers, history, *span))


def read_parts(tiers: Tiers, question: Query, windows: Windows) -> Iterator[Part]:
    """The answer in windows of time: see `stream`."""
    history, aggregate = history_of(question), question.aggregate
    parts = stream(TierReader(tiers, question), windows)
    if history is None or aggregate is None:
        yield from ((*part, ()) for part in parts)
        return
    wide = Windows(max(windows.width, history.dataset.chunk), windows.most)
    at, sent = question.start, False
    missing: Missing = ()
    for table, missing in parts:
        if not table.num_rows:
            continue
        span = pc.min_max(table["bucket"]).as_py()
        for part in _between(tiers, history, aggregate, (at, span["min"]), wide):
            sent = True
            yield part
        at = span["max"] + _MICROSECOND
        whole, away, notes = _beside(aggregate, table, missing, _days(tiers, history, span["min"], at))
        for piece in by_time(question.dataset, aggregate, whole, windows.most):
            sent = True
            yield piece, away, notes
    for part in _between(tiers, history, aggregate, (at, question.end), wide):
        sent = True
        yield part
    if not sent:
        yield empty(question.dataset, aggregate), missing, ()


def _between(
    tiers: Tiers, history: Query, aggregate: Aggregate, span: tuple[datetime, datetime], windows: Windows
) -> Iterator[Part]:
    """Daily history where there are no minutes at all."""
    if span[0] >= span[1]:
        return
    for table, missing in stream(TierReader(tiers, replace(history, start=span[0], end=span[1])), windows):
        if table.num_rows:
            yield in_order(aggregate, [_as_buckets(aggregate, table)]), missing, (NOTE,)


def _days(tiers: Tiers, history: Query, start: datetime, end: datetime) -> tuple[pa.Table, Missing]:
    question = replace(history, start=start, end=end)
    return TierReader(tiers, question).look(lambda sight: look_for(question, sight, (start, end)))


def _beside(aggregate: Aggregate, minutes: pa.Table, missing: Missing, days: tuple[pa.Table, Missing]) -> Part:
    """Buckets made of minutes, and daily bars of the symbols' days that have none."""
    table, away = days
    keys = [*aggregate.group_by, "bucket"]
    missing = tuple(dict.fromkeys((*missing, *away)))
    if table.num_rows:
        table = _as_buckets(aggregate, table).join(minutes.select(keys), keys, join_type="left anti")
    if not table.num_rows:
        return minutes, missing, ()
    return in_order(aggregate, [minutes, table.select(minutes.column_names).cast(minutes.schema)]), missing, (NOTE,)


def _as_buckets(aggregate: Aggregate, table: pa.Table) -> pa.Table:
    names = ["bucket" if name == "timestamp" else name for name in table.column_names]
    return table.rename_columns(names).select([*aggregate.columns, "tier"])
