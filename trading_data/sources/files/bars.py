"""Checks of whole files of bars before any row is imported: `prices` takes one-minute bars, `daily` takes days.

Belongs here: rows that belong elsewhere, and days as files write them. Does not: reading files (`read`), classifying each bar
(`bars_of_file`), the rules for values (`datasets.codec`).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets import DAILY, PRICE
from trading_data.datasets.stamps import Stamp
from trading_data.datasets.widths import DAY, WEEK, Mask, Numbers, width_text
from trading_data.errors import BadInput
from trading_data.intake.import_rows import ROW
from trading_data.printable import counted
from trading_data.settings import without_password
from trading_data.sources.files.bars_of_file import MINUTE, BarsOfFile
from trading_data.sources.files.form import AS_EXPORTED, FileForm, command
from trading_data.sources.files.read import Rows

_TIME = pa.timestamp("us", "UTC")
_MINUTE = timedelta(minutes=1)
_RESAMPLE = (
    'frame.groupby("symbol").resample("1min", on="timestamp").agg({"open": "first", "high": "max", "low": "min", "close": "last", '
    '"volume": "sum", "source": "last"}).dropna()'
)
"""One-minute bars from a frame with the columns of `prices`."""
_MIDNIGHT = r"^\d{4}-\d\d-\d\d([T ]00:00(:00(\.0+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?$"
"""A day, or its midnight with any offset: the date is the day."""
_PLACE = "The archive keeps one-minute bars, from which it makes 5m, 1h and 1d, and daily history; it has no place for other bars"


@dataclass(frozen=True)
class MisplacedRows:
    """Rows of a file that belong to another dataset, or to none; all of one kind.

    Attributes:
        rows: their positions in the file, from 0, in order.
        kind: the kind, in a word or two.
        message: the kind, why the rows are not imported, and what to do instead, with the command.
        all: whether the file has no other rows.
    """

    rows: Numbers
    kind: str
    message: str
    all: bool


def check_minutes(uri: str, form: FileForm = AS_EXPORTED, given: Sequence[str] = ()) -> None:
    """Check that all bars of a file are one-minute bars; reads the whole file.

    `given` are the options of `import` that stand for `form`; messages repeat them in the commands they propose.

    Raises:
        BadInput: a bar is none; as `read_table`.
    """
    others = rows_not_minutes(Rows(PRICE, uri, form), given)
    if others:
        raise BadInput(others[-1].message)


def rows_not_minutes(rows: Rows, given: Sequence[str] = ()) -> list[MisplacedRows]:
    """The rows of a file that are no one-minute bars, by kind; reads the whole file. Rows that break a rule are not among them.

    A symbol without minutes is recognised by its timestamps, a wide bar among minutes by the minutes it covers; the rest is left to
    the check of the archive (`archive.verify.odd_values`). `given` as in `check_minutes`.

    Raises:
        BadInput: as `read_table`.
    """
    bars, shown = BarsOfFile.of(rows), without_password(rows.uri)
    out = []
    for kind in sorted(set(np.unique(bars.kinds).tolist()) - {MINUTE}):
        positions = np.flatnonzero(bars.kinds == kind)
        of = f"{shown} has {{}} bars of {_named(bars.names_of(positions))}"
        name, text = _stamped(kind, of, shown, given) if kind < MINUTE else _wide(kind, of, shown, given)
        out.append(MisplacedRows(positions, name, text, not bars.has(MINUTE)))
    return out


def _wide(kind: int, of: str, shown: str, given: Sequence[str]) -> tuple[str, str]:
    """The kind and the text for bars of more than a minute; `of` has a gap for the kind."""
    width = timedelta(minutes=kind)
    name = width_text(width)
    wrong = f"{of.format(name)}, and `prices` takes one-minute bars, because aggregates add them up. "
    if width == DAY:
        return name, f"{wrong}Import them as daily history: `{command(DAILY, [shown], given)}`"
    return name, (
        f"{wrong}{_PLACE}. Import a file of minutes or of days; if these are one-minute bars of a market that only trades at "
        f"these times, `{command(PRICE, [shown], [*given, '--minutes'])}`"
    )


def _stamped(kind: int, of: str, shown: str, given: Sequence[str]) -> tuple[str, str]:
    """The kind and the text for bars that are not stamped with the start of a minute; `of` has a gap for the kind."""
    if -kind == Stamp.TICK:
        return "ticks", (
            f"{of.format('several')} within a minute, which are ticks or bars of seconds, and `prices` takes one-minute bars. Make "
            f"them first, such as in pandas: `{_RESAMPLE}`"
        )
    if -kind == Stamp.END:
        return "stamped at their end", (
            f"{of.format('some')} stamped in the last second of a minute, which is the end of a bar, and `prices` are stamped with "
            f"the start: `{command(PRICE, [shown], [*given, '--ends'])}`"
        )
    return "off the minute", (
        f"{of.format('some')} stamped within a minute, and `prices` takes one-minute bars, stamped with the start of their "
        f"minute. Correct the timestamps; if they are right, `{command(PRICE, [shown], [*given, '--minutes'])}`"
    )


def rows_not_days(rows: Rows, given: Sequence[str] = ()) -> list[MisplacedRows]:
    """The rows of a file of daily bars that are none: those of symbols with several bars a day. Reads the whole file.

    `given` as in `check_minutes`. The zone of the form decides which day a moment belongs to.

    Raises:
        BadInput: no bar is a daily one, bars are weekly or longer, or a daily bar is not stamped at midnight and no zone is
            given; as `read_table`.
    """
    shown, bars = without_password(rows.uri), BarsOfFile.of(rows)
    several = bars.of_symbols(bars.several_a_day) & (bars.kinds != DAY // _MINUTE)
    no_daily_bar = bool(np.all(several[bars.symbols >= 0]))
    _check_stamps(rows, given, np.zeros_like(several) if no_daily_bar else several)
    if several.any():
        positions = np.flatnonzero(several)
        text = (
            f"{shown} has several bars a day of {_named(bars.names_of(positions))}, and daily history keeps one. Import minutes by "
            f"`{command(PRICE, [shown], given)}`. {_PLACE}"
        )
        if no_daily_bar:
            raise BadInput(text)
        return [MisplacedRows(positions, "several a day", text, False)]
    if bars.has(WEEK // _MINUTE):
        longer = bars.names_of(np.flatnonzero(bars.kinds == WEEK // _MINUTE))
        raise BadInput(f"{shown} has {width_text(WEEK)} bars of {_named(longer)}. {_PLACE}")
    return []


def _check_stamps(rows: Rows, given: Sequence[str], left_out: Mask) -> None:
    """Check that all rows but those left out are stamped with a day; `form.zone` makes days of moments."""
    row, form = 0, rows.form
    for table in rows:
        odd = _not_days(as_days(table["timestamp"].combine_chunks(), form.zone))
        odd = odd[~left_out[row + odd]]
        if len(odd):
            at, shown = int(odd[0]), without_password(rows.uri)
            raise BadInput(
                f"{shown}: row {row + at + 1} is stamped {table['timestamp'][at]}, and a daily bar is stamped with its day, "
                "such as 2026-11-20. If timestamps are times within the day, name the exchange's zone: "
                f"`{command(DAILY, [shown], [*given, '--zone', 'America/New_York'])}`"
            )
        row += table.num_rows


def without_rows(tables: Iterable[pa.Table], others: Sequence[MisplacedRows]) -> Iterator[pa.Table]:
    """Tables of `read_table` without the rows of `others`; the column `row` has the position of each remaining row in the file."""
    out = np.unique(np.concatenate([other.rows for other in others]))
    start = 0
    for table in tables:
        rows = np.setdiff1d(np.arange(start, start + table.num_rows), out, assume_unique=True)
        start += table.num_rows
        if len(rows):
            yield table.take(rows - start + table.num_rows).append_column(ROW, pa.array(rows))


def days_table(table: pa.Table, zone: str | None) -> pa.Table:
    """A table of `read_table` with days as timestamps: see `as_days`."""
    at = table.column_names.index("timestamp")
    return table.set_column(at, "timestamp", as_days(table["timestamp"].combine_chunks(), zone))


def as_days(values: pa.Array, zone: str | None = None) -> pa.Array:
    """Timestamps of daily bars as the midnight UTC of their day.

    A bare day and a midnight with any offset name the day. Any other moment belongs to its day in `zone`; without a zone it stays
    as it is, and so does a text that is no time.

    Args:
        values: timestamps with a zone, or texts.
        zone: name of a time zone, such as `America/New_York`.

    Returns:
        timestamp[us, UTC]; texts, if one of them is no time.

    Raises:
        BadInput: `zone` is no known time zone.
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
    """The days of moments in a zone, as midnights UTC; the moments themselves without a zone."""
    if zone is None:
        return moments
    return pc.floor_temporal(pc.local_timestamp(moments.cast(pa.timestamp("us", zone))), unit="day").cast(_TIME)


def _not_days(days: pa.Array) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Positions of moments that are no midnight UTC; a text that is no time is left to the rules for values."""
    if not pa.types.is_timestamp(days.type):
        positions = [
            at
            for at, text in enumerate(days.to_pylist())
            if isinstance(text, str)
            and re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:", text)
            and not re.match(r".{11}00:00:00Z$", text)
        ]
        return np.array(positions, dtype=np.int64)
    micros = pc.fill_null(days.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return np.flatnonzero(micros % (DAY.days * 86_400_000_000))


def _named(symbols: Sequence[str]) -> str:
    return symbols[0] if len(symbols) == 1 else f"{symbols[0]} and {counted(len(symbols) - 1, 'other symbol')}"
