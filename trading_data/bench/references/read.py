"""What reads are measured against: ADBC, the fastest way from PostgreSQL into a data frame, and pipelined HGETALL.

ADBC fetches by binary COPY into Arrow, if the values stand in the statement; with parameters it takes longer. It looks into the
archive alone.
"""

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

import pandas as pd

_COLUMNS = "symbol, timestamp, open, high, low, close, volume, source"
_ONE = """
    select {columns} from price_data where symbol = '{symbol}' and timestamp >= '{start}' and timestamp < '{end}'
    order by timestamp
"""
_ALL = """
    select {columns} from price_data where timestamp >= '{start}' and timestamp < '{end}' order by symbol, timestamp
"""
_LATEST = """
    select r.* from (values {symbols}) as s (symbol)
    cross join lateral (
        select {columns} from price_data p where p.symbol = s.symbol order by timestamp desc limit 1
    ) r order by symbol
"""


class Adbc:
    """One open connection to the archive."""

    def __init__(self, url: str) -> None:
        """Connect to a `postgresql://` URL.

        Raises:
            OSError: the driver is not installed.
        """
        try:
            from adbc_driver_postgresql import dbapi  # only benches need it
        except ImportError as error:
            raise OSError("the benches of reads need the package adbc-driver-postgresql") from error
        self._connection: Any = dbapi.connect(url, autocommit=True)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def bars(self, symbol: str | None, start: datetime, end: datetime) -> pd.DataFrame:
        """Bars of one symbol, or of all."""
        form = _ALL if symbol is None else _ONE
        return self._frame(form.format(columns=_COLUMNS, symbol=symbol, start=start, end=end))

    def latest(self, symbols: Sequence[str]) -> pd.DataFrame:
        """The newest bar of each symbol."""
        return self._frame(_LATEST.format(columns=_COLUMNS, symbols=", ".join(f"('{name}')" for name in symbols)))

    def _frame(self, statement: str) -> pd.DataFrame:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(statement)
            frame: pd.DataFrame = cursor.fetch_arrow_table().to_pandas()
            return frame


def hashes(client: Any, keys: Sequence[str]) -> list[dict[bytes, bytes]]:
    """Hashes by one pipeline of HGETALL, as redis-py's dicts."""
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.hgetall(key)
    answer: list[dict[bytes, bytes]] = pipeline.execute()
    return answer
