"""The kind of each bar of a file: a minute, a wider bar, a tick.

Belongs here: gathering symbols, timestamps and prices of a whole file for the rules. Does not: the rules (`datasets.widths`,
`datasets.mixed`, `datasets.stamps`), and messages about other bars (`bars`).
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets import PRICE
from trading_data.datasets.codec import check
from trading_data.datasets.mixed import Doubles, wide_among_minutes
from trading_data.datasets.stamps import stamps
from trading_data.datasets.widths import BarWidths, Mask, Numbers
from trading_data.times import now

MINUTE = 0
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_TIME = pa.timestamp("us", "UTC")
_NUMBERS = ("high", "low", "volume")
_SHORT = 1 << 16
_PIECE = 1_000_000
"""Rows that are judged together, which bounds memory; a wide bar more rows away from its minutes is not recognised."""


@dataclass(frozen=True)
class BarsOfFile:
    """The kind of each row of a file, by position.

    Attributes:
        names: the symbols.
        symbols: each row's position in `names`; -1 for a row that is no bar by the rules.
        kinds: each row's width in minutes if it is wider than one, 0 for a minute, or the negative of its `Stamp`.
        several_a_day: the symbols with more bars than days.
    """

    names: list[str]
    symbols: "np.ndarray[Any, np.dtype[np.int32]]"
    kinds: "np.ndarray[Any, np.dtype[np.int16]]"
    several_a_day: frozenset[str]

    @classmethod
    def of(cls, tables: Iterable[pa.Table]) -> "BarsOfFile":
        """Classify the rows of a file's tables, as `read_table` yields them."""
        known: dict[str, int] = {}
        widths = BarWidths()
        symbols, kinds = [np.zeros(0, np.int32)], [np.zeros(0, np.int16)]
        for piece in _pieces(tables):
            blocks = [_block(table, known) for table in piece]
            columns = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
            symbols.append(columns[0].astype(np.int32))
            kinds.append(_kinds(list(known), widths, *columns).astype(np.int16))
        of_rows, kind = np.concatenate(symbols), np.concatenate(kinds)
        for name, width in widths.found().items():
            kind[of_rows == known[name]] = width // timedelta(minutes=1)
        return cls(list(known), of_rows, kind, frozenset(widths.several_a_day()))

    def of_symbols(self, names: Collection[str]) -> Mask:
        """Which rows are bars of the symbols in `names`."""
        return np.isin(self.symbols, [at for at, name in enumerate(self.names) if name in names])

    def names_of(self, rows: Numbers) -> list[str]:
        """The symbols of `rows`, each once, in order."""
        return [self.names[at] for at in dict.fromkeys(self.symbols[rows].tolist())]

    def has(self, kind: int) -> bool:
        """Whether a bar is of this kind."""
        return bool(np.any(self.kinds[self.symbols >= 0] == kind))


def _pieces(tables: Iterable[pa.Table]) -> Iterator[list[pa.Table]]:
    """Consecutive tables of at least `_PIECE` rows together; the last piece may be smaller."""
    piece: list[pa.Table] = []
    for table in tables:
        piece.append(table)
        if sum(part.num_rows for part in piece) >= _PIECE:
            yield piece
            piece = []
    if piece:
        yield piece


def _kinds(names: list[str], widths: BarWidths, symbols: Numbers, times: Numbers, *numbers: Doubles) -> Numbers:
    """The kinds of a piece's rows by themselves; adds the rows to `widths`, which judges the whole file."""
    kinds = np.zeros(len(symbols), dtype=np.int64)
    good = np.flatnonzero(symbols >= 0)
    if not len(good):
        return kinds
    rows: Numbers | slice = slice(None)
    if len(good) < len(symbols) or not _in_order(symbols, times):
        rows = good[_order(symbols[good], times[good])]
    symbols, times = symbols[rows], times[rows]
    high, low, volume = (values[rows] for values in numbers)
    widths.add(pa.DictionaryArray.from_arrays(symbols.astype(np.int32), names), times, high > low)
    wide = wide_among_minutes(symbols, times, high, low, volume)
    kinds[rows] = np.where(wide > 1, wide, -stamps(symbols, times))
    return kinds


def _in_order(symbols: Numbers, times: Numbers) -> bool:
    """Whether rows are in order of symbols, and of time within each."""
    steps = np.diff(symbols)
    return bool(np.all((steps > 0) | ((steps == 0) & (np.diff(times) >= 0))))


def _order(symbols: Numbers, times: Numbers) -> Numbers:
    """The order by symbol and minute; most files are in order of one of the two."""
    if np.all(times[1:] >= times[:-1]) and symbols.max() < _SHORT:
        return np.argsort(symbols.astype(np.uint16), kind="stable")  # a radix sort, which is fast
    return np.argsort((symbols << 32) + times // 60_000_000, kind="stable")


def _block(table: pa.Table, known: dict[str, int]) -> tuple[Numbers | Doubles, ...]:
    """Symbols by their number in `known` (-1 where a row is no bar), times in µs, highest and lowest prices, and volumes."""
    columns = _columns(table)
    named = columns["symbol"].dictionary_encode()
    numbers = [known.setdefault(name, len(known)) for name in named.dictionary.to_pylist()]
    codes = np.append(numbers, -1).astype(np.int64)[pc.fill_null(named.indices, len(numbers)).to_numpy()]
    times = columns["timestamp"].cast(pa.int64())
    values = [columns[name].to_numpy(zero_copy_only=False) for name in _NUMBERS]  # NaN where there is none
    bad = ~np.isfinite(np.add.reduce(values))
    if times.null_count:
        bad |= times.is_null().to_numpy(zero_copy_only=False)
        times = times.fill_null(0)
    codes[bad] = -1
    return codes, times.to_numpy(), *values


def _columns(table: pa.Table) -> dict[str, pa.Array]:
    """Symbols, times (UTC where they have no zone) and numbers."""
    columns = {name: table[name].combine_chunks() for name in ("symbol", "timestamp", *_NUMBERS)}
    try:
        return {name: _cast(name, values) for name, values in columns.items()}
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        values = {name: table[name].combine_chunks() for name in PRICE.names}
        checked = check(PRICE, values, now(), _EARLIEST).table  # null where a value is bad
        return {name: checked[name].combine_chunks() for name in columns}


def _cast(name: str, values: pa.Array) -> pa.Array:
    if name == "timestamp":
        try:
            return values.cast(_TIME)
        except pa.ArrowInvalid:
            return values.cast(pa.timestamp("us")).cast(_TIME)
    return values.cast(pa.string() if name == "symbol" else pa.float64())
