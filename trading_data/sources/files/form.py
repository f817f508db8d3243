"""How a file writes what a dataset wants: `FileForm`, made of the options of `trading-data import`.

Belongs here: which column of the file is which of the dataset, and which options would help. Does not: opening files
(`trading_data.sources.files.read`), and turning values into those of the dataset (`trading_data.sources.files.values`).
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from trading_data.datasets.declaration import Dataset
from trading_data.errors import BadInput

OWN_COLUMNS = ("tier", "batch_id")
"""Columns that the reader and the archive add to rows: an export has them, and an import passes them over."""
STEM = "{stem}"
"""In a value of `--set`: the name of the file without folder and suffix."""

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
"""Names by which files call a column, in small letters and with `_` for blanks."""
_SUPPLIED: Mapping[str, str] = {"symbol": STEM, "source": "file", "strategy": "unknown", "unit": "1"}
"""What is the same in all rows of a file that does not have it, as a proposal."""
_DELIMITERS = (";", "\t", "|")
_DATA_LIKE = re.compile(r"[-+.,:/\dTZ ]*\d[-+.,:/\dTZ ]*")
_BARS = ("timestamp", "open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class FileForm:
    """What a file's own way of writing is; the default is that of an export of this project.

    Attributes:
        columns: the file's columns that make up a column of the dataset; several are joined by a blank, such as day and time.
        values: what a column of the dataset has in every row, for one that the file does not have; `{stem}` stands for the
            name of the file.
        ignored: columns of the file to pass over.
        header: names of the columns of a CSV file that has no line with them.
        delimiter, decimal, thousands: letters of a CSV file; `thousands` is taken out of numbers.
        epoch: `s`, `ms`, `us` or `ns`: times that are numbers count these since 1970, in UTC. `excel`: they are days since
            1899-12-30, as spreadsheets count them, without a zone.
        zone: times without a zone are those of this zone, by its IANA name.
        time_format: how times are written, in the letters of `strptime`.
        ends: times are the ends of minutes, full or in their last second, and not their starts.
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


AS_EXPORTED = FileForm()
"""A file as this project writes it."""


class WrongColumns(BadInput):
    """A file does not have the columns of its dataset; `names` are those that it has."""

    def __init__(self, message: str, names: Sequence[str]) -> None:
        """Say which, and what the file has."""
        super().__init__(message)
        self.names = tuple(names)


def layout(dataset: Dataset, form: FileForm, names: Sequence[str], shown: str) -> dict[str, tuple[str, ...]]:
    """The file's columns that make up each column of the dataset; none for one that has the same value in every row.

    Names that differ only in capitals, in blanks for `_`, and in blanks about them are the same where that is no question.

    Raises:
        WrongColumns: columns are missing, unknown, or more than once there.
    """
    found = {column: _found(form, column, names) for column in dataset.names}
    used = {name for ours in found.values() for name in ours or ()}
    extra = form.ignored | ({*OWN_COLUMNS} - used)
    wrong = {
        "missing": [
            column for column, ours in found.items() if ours is None or any(name not in names for name in ours)
        ],
        "unknown": [name for name in dict.fromkeys(names) if name not in used and name not in extra],
        "more than once": [name for name in dict.fromkeys(names) if name in used and names.count(name) > 1],
    }
    if wrong["missing"] and "bucket" in names:
        raise BadInput(
            f"{shown} holds an aggregate, whose buckets are no {dataset.title}: export {dataset.title} themselves, with "
            f"`trading-data query {dataset.plural} … --interval raw`"
        )
    if {"open", "high", "low", "close"} <= {*wrong["missing"]} and _holds_ticks(names):
        raise BadInput(
            f"{shown} holds single trades or quotes, with one price a row, and {dataset.title} are what is kept: make bars of a "
            'minute first, such as with `frame.resample("1min").ohlc()` of pandas'
        )
    if any(wrong.values()):
        listed = "; ".join(f"{what}: {', '.join(map(repr, some))}" for what, some in wrong.items() if some)
        nameless = unknown(wrong["missing"], wrong["unknown"])
        raise WrongColumns(
            f"{shown} does not have the columns of {dataset.title}: {listed}. "
            f"Expected, in any order: {', '.join(dataset.names)}{_hint(dataset, nameless) if nameless else ''}",
            names,
        )
    return {column: ours or () for column, ours in found.items()}


def _hint(dataset: Dataset, nameless: Sequence[str]) -> str:
    """What to do about columns for which nothing can be proposed."""
    if len(nameless) > len(dataset.names) // 2:
        return ". The first line has to be that of the names: take away what is before it, or name the columns by `--header`"
    return f". Say what the file calls it: {' '.join(f'`--column {column}=NAME`' for column in nameless)}"


def _found(form: FileForm, column: str, names: Sequence[str]) -> tuple[str, ...] | None:
    """The file's columns for one of the dataset: none of them where all rows have one value, None where nothing is known."""
    if column in form.values:
        return ()
    if column in form.columns:
        return form.columns[column]
    if column in names and column not in form.ignored:
        return (column,)
    taken = {name for ours in form.columns.values() for name in ours} | form.ignored
    alike = [name for name in dict.fromkeys(names) if _plain(name) == column and name not in taken]
    return (alike[0],) if len(alike) == 1 else None


def _holds_ticks(names: Sequence[str]) -> bool:
    """Whether a file without bars has moments with one price each."""
    plain = {*map(_plain, names)}
    return "price" in plain and ("timestamp" in plain or bool(_like("timestamp", names)))


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_")


def options_for(dataset: Dataset, form: FileForm, names: Sequence[str]) -> list[str]:
    """Options of `trading-data import` by which a file with these columns could be read; none where nothing is known.

    They are a proposal: what a column means is for people to say. Where nothing is known of one, no proposal would do.
    """
    if len(names) == 1:
        letters = [letter for letter in _DELIMITERS if letter in names[0]]
        if letters:
            return ["--delimiter", letters[0]]
    if not form.header and len(names) >= len(_BARS) and sum(bool(_DATA_LIKE.fullmatch(name)) for name in names) > 3:
        return ["--header", ",".join([*_BARS, *(f"column{at}" for at in range(len(_BARS) + 1, len(names) + 1))])]
    known = {column: _found(form, column, names) for column in dataset.names}
    free = [name for name in names if name not in {our for ours in known.values() for our in ours or ()}]
    free = [name for name in free if name not in form.ignored and name not in OWN_COLUMNS]
    missing = [column for column, ours in known.items() if ours is None]
    return [] if unknown(missing, free) else list(_proposals(missing, free))


def unknown(missing: Iterable[str], names: Sequence[str]) -> list[str]:
    """The missing columns for which none of the file's is likely, and no value for all rows is known."""
    return [column for column in missing if column not in _SUPPLIED and not _like(column, names)]


def _proposals(missing: Iterable[str], free: list[str]) -> Iterator[str]:
    """Options for the columns that are missing, then for those of the file that are left."""
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
    """The columns of the file that are likely to be one of the dataset."""
    by_name = {_plain(name).strip("<>"): name for name in reversed(free)}
    if column == "timestamp" and {"date", "time"} <= by_name.keys():
        return [by_name["date"], by_name["time"]]
    also = (*_ALSO_CALLED.get(column, ()), *(("date", "time") if column == "timestamp" else ()))
    return next(([by_name[name]] for name in (column, *also) if name in by_name), [])


def command(dataset: Dataset, files: Sequence[str], options: Sequence[str]) -> str:
    """The command that imports files with options, fit for a shell."""
    return shlex.join(
        ["trading-data", "import", dataset.plural, *files, *(option.replace("\t", r"\t") for option in options)]
    )
