"""`MarketData`: all that a strategy, a dashboard or a backtest needs to know about storage.

A call passes these modules: `query` parses the arguments; `rows` (or `stream`) builds the answer; `tiers` reads both tiers at one
moment (`pending` the journals and the intake, `archive_queries` TimescaleDB); `merge` keeps one row per key; `frames` forms it.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, Unpack, overload

import pyarrow as pa

from trading_data.archive.database import Archive
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.datasets.declaration import Dataset
from trading_data.intake.store import Intake
from trading_data.live.connection import Client, connect_for_archiver
from trading_data.reader.frames import answer
from trading_data.reader.query import (
    ALWAYS,
    Arrow,
    Either,
    Format,
    Frame,
    Pandas,
    Query,
    Symbols,
    Times,
    parse_query,
    parse_symbols,
)
from trading_data.reader.rows import latest, read_all
from trading_data.reader.stream import Windows, read_parts
from trading_data.reader.tiers import Tiers
from trading_data.settings import Settings
from trading_data.times import DAY, day_start

if TYPE_CHECKING:
    import pandas as pd


class MarketData:
    """Recent and historical rows, whichever tier they are in.

    All ranges are half-open, `[start, end)`; times are aware (a text needs its zone; a bare day is its midnight UTC).
    Every answer has one row per key, whether it is live, in flight or archived, and the last column `tier`: `archive`, or
    `live` for rows that are not archived yet. It is sorted by subject and time.

    In pandas times are `datetime64[us, UTC]`, floats `float64`, exact numbers `decimal.Decimal`, texts pandas' strings. With
    `format="arrow"` an answer is a `pyarrow.Table`: `timestamp[us, UTC]`, `double`, `decimal128(38, 18)`, `string`; numbers
    with more than 18 digits after the point (a vwap) are rounded, half to even.

    A tier that is away raises an error, as an answer without it could be wrong. With `partial=True` the other tiers answer:
    then `frame.attrs["missing"]` is a tuple of texts, each beginning with `archive:`, `live:` or `intake:`, about what the
    answer lacks; `()` when nothing is missing. `frame.attrs["notes"]` is a tuple of texts about rows in the answer: those
    that `session` did not filter because the exchange's calendar does not know their day, and days that are bars of daily
    history. In Arrow both are JSON lists in the schema's metadata, `missing` and `notes`.
    """

    def __init__(self, client: Client, archive: Archive, intake: Intake, earliest: datetime) -> None:
        """Use these connections; `from_env` makes them. `earliest` is the start of the first day partition."""
        self._tiers = Tiers(client, archive, intake, earliest)

    @classmethod
    def from_settings(cls, settings: Settings) -> "MarketData":
        """The reader for the servers that `settings` name; connects with the first call.

        Raises:
            SettingError: the URL of a server is missing.
        """
        return cls(
            connect_for_archiver(settings.require_redis_url()),
            Archive(settings.require_timescale_url()),
            Intake(settings.intake_uri),
            day_start(settings.start),
        )

    @classmethod
    def from_env(cls) -> "MarketData":
        """The reader for the servers that the environment names; connects with the first call.

        Raises:
            SettingError: a variable is missing or has the wrong form.
        """
        return cls.from_settings(Settings.from_env())

    def close(self) -> None:
        """Close the connections."""
        self._tiers.client.close()
        self._tiers.archive.close()

    @overload
    def prices(
        self, symbols: Symbols, start: Times, end: Times, interval: str = ..., **options: Unpack[Pandas]
    ) -> "pd.DataFrame": ...

    @overload
    def prices(
        self, symbols: Symbols, start: Times, end: Times, interval: str = ..., **options: Unpack[Arrow]
    ) -> pa.Table: ...

    def prices(
        self, symbols: Symbols, start: Times, end: Times, interval: str = "raw", **options: Unpack[Either]
    ) -> Frame:
        """Bars of `symbols` (None: all) in [start, end).

        Args:
            symbols: a symbol, several, or None for all.
            start: included.
            end: not included.
            interval: `raw`, `5m`, `15m`, `30m`, `1h`, `4h` or `1d`, of UTC days. 15m, 30m and 4h have no aggregate of their own:
                they are made from the next finer one.
            **options: `as_of`, `partial`, `session`, `format`; see `Options`.

        Returns:
            `raw`: symbol, timestamp, open, high, low, close, volume, source, tier. All others: symbol, bucket, open,
            high, low, close, volume, tier, for the buckets that begin in the range. In `1d` a symbol's day without minutes
            is its bar of daily history, if there is one (not with `session`); a note in `notes` tells them apart.

        Raises:
            BadInput: the range, the interval, the exchange or the format is invalid.
            LiveTierError, ArchiveTierError: a tier is away.
            IntakeError: a batch in the intake is damaged.
        """
        return self._read(parse_query(PRICE, symbols, start, end, interval, **options))

    @overload
    def trades(
        self, symbols: Symbols, start: Times, end: Times, interval: str = ..., **options: Unpack[Pandas]
    ) -> "pd.DataFrame": ...

    @overload
    def trades(
        self, symbols: Symbols, start: Times, end: Times, interval: str = ..., **options: Unpack[Arrow]
    ) -> pa.Table: ...

    def trades(
        self, symbols: Symbols, start: Times, end: Times, interval: str = "raw", **options: Unpack[Either]
    ) -> Frame:
        """Fills of `symbols` (None: all) in [start, end); arguments and errors as `prices`.

        Returns:
            `raw`: order_id, timestamp, execution_id, symbol, side, quantity, price, commission, strategy, source, tier. `1d`:
            symbol, side, bucket, fills, quantity, notional, vwap, commission, tier.
        """
        return self._read(parse_query(TRADE, symbols, start, end, interval, **options))

    @overload
    def metrics(
        self, names: Symbols, start: Times, end: Times, interval: str = ..., **options: Unpack[Pandas]
    ) -> "pd.DataFrame": ...

    @overload
    def metrics(
        self, names: Symbols, start: Times, end: Times, interval: str = ..., **options: Unpack[Arrow]
    ) -> pa.Table: ...

    def metrics(
        self, names: Symbols, start: Times, end: Times, interval: str = "raw", **options: Unpack[Either]
    ) -> Frame:
        """Measurements `names` (None: all) in [start, end); arguments and errors as `prices`.

        Returns:
            `raw`: metric_name, timestamp, value, unit, tier. `1h`: metric_name, bucket, minimum, maximum, average, samples,
            tier.
        """
        return self._read(parse_query(METRICS, names, start, end, interval, **options))

    @overload
    def read(
        self,
        dataset: Dataset | str,
        subjects: Symbols,
        start: Times,
        end: Times,
        interval: str = ...,
        **options: Unpack[Pandas],
    ) -> "pd.DataFrame": ...

    @overload
    def read(
        self,
        dataset: Dataset | str,
        subjects: Symbols,
        start: Times,
        end: Times,
        interval: str = ...,
        **options: Unpack[Arrow],
    ) -> pa.Table: ...

    def read(
        self,
        dataset: Dataset | str,
        subjects: Symbols,
        start: Times,
        end: Times,
        interval: str = "raw",
        **options: Unpack[Either],
    ) -> Frame:
        """The same for any declared dataset or its name; the whole answer at once."""
        return self._read(parse_query(dataset, subjects, start, end, interval, **options))

    @overload
    def stream(
        self,
        dataset: Dataset | str,
        subjects: Symbols,
        start: Times,
        end: Times,
        interval: str = ...,
        *,
        chunk: timedelta = ...,
        rows: int | None = ...,
        **options: Unpack[Pandas],
    ) -> "Iterator[pd.DataFrame]": ...

    @overload
    def stream(
        self,
        dataset: Dataset | str,
        subjects: Symbols,
        start: Times,
        end: Times,
        interval: str = ...,
        *,
        chunk: timedelta = ...,
        rows: int | None = ...,
        **options: Unpack[Arrow],
    ) -> Iterator[pa.Table]: ...

    def stream(
        self,
        dataset: Dataset | str,
        subjects: Symbols,
        start: Times,
        end: Times,
        interval: str = "raw",
        *,
        chunk: timedelta = DAY,
        rows: int | None = None,
        **options: Unpack[Either],
    ) -> Iterator[Frame]:
        """As `read`, for answers larger than memory: frames in the order of time, each of one window of time.

        A window is read when the iterator reaches it, from the tiers as they stand then. It has every row accepted before,
        and each row is in one frame only, whatever is archived meanwhile. Memory holds one window, and those rows of the
        range that wait in the live tier and the intake. Each frame is sorted by subject and time.

        Args:
            dataset: or its name.
            subjects: as `symbols` of `prices`.
            start: included.
            end: not included.
            interval: as `prices`.
            chunk: width of a window; windows begin at its multiples after midnight UTC.
            rows: most rows of a frame; a window with more is cut. Rows of one moment stay together.
            **options: as `prices`; with `partial` each frame has its own `missing`.

        Returns:
            Frames with rows; a single empty one where there are no rows, so that columns and `missing` are known.

        Raises:
            as `prices`; BadInput also where `chunk` is not positive or `rows` is less than 1.
        """
        windows = Windows(chunk, rows)
        query = parse_query(dataset, subjects, start, end, interval, **options)
        return (answer(query, *part) for part in read_parts(self._tiers, query, windows))

    @overload
    def latest(
        self, symbols: str | Iterable[str], *, partial: bool = ..., format: Literal["pandas"] = ...
    ) -> "pd.DataFrame": ...

    @overload
    def latest(self, symbols: str | Iterable[str], *, partial: bool = ..., format: Literal["arrow"]) -> pa.Table: ...

    def latest(
        self,
        symbols: str | Iterable[str],
        *,
        partial: bool = False,
        format: Format = "pandas",
    ) -> Frame:
        """The newest bar of each symbol that has one; columns and errors as raw `prices`.

        A symbol's latest value in the live tier counts as its newest bar: where all symbols have one, that is one round trip.
        For other symbols the journals, the intake and the archive are read.
        """
        query = Query(PRICE, None, parse_symbols(symbols) or [], *ALWAYS, partial=partial, format=format)
        return answer(query, *latest(self._tiers, query))

    def _read(self, query: Query) -> Frame:
        return answer(query, *read_all(self._tiers, query))
