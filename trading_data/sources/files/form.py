"""The form of a file, `FileForm`, made of the options of `trading-data import`, and the options to propose for a file.

Belongs here: mapping the file's columns to the dataset's. Does not: opening files (`read`), and converting values (`values`).
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from trading_data.datasets.declaration import Dataset
from trading_data.errors import BadInput

OWN_COLUMNS = ("tier", "batch_id")
"""Columns that the reader and the archive add to rows: an export has them, and an import ignores them."""
STEM = "{stem}"
"""In a value of `--set`, the name of the file without folder and suffix."""

_ALSO_CALLED: Mapping[str, tuple[str, ...]] = {
    "symbol": ("ticker", "sym", "instrument", "code", "contract"),
    "timestamp": (
        *("datetime", "date_time", "date_and_time", "dt", "ts", "time_stamp", "open_time", "opentime", "epoch", "unix"),
        *("t", "window_start", "ts_event", "timestamp_utc", "start", "start_time", "bar_start", "begin"),
        *("gmt_time", "local_time", "utc_time", "utc", "__index_level_0__", "index", ""),
    ),
    "open": ("o", "open_price", "first"),
    "high": ("h", "high_price", "max"),
    "low": ("l", "low_price", "min"),
    "close": ("c", "close_price", "last", "close/last"),
    "volume": ("v", "vol", "vol.", "tick_volume", "tickvol", "turnover"),
    "source": ("vendor", "provider", "feed", "exchange", "broker"),
    "order_id": ("orderid", "order", "order_no"),
    "execution_id": ("executionid", "exec_id", "execid", "trade_id", "tradeid", "fill_id"),
    "side": ("direction", "action", "buy/sell"),
    "quantity": ("qty", "size", "amount", "filled", "shares"),
    "price": ("fill_price", "avg_price", "average_price", "trade_price"),
    "commission": ("fee", "fees", "comm"),
    "metric_name": ("metric", "name"),
    "value": ("val", "reading"),
    "unit": ("units", "uom"),
}
"""Other names of a column, in lower case and with `_` for blanks."""
_SUPPLIED: Mapping[str, str] = {"symbol": STEM, "volume": "0", "source": "file", "strategy": "unknown", "unit": "1"}
"""Values to propose for all rows of a file that lacks a column."""
_DAY = re.compile(r"(?<!\d)(\d{4})[-_.]?(\d\d)[-_.]?(\d\d)(?!\d)", re.ASCII)


@dataclass(frozen=True)
class FileForm:
    """How a file writes the rows of a dataset; the default is an export of this project.

    Attributes:
        columns: the file's columns that make up a column of the dataset; several are joined by a blank, such as day and time.
        values: one value for every row of a column that the file lacks; `{stem}` stands for the name of the file.
        ignored: columns of the file to ignore.
        header: names of the columns of a CSV file without a header line.
        delimiter, decimal, thousands: characters of a CSV file; `thousands` is removed from numbers.
        epoch: the unit of times that are numbers: `s`, `ms`, `us` or `ns` since 1970 in UTC; `excel` for days since 1899-12-30,
            as spreadsheets count them, without a zone.
        zone: the IANA name of the zone of times without one.
        time_format: the format of times, for `strptime`.
        ends: times are the ends of minutes (09:31, or 09:30:59.999), not their starts.
        day: the day from whose midnight `epoch` counts, as in ISO 8601, or `{stem}` for the one in the name of the file.
        scale: prices are integers, this many times as large.
        abbreviated: volumes may end in K, M or B, for thousands, millions and billions.
        encoding: the encoding of a CSV file, as Python names it.
        skip: lines of a CSV file before the one with the names, or before the first row where `header` has the names.
        skip_odd: skip lines of a CSV file with another number of fields, such as a footer.
    """

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    header: tuple[str, ...] = ()
    delimiter: str = ","
    decimal: str = "."
    thousands: str = ""
    epoch: str | None = None
    zone: str | None = None
    time_format: str | None = None
    ends: bool = False
    day: str | None = None
    scale: int = 1
    abbreviated: bool = False
    encoding: str = "utf-8"
    skip: int = 0
    skip_odd: bool = False


AS_EXPORTED = FileForm()
"""A file as this project writes it."""


class WrongForm(BadInput):
    """A file is written in another way than its form says; `options` of `trading-data import` are proposed for it, if any are."""

    def __init__(self, message: str, options: Sequence[str] = ()) -> None:
        """`options` as above."""
        super().__init__(message)
        self.options = tuple(options)


def layout(dataset: Dataset, form: FileForm, names: Sequence[str], shown: str) -> dict[str, tuple[str, ...]]:
    """The file's columns that make up each column of the dataset; empty for a column with one value in every row.

    Upper case, blanks instead of `_` and surrounding blanks are ignored where only one column of the file matches.

    Raises:
        WrongForm: columns are missing, unknown, or duplicated.
        BadInput: the file holds an aggregate, or single trades or quotes.
    """
    parts = {column: _parts(form, column, names) for column in dataset.names}
    used = {name for part in parts.values() for name in part or ()}
    extra = form.ignored | ({*OWN_COLUMNS} - used)
    wrong = {
        "missing": [
            column for column, part in parts.items() if part is None or any(name not in names for name in part)
        ],
        "unknown": [name for name in dict.fromkeys(names) if name not in used and name not in extra],
        "more than once": [name for name in dict.fromkeys(names) if name in used and names.count(name) > 1],
    }
    if wrong["missing"] and "bucket" in names:
        raise BadInput(
            f"{shown} holds an aggregate, whose buckets are no {dataset.title}: export the {dataset.title} themselves by "
            f"`trading-data query {dataset.plural} … --interval raw`"
        )
    if {"open", "high", "low", "close"} <= {*wrong["missing"]} and _holds_ticks(names):
        raise BadInput(
            f"{shown} holds single trades or quotes, with one price a row, and only {dataset.title} are kept: make one-minute bars "
            'first, such as by `frame.resample("1min").ohlc()` in pandas'
        )
    if any(wrong.values()):
        listed = "; ".join(f"{fault}: {', '.join(map(repr, faulty))}" for fault, faulty in wrong.items() if faulty)
        raise WrongForm(
            f"{shown} does not have the columns of {dataset.title}: {listed}. "
            f"Expected, in any order: {', '.join(dataset.names)}{_hint(dataset, wrong['missing'], wrong['unknown'])}",
            options_for(dataset, form, names),
        )
    return {column: part or () for column, part in parts.items()}


def _hint(dataset: Dataset, missing: Sequence[str], names: Sequence[str]) -> str:
    """What to do about missing columns for which no option can be proposed, where `names` are unknown."""
    nameless = unknown(missing, names)
    if not nameless:
        return ". If the vendor reports no volume, it is 0" if "volume" in missing and not names else ""
    if len(nameless) > len(dataset.names) // 2:
        return ". The first line must have the names of the columns: remove the lines before it, or name the columns by `--header`"
    return f". Name the file's own column: {' '.join(f'`--column {column}=NAME`' for column in nameless)}"


def _parts(form: FileForm, column: str, names: Sequence[str]) -> tuple[str, ...] | None:
    """The file's columns for one of the dataset: empty where all rows have one value, None where none matches."""
    if column in form.values:
        return ()
    if column in form.columns:
        return form.columns[column]
    if column in names and column not in form.ignored:
        return (column,)
    taken = {name for part in form.columns.values() for name in part} | form.ignored
    alike = [name for name in dict.fromkeys(names) if _plain(name) == column and name not in taken]
    return (alike[0],) if len(alike) == 1 else None


def _holds_ticks(names: Sequence[str]) -> bool:
    """Whether a file that lacks the columns of bars has one time and one price a row."""
    plain = {*map(_plain, names)}
    return "price" in plain and ("timestamp" in plain or bool(_like("timestamp", names)))


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_")


def options_for(dataset: Dataset, form: FileForm, names: Sequence[str]) -> list[str]:
    """Options of `trading-data import` that may read a file with these columns; empty if one column cannot be matched.

    They are a proposal, for the user to check.
    """
    parts = {column: _parts(form, column, names) for column in dataset.names}
    used = {name for part in parts.values() for name in part or ()}
    free = [name for name in names if name not in used and name not in form.ignored and name not in OWN_COLUMNS]
    missing = [column for column, part in parts.items() if part is None]
    return [] if unknown(missing, free) else list(_proposals(missing, free))


def columns_for(dataset: Dataset, form: FileForm, names: Sequence[str], symbol: str) -> list[str]:
    """As `options_for`, for a file with one symbol."""
    if "symbol" not in dataset.column:
        return options_for(dataset, form, names)
    return ["--set", f"symbol={symbol}", *options_for(dataset, replace(form, values={"symbol": symbol}), names)]


def known_names(dataset: Dataset, names: Sequence[str]) -> set[str]:
    """The columns of the dataset that some of `names` resemble."""
    return {column for column in dataset.names if _like(column, names)}


def day_in(stem: str) -> date | None:
    """The only day in the name of a file, such as `20131007_trade` or `AAPL_2013-10-07`; None without one, or with several."""
    days = []
    for match in _DAY.finditer(stem):
        try:
            days.append(date(*map(int, match.groups())))
        except ValueError:
            continue
    return days[0] if len(days) == 1 else None


def unknown(missing: Iterable[str], names: Sequence[str]) -> list[str]:
    """The missing columns that no column of the file resembles, and for which no value can be proposed."""
    missing = list(missing)
    rest = {*names} - {name for column in missing for name in _like(column, names)}
    # A volume is only proposed where none of the file's columns can be one.
    supplied = {*_SUPPLIED} - ({"volume"} if rest else set())
    return [column for column in missing if column not in supplied and not _like(column, names)]


def _proposals(missing: Iterable[str], free: list[str]) -> Iterator[str]:
    """Options for the missing columns, then for the remaining columns of the file."""
    for column in missing:
        like = _like(column, free)
        if like:
            free = [name for name in free if name not in like]
            yield from ("--column", f"{column}={'+'.join(like)}")
        elif column in _SUPPLIED:
            yield from ("--set", f"{column}={_SUPPLIED[column]}")
    for name in dict.fromkeys(free):
        yield from ("--ignore", name)


def _like(column: str, free: Sequence[str]) -> list[str]:
    """The columns of the file that by their names are likely to make up one of the dataset."""
    by_name = {_plain(name).strip("<>"): name for name in reversed(free)}
    if column == "timestamp" and {"date", "time"} <= by_name.keys():
        return [by_name["date"], by_name["time"]]
    also = (*_ALSO_CALLED.get(column, ()), *(("date", "time") if column == "timestamp" else ()))
    return next(([by_name[name]] for name in (column, *also) if name in by_name), [])


def command(dataset: Dataset, files: Sequence[str], options: Sequence[str]) -> str:
    """The command that imports files with options, quoted for a shell."""
    return shlex.join(
        ["trading-data", "import", dataset.plural, *files, *(option.replace("\t", r"\t") for option in options)]
    )
