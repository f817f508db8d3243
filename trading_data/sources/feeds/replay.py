"""Recorded bars from CSV or Parquet files, sent again in the order of time: `replay`.

Belongs here: checking the files, and the order. Does not: reading (`trading_data.sources.files.read`), rules (`codec`), sending.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter

import numpy as np
import pyarrow as pa

from trading_data.datasets import PRICE
from trading_data.datasets.codec import Checked, check
from trading_data.datasets.records import Bar
from trading_data.errors import BadInput
from trading_data.printable import counted
from trading_data.settings import without_password
from trading_data.sources.feeds.pump import Minute
from trading_data.sources.files.bars import check_minutes
from trading_data.sources.files.read import check_columns, read_table
from trading_data.times import now

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Where the archive begins without TRADING_DATA_START."""
_ROWS = 10_000
"""Rows made into bars at a time, of a file that had to be sorted."""
_SHOWN = 10
"""Most bad rows of a file that a message lists."""


def replay(files: Sequence[str], *, earliest: datetime = EARLIEST) -> Iterator[Minute]:
    """The bars of `files` by timestamp: one `Minute` for each timestamp, whose `at` is that timestamp.

    Rows with one timestamp keep the order of `files` and of the rows, so of two rows about one bar the later one wins.
    Before this returns, every file is read once and every row is checked by the rules of the archive. A replay is all
    or nothing, because its files hold rows that were accepted before; use `import` for files that may have bad rows. A file
    in the order of time is then streamed; others are held in memory, about 100 bytes a row.

    Args:
        files: local paths or fsspec URIs of CSV or Parquet files, at least one.
        earliest: the first moment that the archive takes (aware).

    Raises:
        BadInput: no file is given, a file cannot be read, has the wrong columns or bars wider than a minute, or rows are bad;
            the message has their numbers (1 is the first row of data) and reasons.
    """
    if not files:
        raise BadInput("a replay needs at least one CSV or Parquet file of bars")
    for uri in files:
        check_columns(PRICE, uri)
        check_minutes(uri)
    wrong: list[str] = []
    in_order = [_examine(uri, earliest, wrong) for uri in files]
    if wrong:
        raise BadInput(f"nothing was sent: {'; '.join(wrong)}. Correct these rows, or use `trading-data import`")
    return _minutes([_bars(uri, earliest, streamed) for uri, streamed in zip(files, in_order, strict=True)])


def _minutes(files: Iterable[Iterator[Bar]]) -> Iterator[Minute]:
    merged = heapq.merge(*files, key=attrgetter("timestamp"))  # equal timestamps: in the order of the files
    for at, bars in groupby(merged, key=attrgetter("timestamp")):
        yield Minute(at, list(bars))


def _examine(uri: str, earliest: datetime, wrong: list[str]) -> bool:
    """Whether the rows are in the order of time. Adds one text about all bad rows to `wrong`."""
    listed: list[str] = []
    rows, bad, in_order, last = 0, 0, True, np.datetime64(-(2**62), "us")
    for checked in _checked(uri, earliest):
        bad += len(checked.bad)
        for at in sorted(checked.bad)[: _SHOWN - len(listed)]:
            listed.append(f"row {rows + at + 1}: {checked.bad[at].text}")
        rows += checked.table.num_rows
        if not bad and in_order:
            times = _times(checked.table)
            in_order = bool(times[0] >= last and np.all(times[1:] >= times[:-1]))
            last = times[-1]
    if bad:
        more = f"; and {bad - len(listed):,} more" if bad > len(listed) else ""
        wrong.append(f"{without_password(uri)} has {bad:,} bad of {counted(rows, 'row')} ({'; '.join(listed)}{more})")
    return in_order


def _bars(uri: str, earliest: datetime, streamed: bool) -> Iterator[Bar]:
    tables: Iterable[pa.Table] = _good(uri, earliest)
    if not streamed:
        rows = pa.concat_tables(tables)
        # Not sort_by, which may swap rows of one timestamp.
        order = np.argsort(_times(rows), kind="stable")
        tables = (rows.take(order[start : start + _ROWS]) for start in range(0, len(order), _ROWS))
    for table in tables:
        values = {name: table[name].to_pylist() for name in table.column_names if name != "timestamp"}
        values["timestamp"] = [moment.replace(tzinfo=UTC) for moment in _times(table).astype(datetime).tolist()]
        yield from map(Bar, *(values[name] for name in PRICE.names))


def _good(uri: str, earliest: datetime) -> Iterator[pa.Table]:
    for checked in _checked(uri, earliest):
        if checked.bad:
            raise BadInput(
                f"{without_password(uri)} was changed during the replay, and has bad rows now: start the replay again"
            )
        yield checked.table


def _checked(uri: str, earliest: datetime) -> Iterator[Checked]:
    moment = now()
    for table in read_table(PRICE, uri):
        values = {name: table[name].combine_chunks() for name in table.column_names}
        yield check(PRICE, values, moment, earliest)


def _times(table: pa.Table) -> "np.ndarray[tuple[int], np.dtype[np.datetime64]]":
    """The timestamps of good rows, in µs UTC."""
    times: np.ndarray[tuple[int], np.dtype[np.datetime64]] = table["timestamp"].to_numpy().astype("datetime64[us]")
    return times
