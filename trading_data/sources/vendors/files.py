"""CSV and Parquet files as a vendor of history: `FilesVendor`.

Belongs here: finding files, and choosing rows by symbol and time. Does not: reading files
(`trading_data.sources.files.read`) and the rules for values (`datasets.codec`).
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets import PRICE
from trading_data.datasets.codec import check
from trading_data.errors import BadInput, VendorRefused
from trading_data.settings import without_password
from trading_data.sources.files.bars import check_minutes
from trading_data.sources.files.read import check_columns, read_table
from trading_data.times import now, utc

_SHOWN = 10
"""Most bad rows of a file that a message lists."""
_EARLIEST = datetime.min.replace(tzinfo=UTC)
"""The requested range decides what is too early."""
_SUFFIXES = (".csv", ".csv.gz", ".parquet")
"""Files of a folder that are read; a text file may be a note."""


class FilesVendor:
    """Bars from CSV and Parquet files under a path or any fsspec URI. See `Vendor`.

    Each call reads every file from its beginning, so request a long range at once rather than day by day. The columns must be
    exactly those of a bar; `source` is the files' own. Rows of other symbols and times are skipped; a bad row in the range, or
    one whose symbol or time cannot be read, is refused with its number. `trading-data import` loads files with bad rows, and
    quarantines these.
    """

    def __init__(self, uri: str) -> None:
        """`uri` is one file, a folder (all CSV and Parquet files below it) or a glob; it is opened by `bars`."""
        self._uri = uri
        self._minutes: set[str] = set()

    def __repr__(self) -> str:
        """Without a password."""
        return f"FilesVendor({without_password(self._uri)})"

    @property
    def name(self) -> str:
        """`files`, in messages; each row keeps its own `source`."""
        return "files"

    def bars(self, symbols: Sequence[str], start: datetime, end: datetime) -> Iterator[pa.Table]:
        """As `Vendor.bars`; tables of up to 100,000 rows, in the order of the files' names and of their rows."""
        return self._rows(pa.array(list(symbols), pa.string()), utc(start, "start"), utc(end, "end"))

    def close(self) -> None:
        """Nothing is open between two calls."""

    def _rows(self, symbols: pa.Array, start: datetime, end: datetime) -> Iterator[pa.Table]:
        try:
            files = find_files(self._uri)
            for file in files:
                check_columns(PRICE, file)
                if file not in self._minutes:
                    check_minutes(file)
                    self._minutes.add(file)
            for file in files:
                row = 0
                for table in read_table(PRICE, file):
                    chosen = _chosen(file, row, table, symbols, start, end)
                    row += table.num_rows
                    if chosen.num_rows:
                        yield chosen
        except BadInput as error:
            raise VendorRefused(str(error)) from error


def find_files(uri: str) -> list[str]:
    """The URIs of the CSV and Parquet files that `uri` means (a file, a folder, a glob), sorted.

    Raises:
        BadInput: there is none, or the folder cannot be listed.
    """
    shown = without_password(uri)
    try:
        system, path = fsspec.core.url_to_fs(uri)
        if any(letter in path for letter in "*?["):
            paths = system.glob(path)
        else:
            paths = system.find(path) if system.isdir(path) else [path]
    except ImportError as error:
        raise BadInput(f"{shown} cannot be opened: {error}; `pip install` the package it names") from error
    except (OSError, ValueError) as error:
        raise BadInput(f"{shown} cannot be listed: {error}") from error
    # A listing has neither protocol nor host, nor the archive around a file: take them from around the path in the URI.
    before, _, after = uri.partition(path) if path in uri else ("", "", "")
    after = after if after.startswith("::") else ""
    files = sorted(before + name + after for name in paths if name.lower().endswith(_SUFFIXES))
    if not files:
        raise BadInput(f"{shown} has no files ending in {', '.join(_SUFFIXES)}")
    return files


def _chosen(file: str, row: int, table: pa.Table, symbols: pa.Array, start: datetime, end: datetime) -> pa.Table:
    """The requested rows of a table whose first row is number `row` of the file, from zero."""
    checked = check(PRICE, {name: table[name].combine_chunks() for name in PRICE.names}, now(), _EARLIEST)
    begin, symbol = checked.table["timestamp"], checked.table["symbol"]
    inside = pc.and_(pc.greater_equal(begin, start), pc.less(begin, end))
    nameless = pc.or_kleene(pc.is_null(symbol), pc.equal(pc.utf8_trim_whitespace(symbol), ""))
    named = pc.if_else(nameless, None, pc.is_in(symbol, symbols))
    # Null where there is no symbol or no time: such a row may be a requested one.
    maybe = pc.fill_null(pc.and_kleene(named, inside), True)
    bad = [at for at in sorted(checked.bad) if maybe[at].as_py()]
    if bad:
        listed = "; ".join(f"row {row + at + 1}: {checked.bad[at].text}" for at in bad[:_SHOWN])
        more = f"; and {len(bad) - _SHOWN:,} more" if len(bad) > _SHOWN else ""
        raise VendorRefused(
            f"{without_password(file)} has bad rows ({listed}{more}): correct them, or load the file by `trading-data import`"
        )
    return checked.table.filter(maybe)
