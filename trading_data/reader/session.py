"""The session filter of a read, and the note about rows for which the exchange's calendar has no answer.

Belongs here: this rule. Does not: calendars (`sessions`).
"""

from datetime import timedelta

import numpy as np
import pyarrow as pa

from trading_data.datasets import codec
from trading_data.reader.columns import time_column
from trading_data.reader.query import Query


def in_session(exchange: str, times: pa.ChunkedArray) -> pa.Array:
    """Which rows a session filter keeps: those in a session, and those of times that the calendar does not know.

    Raises:
        BadInput: there is no such exchange.
    """
    from trading_data.calendars.calendar import TradingCalendar

    return pa.array(~TradingCalendar.named(exchange).outside(times))


def notes(question: Query, table: pa.Table) -> tuple[str, ...]:
    """What has to be known about `table`: that there are rows or buckets in it which the session filter could not judge."""
    if question.session is None or not table.num_rows:
        return ()
    from trading_data.calendars.calendar import TradingCalendar

    calendar = TradingCalendar.named(question.session)
    first = table[time_column(question.dataset, question.aggregate)]
    width = question.width or timedelta(microseconds=1)
    last = pa.array(first.cast(pa.int64()).to_numpy() + (width // timedelta(microseconds=1) - 1), pa.int64())
    if np.all(calendar.knows(first) & calendar.knows(last.cast(codec.ARROW_TYPES["time"]))):
        return ()
    return (f"session: rows of days without a calendar are not filtered: {calendar.known}",)
