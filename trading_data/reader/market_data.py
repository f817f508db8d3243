"""`MarketData`: the one thing a strategy, a dashboard or a backtest needs to know about storage.

Belongs here: the public API and the order in which the tiers are read. Does not: how each tier is read.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

import pandas as pd
import pyarrow as pa

from trading_data.aggregates.compute import compute
from trading_data.aggregates.refresh import merge, window
from trading_data.archive.database import Archive
from trading_data.archive.sql import statement
from trading_data.datasets import METRICS, PRICE, TRADE, codec
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.errors import BadInput
from trading_data.intake.store import Intake
from trading_data.live.connection import Client, connect_for_archiver
from trading_data.live.journal import EntryId
from trading_data.live.store import LiveStore
from trading_data.reader.archived import Range, exact_columns, read_aggregate, read_newest, read_rows
from trading_data.reader.as_of import no_buckets, read_as_of
from trading_data.reader.union import union
from trading_data.reader.waiting import Waiting, read_waiting
from trading_data.settings import Settings
from trading_data.times import ceil, day_start, floor, now, utc

Times = datetime | str


class MarketData:
    """Recent and historical rows through one door.

    All ranges are half-open, `[start, end)`; times are aware (a text needs its zone; a bare day is its midnight UTC).
    Every result has one row a key and the column `tier`: `archive`, or `live` for what is not archived yet. Frames are
    sorted by subject and time; times are `datetime64[us, UTC]`, floats `float64`, exact numbers `decimal.Decimal`.
    """

    def __init__(self, client: Client, archive: Archive, intake: Intake, earliest: datetime) -> None:
        """Use these connections; `from_env` makes them. `earliest` is the start of the first day partition."""
        self._client, self._archive, self._intake, self._earliest = client, archive, intake, earliest

    @classmethod
    def from_env(cls) -> "MarketData":
        """The reader for the servers that the environment names; connects with the first call.

        Raises:
            SettingError: a variable is missing or has the wrong form.
        """
        settings = Settings.from_env()
        return cls(
            connect_for_archiver(settings.require_redis_url()),
            Archive(settings.require_timescale_url()),
            Intake(settings.intake_uri),
            day_start(settings.start),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._archive.close()

    def prices(
        self,
        symbols: str | Iterable[str] | None,
        start: Times,
        end: Times,
        interval: str = "raw",
        *,
        as_of: Times | None = None,
    ) -> pd.DataFrame:
        """Bars of `symbols` (None: all) in [start, end).

        With `as_of` only what the archive knew at that moment, so that a backtest cannot look ahead: for each key the
        version that was archived then, nothing live, and intervals made from those rows.

        Returns:
            `raw`: symbol, timestamp, open, high, low, close, volume, source, tier. `5m`, `1h`, `1d`: symbol, bucket, open,
            high, low, close, volume, tier, for the buckets that begin in the range.

        Raises:
            BadInput: the range or the interval makes no sense.
            LiveTierError, ArchiveTierError: a tier is away; an answer without it would not be the truth.
        """
        return self.read(PRICE, symbols, start, end, interval, as_of=as_of)

    def trades(
        self,
        symbols: str | Iterable[str] | None,
        start: Times,
        end: Times,
        interval: str = "raw",
        *,
        as_of: Times | None = None,
    ) -> pd.DataFrame:
        """Fills of `symbols` (None: all) in [start, end); `1d` gives fills, quantity, notional, vwap, commission a side.

        Raises:
            as `prices`.
        """
        return self.read(TRADE, symbols, start, end, interval, as_of=as_of)

    def metrics(
        self,
        names: str | Iterable[str] | None,
        start: Times,
        end: Times,
        interval: str = "raw",
        *,
        as_of: Times | None = None,
    ) -> pd.DataFrame:
        """Measurements `names` (None: all) in [start, end); `1h` gives minimum, maximum, average, samples.

        Raises:
            as `prices`.
        """
        return self.read(METRICS, names, start, end, interval, as_of=as_of)

    def latest(self, symbols: str | Iterable[str]) -> pd.DataFrame:
        """The newest bar of each symbol: from the live tier, else the archive's. Columns as raw `prices`."""
        wanted = _listed(symbols) or []
        found = LiveStore(self._client).latest_prices(wanted)
        rows = [{"symbol": symbol, **fields} for symbol, fields in found.items() if fields.keys() >= set(PRICE.fields)]
        columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in PRICE.names}
        checked = codec.check(PRICE, columns, now(), self._earliest)
        good, _ = codec.by_position(checked.bad, len(rows))
        live = checked.table.filter(pa.array(good))
        missing = sorted(set(wanted) - set(live["symbol"].to_pylist()))
        archived = codec.schema(PRICE).empty_table()
        if missing:
            with self._archive.transaction(snapshot=True) as cursor:
                archived = read_newest(cursor, PRICE, missing)
        return _frame(PRICE, None, union(PRICE, archived, [live]))

    def read(
        self,
        dataset: Dataset,
        subjects: str | Iterable[str] | None,
        start: Times,
        end: Times,
        interval: str = "raw",
        *,
        as_of: Times | None = None,
    ) -> pd.DataFrame:
        """The reader behind the three above, for any declared dataset."""
        first, last = utc(start, "start"), utc(end, "end")
        if first > last:
            raise BadInput(f"start {first.isoformat()} is after end {last.isoformat()}")
        wanted = _listed(subjects)
        aggregate = dataset.aggregate(interval)
        if aggregate is None and interval != "raw":
            offered = ", ".join(["raw", *(one.interval for one in dataset.aggregates)])
            raise BadInput(f"{dataset.name} has no interval {interval!r}; there are {offered}")
        if as_of is not None:
            return self._known(dataset, aggregate, wanted, (first, last), utc(as_of, "as_of"))
        if aggregate is None:
            return _frame(dataset, None, self._raw(dataset, wanted, first, last))
        return self._aggregated(dataset, aggregate, wanted, first, last)

    def _known(
        self, dataset: Dataset, aggregate: Aggregate | None, wanted: list[str] | None, one: Range, as_of: datetime
    ) -> pd.DataFrame:
        """What the archive knew at `as_of`."""
        first, last = one if aggregate is None else (ceil(one[0], aggregate.width), ceil(one[1], aggregate.width))
        with self._archive.transaction(snapshot=True) as cursor:
            rows = union(dataset, read_as_of(cursor, dataset, _filter(dataset), wanted, first, last, as_of), [])
        if aggregate is None:
            return _frame(dataset, None, rows)
        if not rows.num_rows:
            return _frame(dataset, aggregate, no_buckets(dataset, aggregate))
        return _made(dataset, aggregate, rows)

    def _raw(self, dataset: Dataset, wanted: list[str] | None, start: datetime, end: datetime) -> pa.Table:
        waiting = self._waiting(dataset, wanted)
        with self._archive.transaction(snapshot=True) as cursor:
            tables = self._not_archived(cursor, dataset, waiting, wanted, start, end)
            archived = read_rows(cursor, dataset, _filter(dataset), wanted, start, end)
        return union(dataset, archived, tables)

    def _aggregated(
        self, dataset: Dataset, aggregate: Aggregate, wanted: list[str] | None, start: datetime, end: datetime
    ) -> pd.DataFrame:
        """Buckets of the aggregate, but those that it does not show truly yet are made from raw rows."""
        first, last = ceil(start, aggregate.width), ceil(end, aggregate.width)
        waiting = self._waiting(dataset, wanted)
        with self._archive.transaction(snapshot=True) as cursor:
            tables = self._not_archived(cursor, dataset, waiting, wanted, first, last)
            stale = self._stale(cursor, dataset, aggregate, tables, first, last)
            settled = read_aggregate(cursor, dataset, aggregate, _filter(dataset), wanted, first, last)
            raw = [
                union(dataset, self._slice(cursor, dataset, wanted, one), _within(dataset, tables, one))
                for one in stale
            ]
        frame = _frame(dataset, aggregate, settled)
        for low, high in stale:
            frame = frame[(frame["bucket"] < low) | (frame["bucket"] >= high)]
        made = [_made(dataset, aggregate, table) for table in raw if table.num_rows]
        frame = (
            pd.concat([frame.assign(tier="archive"), *made], ignore_index=True)
            if made
            else frame.assign(tier="archive")
        )
        ordered: pd.DataFrame = frame.sort_values([*aggregate.group_by, "bucket"], ignore_index=True)
        return ordered

    def _waiting(self, dataset: Dataset, wanted: list[str] | None) -> Waiting:
        with self._archive.transaction(snapshot=True) as cursor:
            archived = _watermarks(cursor, dataset)
        return read_waiting(self._client, self._intake, dataset, wanted, archived, self._earliest)

    def _not_archived(
        self,
        cursor: object,
        dataset: Dataset,
        waiting: Waiting,
        wanted: list[str] | None,
        start: datetime,
        end: datetime,
    ) -> list[pa.Table]:
        if not waiting.batches:
            return []
        archived = _watermarks(cursor, dataset)
        cursor.execute("select content_hash from archive_ledger where content_hash = any(%s)", (waiting.hashes,))  # type: ignore[attr-defined]
        loaded = {row[0] for row in cursor.fetchall()}  # type: ignore[attr-defined]
        tables = waiting.tables(dataset, archived, loaded, start, end)
        if wanted is None:
            return tables
        chosen = pa.array(wanted, pa.string())
        return [table.filter(pa.compute.is_in(table[_filter(dataset)], chosen)) for table in tables]

    def _stale(
        self,
        cursor: object,
        dataset: Dataset,
        aggregate: Aggregate,
        tables: Sequence[pa.Table],
        start: datetime,
        end: datetime,
    ) -> list[Range]:
        names = [one.name for one in dataset.aggregates[: dataset.aggregates.index(aggregate) + 1]]
        values = {"aggregates": names, "start": start, "end": end}
        cursor.execute(statement("stale_ranges"), values)  # type: ignore[attr-defined]
        windows = [window(aggregate, low, high) for low, high in cursor.fetchall()]  # type: ignore[attr-defined]
        for table in tables:
            if table.num_rows:
                for moment in pa.compute.unique(
                    pa.compute.floor_temporal(table[dataset.key[1]], unit="minute")
                ).to_pylist():
                    windows.append((floor(moment, aggregate.width), floor(moment, aggregate.width) + aggregate.width))
        return merge([(max(low, start), min(high, end)) for low, high in windows if low < end and high > start])

    def _slice(self, cursor: object, dataset: Dataset, wanted: list[str] | None, one: Range) -> pa.Table:
        return read_rows(cursor, dataset, _filter(dataset), wanted, *one)  # type: ignore[arg-type]


def _filter(dataset: Dataset) -> str:
    """The column by which callers choose: the symbol where there is one."""
    return "symbol" if "symbol" in dataset.column else dataset.subject


def _watermarks(cursor: object, dataset: Dataset) -> dict[str, EntryId]:
    cursor.execute("select journal, entry_id from archive_watermark where dataset = %s", (dataset.name,))  # type: ignore[attr-defined]
    return {name: EntryId.parse(entry) for name, entry in cursor.fetchall()}  # type: ignore[attr-defined]


def _within(dataset: Dataset, tables: Sequence[pa.Table], one: Range) -> list[pa.Table]:
    found = []
    for table in tables:
        times = table[dataset.key[1]]
        low, high = pa.scalar(one[0], times.type), pa.scalar(one[1], times.type)
        found.append(table.filter(pa.compute.and_(pa.compute.greater_equal(times, low), pa.compute.less(times, high))))
    return found


def _made(dataset: Dataset, aggregate: Aggregate, table: pa.Table) -> pd.DataFrame:
    frame = _frame(dataset, None, table)
    made = compute(dataset, aggregate, frame)
    keys = [*aggregate.group_by, "bucket"]
    frame["bucket"] = frame[dataset.key[1]].dt.floor(pd.Timedelta(aggregate.width))
    live = frame.assign(live=frame["tier"] == "live").groupby(keys, sort=True, observed=True)["live"].any()
    return made.assign(tier=["live" if one else "archive" for one in live])


def _frame(dataset: Dataset, aggregate: Aggregate | None, table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    for name in exact_columns(dataset, aggregate):
        frame[name] = pd.Series([Decimal(text) for text in frame[name]], index=frame.index, dtype=object)
    return frame


def _listed(subjects: str | Iterable[str] | None) -> list[str] | None:
    if subjects is None:
        return None
    return [subjects] if isinstance(subjects, str) else sorted(set(subjects))
