"""`MarketData`: the one thing a strategy, a dashboard or a backtest needs to know about storage.

Belongs here: the public API. Does not: which tier is read when (`tiers`), what is made of it (`rows`), forms (`frames`).
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
from trading_data.reader.history import read_all, read_parts
from trading_data.reader.query import (
    ALWAYS,
    About,
    Arrow,
    Either,
    Format,
    Frame,
    Pandas,
    Query,
    Times,
    ask,
    subjects_of,
)
from trading_data.reader.rows import latest
from trading_data.reader.stream import Windows
from trading_data.reader.tiers import Tiers
from trading_data.settings import Settings
from trading_data.times import DAY, day_start

if TYPE_CHECKING:
    import pandas as pd


class MarketData:
    """Recent and historical rows through one door.

    All ranges are half-open, `[start, end)`; times are aware (a text needs its zone; a bare day is its midnight UTC).
    Every answer has one row a key, whether it is live, in flight or archived, and the last column `tier`: `archive`, or
    `live` for what is not archived yet. It is sorted by subject and time.

    In pandas times are `datetime64[us, UTC]`, floats `float64`, exact numbers `decimal.Decimal`, texts pandas' strings. With
    `format="arrow"` it is a `pyarrow.Table`: `timestamp[us, UTC]`, `double`, `decimal128(38, 18)`, `string`; what has more
    than 18 digits behind the point (a vwap) is rounded, half to even.

    A tier that is away is an error, for an answer without it would not be the truth. With `partial=True` it is none: then
    `frame.attrs["missing"]` is a tuple of texts, each beginning with `archive:`, `live:` or `intake:` and saying what cannot
    be in the answer; `()` when nothing is missing. `frame.attrs["notes"]` is a tuple of texts about rows that are in the
    answer: those that `session` did not filter because the exchange's calendar does not know their day, and days that are
    bars of daily history. In Arrow both are JSON lists in the schema's metadata, `missing` and `notes`.
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
        self, symbols: About, start: Times, end: Times, interval: str = ..., **options: Unpack[Pandas]
    ) -> "pd.DataFrame": ...

    @overload
    def prices(
        self, symbols: About, start: Times, end: Times, interval: str = ..., **options: Unpack[Arrow]
    ) -> pa.Table: ...

    def prices(
        self, symbols: About, start: Times, end: Times, interval: str = "raw", **options: Unpack[Either]
    ) -> Frame:
        """Bars of `symbols` (None: all) in [start, end).

        Args:
            symbols: one, some, or None for all.
            start: included.
            end: not included.
            interval: `raw`, `5m`, `15m`, `30m`, `1h`, `4h` or `1d`, of UTC days. Of 15m, 30m and 4h there is no aggregate: they
                are put together from the next finer one.
            **options: `as_of`, `partial`, `session`, `format`; see `Options`.

        Returns:
            `raw`: symbol, timestamp, open, high, low, close, volume, source, tier. All others: symbol, bucket, open,
            high, low, close, volume, tier, for the buckets that begin in the range. A symbol's day that has no minutes is
            in `1d` as its bar of daily history, if there is one (not with `session`); `notes` says so.

        Raises:
            BadInput: the range, the interval, the exchange or the format makes no sense.
            LiveTierError, ArchiveTierError: a tier is away.
            IntakeError: a batch in the intake is damaged.
        """
        return self._read(ask(PRICE, symbols, start, end, interval, **options))

    @overload
    def trades(
        self, symbols: About, start: Times, end: Times, interval: str = ..., **options: Unpack[Pandas]
    ) -> "pd.DataFrame": ...

    @overload
    def trades(
        self, symbols: About, start: Times, end: Times, interval: str = ..., **options: Unpack[Arrow]
    ) -> pa.Table: ...

    def trades(
        self, symbols: About, start: Times, end: Times, interval: str = "raw", **options: Unpack[Either]
    ) -> Frame:
        """Fills of `symbols` (None: all) in [start, end); arguments and errors as `prices`.

        Returns:
            `raw`: order_id, timestamp, execution_id, symbol, side, quantity, price, commission, strategy, source, tier. `1d`:
            symbol, side, bucket, fills, quantity, notional, vwap, commission, tier.
        """
        return self._read(ask(TRADE, symbols, start, end, interval, **options))

    @overload
    def metrics(
        self, names: About, start: Times, end: Times, interval: str = ..., **options: Unpack[Pandas]
    ) -> "pd.DataFrame": ...

    @overload
    def metrics(
        self, names: About, start: Times, end: Times, interval: str = ..., **options: Unpack[Arrow]
    ) -> pa.Table: ...

    def metrics(
        self, names: About, start: Times, end: Times, interval: str = "raw", **options: Unpack[Either]
    ) -> Frame:
        """Measurements `names` (None: all) in [start, end); arguments and errors as `prices`.

        Returns:
            `raw`: metric_name, timestamp, value, unit, tier. `1h`: metric_name, bucket, minimum, maximum, average, samples,
            tier.
        """
        return self._read(ask(METRICS, names, start, end, interval, **options))

    @overload
    def read(
        self,
        dataset: Dataset | str,
        subjects: About,
        start: Times,
        end: Times,
        interval: str = ...,
        **options: Unpack[Pandas],
    ) -> "pd.DataFrame": ...

    @overload
    def read(
        self,
        dataset: Dataset | str,
        subjects: About,
        start: Times,
        end: Times,
        interval: str = ...,
        **options: Unpack[Arrow],
    ) -> pa.Table: ...

    def read(
        self,
        dataset: Dataset | str,
        subjects: About,
        start: Times,
        end: Times,
        interval: str = "raw",
        **options: Unpack[Either],
    ) -> Frame:
        """The reader behind the three above, for any declared dataset or its name; all of the answer at once."""
        return self._read(ask(dataset, subjects, start, end, interval, **options))

    @overload
    def stream(
        self,
        dataset: Dataset | str,
        subjects: About,
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
        subjects: About,
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
        subjects: About,
        start: Times,
        end: Times,
        interval: str = "raw",
        *,
        chunk: timedelta = DAY,
        rows: int | None = None,
        **options: Unpack[Either],
    ) -> Iterator[Frame]:
        """As `read`, for answers larger than memory: frames in the order of time, each of one window of time.

        A window is read when its frame is asked for, from the tiers as they stand then: all that had been accepted before
        is there, each row once over all frames, whatever is archived meanwhile. Held in memory are one window and what
        waits in the live tier and the intake within the range. Each frame is sorted by subject and time.

        Args:
            dataset: or its name.
            subjects: as `symbols` of `prices`.
            start: included.
            end: not included.
            interval: as `prices`.
            chunk: width of a window; windows begin at its multiples after midnight UTC.
            rows: most rows of a frame; a window with more is cut. Rows of one moment are never parted.
            **options: as `prices`; with `partial` each frame says what is missing from it.

        Returns:
            Frames that are not empty; a single empty one where there are no rows, so that columns and `missing` are known.

        Raises:
            as `prices`; BadInput also for a chunk or rows of which no windows can be made.
        """
        windows = Windows(chunk, rows)
        question = ask(dataset, subjects, start, end, interval, **options)
        return (answer(question, *part) for part in read_parts(self._tiers, question, windows))

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

        A symbol's latest value in the live tier is taken at its word: where all symbols have one, that is one round trip.
        Of the others the newest row of all tiers is found: journals, intake and archive.
        """
        question = Query(PRICE, None, subjects_of(symbols) or [], *ALWAYS, partial=partial, format=format)
        return answer(question, *latest(self._tiers, question))

    def _read(self, question: Query) -> Frame:
        return answer(question, *read_all(self._tiers, question))
