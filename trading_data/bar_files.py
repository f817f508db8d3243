"""Files of bars looked through before any of it is taken: minutes are minutes, and days are days.

Belongs here: what a file of bars may hold, and days as files write them. Does not: reading files (`files`), recognising widths
(`datasets.widths`), the rules for values (`datasets.codec`).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets import DAILY, PRICE
from trading_data.datasets.codec import check
from trading_data.datasets.widths import DAY, WEEK, BarWidths, said
from trading_data.errors import BadInput
from trading_data.file_form import AS_EXPORTED, FileForm, command
from trading_data.files import read_table
from trading_data.settings import without_password
from trading_data.times import now

_TIME = pa.timestamp("us", "UTC")
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_MIDNIGHT = r"^\d{4}-\d\d-\d\d([T ]00:00(:00(\.0+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?$"
"""A day, or its midnight in whatever zone: the date is the day."""
_PLACE = "The archive holds one-minute bars, of which 5m, 1h and 1d are made, and daily history: there is no place for others"


def check_minutes(uri: str, form: FileForm = AS_EXPORTED, given: Sequence[str] = ()) -> None:
    """See that the bars of a file are one-minute bars, as `price_data` holds them; reads the whole file.

    `form` is how the file writes them, and `given` the options of `import` that say so, for the commands that are advised.

    Raises:
        BadInput: bars of some symbols are wider, so that aggregates would add them up as minutes; as `read_table`.
    """
    wide = _widths(read_table(PRICE, uri, form)).found()
    if not wide:
        return
    shown = without_password(uri)
    widest = max(wide.values())
    of = _named([name for name, width in wide.items() if width == widest])
    wrong = f"{shown} has {said(widest)} bars of {of}, and `prices` are one-minute bars, which aggregates add up. "
    if widest == DAY:
        raise BadInput(f"{wrong}Take the file as daily history: `{command(DAILY, [shown], given)}`")
    raise BadInput(
        f"{wrong}{_PLACE}. Import a file of minutes or of days; if these are one-minute bars of a market that trades at such "
        f"moments only, `{command(PRICE, [shown], [*given, '--minutes'])}`"
    )


def check_days(uri: str, form: FileForm = AS_EXPORTED, given: Sequence[str] = ()) -> None:
    """See that the bars of a file are daily, one a symbol and day, and that each stamp says which day; reads the whole file.

    `form` and `given` are as for `check_minutes`. The zone of the form is the one by which moments are days.

    Raises:
        BadInput: a symbol has several bars on a day, bars are weekly or longer, or a stamp is no
            midnight and no zone was given; as `read_table`.
    """
    shown = without_password(uri)
    row = 0
    for table in read_table(PRICE, uri, form):
        days = as_days(table["timestamp"].combine_chunks(), form.zone)
        odd = _not_days(days)
        if len(odd):
            at = int(odd[0])
            raise BadInput(
                f"{shown}: row {row + at + 1} is stamped {table['timestamp'][at]}, and a daily bar is stamped with its day, "
                "such as 2026-11-20. Where stamps are moments of the day, name the exchange's zone: "
                f"`{command(DAILY, [shown], [*given, '--zone', 'America/New_York'])}`"
            )
        row += table.num_rows
    widths = _widths(read_table(PRICE, uri, form))
    several = widths.several_a_day()
    if several:
        raise BadInput(
            f"{shown} has several bars a day of {_named(several)}, and daily history holds one. Take minutes by "
            f"`{command(PRICE, [shown], given)}`. {_PLACE}"
        )
    longer = [name for name, width in widths.found().items() if width == WEEK]
    if longer:
        raise BadInput(f"{shown} has {said(WEEK)} bars of {_named(longer)}. {_PLACE}")


def days_table(table: pa.Table, zone: str | None) -> pa.Table:
    """A table of `read_table` with days for timestamps: see `as_days`."""
    at = table.column_names.index("timestamp")
    return table.set_column(at, "timestamp", as_days(table["timestamp"].combine_chunks(), zone))


def as_days(values: pa.Array, zone: str | None = None) -> pa.Array:
    """Stamps of daily bars as the midnight UTC of the day that they name.

    A bare day and a midnight with any offset are that day. Any other moment is the day that it lies in by `zone`; without a
    zone it is left as it is, and so is what is no time at all.

    Args:
        values: timestamps with a zone, or texts.
        zone: name of a time zone, such as `America/New_York`.

    Returns:
        timestamp[us, UTC]; texts, if there is one that is no time.

    Raises:
        BadInput: there is no such zone.
    """
    if zone is not None:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise BadInput(f"there is no time zone {zone!r}; write one like America/New_York or UTC") from None
    if pa.types.is_timestamp(values.type):
        return _in_zone(values.cast(_TIME, safe=False), zone)
    if pa.types.is_binary(values.type):
        try:
            values = values.cast(pa.string())
        except pa.ArrowInvalid:
            return values
    if not pa.types.is_string(values.type):
        return values
    days = pc.fill_null(pc.match_substring_regex(values, _MIDNIGHT), False)
    texts = pc.if_else(
        days, pc.binary_join_element_wise(pc.utf8_slice_codeunits(values, 0, 10), "T00:00:00Z", ""), values
    )
    try:
        moments = texts.cast(_TIME)
    except pa.ArrowInvalid:
        return texts
    return pc.if_else(days, moments, _in_zone(moments, zone))


def _in_zone(moments: pa.Array, zone: str | None) -> pa.Array:
    """The days, as midnights UTC, that moments lie in by a zone; the moments themselves where there is none."""
    if zone is None:
        return moments
    return pc.floor_temporal(pc.local_timestamp(moments.cast(pa.timestamp("us", zone))), unit="day").cast(_TIME)


def _not_days(days: pa.Array) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Positions of moments that are no midnight UTC; texts that are no time are left to the rules of values."""
    if not pa.types.is_timestamp(days.type):
        found = [
            at
            for at, text in enumerate(days.to_pylist())
            if isinstance(text, str)
            and re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:", text)
            and not re.match(r".{11}00:00:00Z$", text)
        ]
        return np.array(found, dtype=np.int64)
    micros = pc.fill_null(days.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return np.flatnonzero(micros % (DAY.days * 86_400_000_000))


def _widths(tables: Iterable[pa.Table]) -> BarWidths:
    found = BarWidths()
    for symbols, times, moved in _blocks(tables):
        good = pc.and_(pc.is_valid(symbols), pc.is_valid(times))
        moved = pc.fill_null(moved, False)
        micros = times.filter(good).cast(pa.int64()).to_numpy()
        found.add(symbols.filter(good), micros, moved.filter(good).to_numpy(zero_copy_only=False))
    return found


def _blocks(tables: Iterable[pa.Table]) -> Iterator[tuple[pa.Array, pa.Array, pa.Array]]:
    """Symbols, times (those without a zone taken as UTC) and whether high is above low, of each table."""
    for table in tables:
        columns = {name: table[name].combine_chunks() for name in ("symbol", "timestamp", "high", "low")}
        try:
            high, low = (columns[name].cast(pa.float64()) for name in ("high", "low"))
            symbols, times = columns["symbol"].cast(pa.string()), _moments(columns["timestamp"])
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            values = {name: table[name].combine_chunks() for name in PRICE.names}
            good = check(PRICE, values, now(), _EARLIEST).table
            columns = {name: good[name].combine_chunks() for name in columns}
            high, low, symbols, times = (columns[name] for name in ("high", "low", "symbol", "timestamp"))
        yield symbols, times, pc.greater(high, low)


def _moments(values: pa.Array) -> pa.Array:
    try:
        return values.cast(_TIME)
    except pa.ArrowInvalid:
        return values.cast(pa.timestamp("us")).cast(_TIME)


def _named(symbols: list[str]) -> str:
    return symbols[0] if len(symbols) == 1 else f"{symbols[0]} and {len(symbols) - 1:,} other symbols"
