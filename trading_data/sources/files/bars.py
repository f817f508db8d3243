"""Files of bars looked through before any of it is taken: minutes are minutes, and days are days.

Belongs here: what a file of bars may hold, and days as files write them. Does not: reading files (`files`), what each bar
is (`bars_of_file`), the rules for values (`datasets.codec`).
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
from trading_data.datasets.widths import DAY, WEEK, Mask, Numbers, said
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
"""Of a frame with the columns of `prices` its minutes."""
_MIDNIGHT = r"^\d{4}-\d\d-\d\d([T ]00:00(:00(\.0+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?$"
"""A day, or its midnight in whatever zone: the date is the day."""
_PLACE = "The archive holds one-minute bars, of which 5m, 1h and 1d are made, and daily history: there is no place for others"


@dataclass(frozen=True)
class Others:
    """Rows of a file that are not what its dataset holds, of one kind.

    Attributes:
        rows: their positions in the file, from 0, in order.
        kind: what they are, in a word or two.
        said: what they are, why they are not taken, and what to do, with the command.
        all: whether there is nothing else in the file.
    """

    rows: Numbers
    kind: str
    said: str
    all: bool


def check_minutes(uri: str, form: FileForm = AS_EXPORTED, given: Sequence[str] = ()) -> None:
    """See that the bars of a file are one-minute bars, as `price_data` holds them; reads the whole file.

    `form` is how the file writes them, and `given` the options of `import` that say so, for the commands that are advised.

    Raises:
        BadInput: there are others; as `read_table`.
    """
    others = no_minutes(Rows(PRICE, uri, form), given)
    if others:
        raise BadInput(others[-1].said)


def no_minutes(rows: Rows, given: Sequence[str] = ()) -> list[Others]:
    """What of a file is no one-minute bar, by kind; reads the whole file. Rows that break a rule are left to the rules.

    A symbol without minutes is told by its stamps, a wide bar among minutes by what it covers. What no file can tell is found in
    the archive (`archive.verify.odd_values`). `given` are as for `check_minutes`.

    Raises:
        BadInput: as `read_table`.
    """
    bars, shown = BarsOfFile.of(rows), without_password(rows.uri)
    out = []
    for kind in sorted(set(np.unique(bars.kinds).tolist()) - {MINUTE}):
        found = np.flatnonzero(bars.kinds == kind)
        of = f"{shown} has {{}} bars of {_named(bars.names_of(found))}"
        name, said = _stamped(kind, of, shown, given) if kind < MINUTE else _wide(kind, of, shown, given)
        out.append(Others(found, name, said, not bars.has(MINUTE)))
    return out


def _wide(kind: int, of: str, shown: str, given: Sequence[str]) -> tuple[str, str]:
    width = timedelta(minutes=kind)
    wrong = f"{of.format(said(width))}, and `prices` are one-minute bars, which aggregates add up. "
    if width == DAY:
        return said(width), f"{wrong}Take them as daily history: `{command(DAILY, [shown], given)}`"
    return said(width), (
        f"{wrong}{_PLACE}. Import a file of minutes or of days; if these are one-minute bars of a market that trades at such "
        f"moments only, `{command(PRICE, [shown], [*given, '--minutes'])}`"
    )


def _stamped(kind: int, of: str, shown: str, given: Sequence[str]) -> tuple[str, str]:
    if -kind == Stamp.TICK:
        return "ticks", (
            f"{of.format('several')} within a minute, which are ticks or bars of seconds, and `prices` are one-minute bars. Make "
            f"these first, such as with pandas: `{_RESAMPLE}`"
        )
    if -kind == Stamp.END:
        return "stamped at their end", (
            f"{of.format('some')} that are stamped in the last second of a minute, which is the end of a bar, and `prices` are "
            f"stamped with its start: `{command(PRICE, [shown], [*given, '--ends'])}`"
        )
    return "off the minute", (
        f"{of.format('some')} that are stamped within a minute, and `prices` are one-minute bars, stamped with the start of their "
        f"minute. Correct the stamps; if they are right, `{command(PRICE, [shown], [*given, '--minutes'])}`"
    )


def no_days(rows: Rows, given: Sequence[str] = ()) -> list[Others]:
    """What of a file of daily bars is none: minutes of symbols that have several bars a day. Reads the whole file.

    `given` are as for `check_minutes`. The zone of the form is the one by which moments are days.

    Raises:
        BadInput: there is no daily bar, bars are weekly or longer, or the stamp of a daily bar is no midnight and no zone was
            given; as `read_table`.
    """
    shown, bars = without_password(rows.uri), BarsOfFile.of(rows)
    several = bars.of_symbols(bars.several_a_day) & (bars.kinds != DAY // _MINUTE)
    nothing = bool(np.all(several[bars.symbols >= 0]))
    _check_stamps(rows, given, np.zeros_like(several) if nothing else several)
    if several.any():
        found = np.flatnonzero(several)
        text = (
            f"{shown} has several bars a day of {_named(bars.names_of(found))}, and daily history holds one. Take minutes by "
            f"`{command(PRICE, [shown], given)}`. {_PLACE}"
        )
        if nothing:
            raise BadInput(text)
        return [Others(found, "several a day", text, False)]
    if bars.has(WEEK // _MINUTE):
        longer = bars.names_of(np.flatnonzero(bars.kinds == WEEK // _MINUTE))
        raise BadInput(f"{shown} has {said(WEEK)} bars of {_named(longer)}. {_PLACE}")
    return []


def _check_stamps(rows: Rows, given: Sequence[str], left_out: Mask) -> None:
    row, form = 0, rows.form
    for table in rows:
        odd = _not_days(as_days(table["timestamp"].combine_chunks(), form.zone))
        odd = odd[~left_out[row + odd]]
        if len(odd):
            at, shown = int(odd[0]), without_password(rows.uri)
            raise BadInput(
                f"{shown}: row {row + at + 1} is stamped {table['timestamp'][at]}, and a daily bar is stamped with its day, "
                "such as 2026-11-20. Where stamps are moments of the day, name the exchange's zone: "
                f"`{command(DAILY, [shown], [*given, '--zone', 'America/New_York'])}`"
            )
        row += table.num_rows


def without(tables: Iterable[pa.Table], others: Sequence[Others]) -> Iterator[pa.Table]:
    """Tables of `read_table` without some rows; the column `row` has the positions in the file of those that are left."""
    out = np.unique(np.concatenate([other.rows for other in others]))
    start = 0
    for table in tables:
        rows = np.setdiff1d(np.arange(start, start + table.num_rows), out, assume_unique=True)
        start += table.num_rows
        if len(rows):
            yield table.take(rows - start + table.num_rows).append_column(ROW, pa.array(rows))


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


def _named(symbols: Sequence[str]) -> str:
    return symbols[0] if len(symbols) == 1 else f"{symbols[0]} and {counted(len(symbols) - 1, 'other symbol')}"
