"""CSV and Parquet files as tables of one dataset, block by block: what `import` and the replay feed read.

Belongs here: opening and reading. Does not: mapping columns (`form`), converting values (`values`), judging them
(`datasets.codec`), and where the rows go.
"""

import codecs
import hashlib
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import IO, Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from trading_data.datasets.codec import type_fault
from trading_data.datasets.declaration import Dataset
from trading_data.errors import BadInput
from trading_data.settings import without_password
from trading_data.sources.files.form import AS_EXPORTED, STEM, FileForm, WrongForm, day_in, layout
from trading_data.sources.files.head import options_for_head
from trading_data.sources.files.values import WESTERN, text_column, typed_column

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".txt", ".txt.gz", ".zip")
_ROWS = 100_000
"""Most rows of a table (a few more only if the rows of a CSV file are almost empty)."""
_BLOCK_BYTES = 1 << 20
"""Bytes of CSV parsed at a time; a single row must fit. Blocks are small because Arrow reads many of them ahead."""
_HEAD_BYTES = 64 << 10
"""Bytes of CSV parsed to learn its columns."""
_ODD_LINE = re.compile(r"Expected \d+ columns, got \d+")
_DATABENTO_TIME, _DATABENTO_TYPE = "ts_event", "rtype"
_DATABENTO_PRICES = ["open", "high", "low", "close"]
_DATABENTO_LEAST = 10**8
"""Integer prices from here on are Databento's even where the file has no `rtype`: this is a price of 0.1."""


def check_columns(dataset: Dataset, uri: str, form: FileForm = AS_EXPORTED) -> None:
    """Check that the file at `uri` can be read and has all columns of the dataset and no others; reads only its head.

    `form` maps the file's columns to the dataset's; the columns that an export adds to rows are ignored.

    Raises:
        BadInput: the file is missing, damaged or empty, its suffix is unknown, columns are nested or of another type, or
            prices are Databento's integers of 1e-9.
        WrongForm: columns are missing, unknown or duplicated, or a line has another number of fields; the message says which.
    """
    with _readable(uri):
        _layout(dataset, uri, form)


def read_table(
    dataset: Dataset, uri: str, form: FileForm = AS_EXPORTED, on_odd: Callable[[str], None] = lambda _: None
) -> Iterator[pa.Table]:
    """The rows of a file in file order, as tables of up to 100,000 rows with the dataset's columns in order.

    `uri` is a local path or any fsspec URI; its suffix decides the format: Parquet, or CSV, also in gzip or as the only CSV
    file of a zip. A file without rows yields no table. `on_odd` is called with each line that `form.skip_odd` skips.
    Values are not judged here, so that `datasets.codec.check` can give a reason for each bad row:
    values of a CSV file are text as written (binary where a block is not UTF-8), and an empty field is the empty text.
    Columns of a Parquet file keep their types, but times are µs UTC where that loses nothing, else text (as are times
    without a zone, days and plain numbers in a time column); decimals are text in plain decimal.

    Raises:
        BadInput: as `check_columns`; damage behind the first block is raised after the blocks before it.
    """
    if form.day == STEM:
        form = replace(form, day=_day_of(uri))
    with _readable(uri):
        parts = _layout(dataset, uri, form)
        used = list(dict.fromkeys(name for names in parts.values() for name in names))
        with _open(uri) as file:
            if _is_parquet(uri):
                parquet = pq.ParquetFile(file, page_checksum_verification=True)
                for batch in parquet.iter_batches(_ROWS, columns=used):
                    if batch.num_rows:
                        yield _table(dataset, form, uri, parts, [batch])
            else:
                with _csv(form, file, _BLOCK_BYTES, used, on_odd) as reader:
                    for batches in _groups(reader):
                        yield _table(dataset, form, uri, parts, batches)


def digest_of(uri: str) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal. Raises BadInput if the file cannot be read."""
    digest = hashlib.sha256()
    with _readable(uri), fsspec.open(uri, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


class Rows:
    """The rows of a file, for several passes: kept in memory up to a limit, else read again for each pass."""

    def __init__(self, dataset: Dataset, uri: str, form: FileForm = AS_EXPORTED, *, most: int = 0) -> None:
        """Reads nothing yet; a file of up to `most` rows is kept in memory."""
        self.dataset, self.uri, self.form, self._most = dataset, uri, form, most
        self._kept: list[pa.Table] | None = None
        self.odd: list[str] = []
        """The lines that the last complete reading skipped."""

    def __iter__(self) -> Iterator[pa.Table]:
        """As `read_table`."""
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[pa.Table] = []
        rows = 0
        self.odd.clear()
        for table in read_table(self.dataset, self.uri, self.form, self.odd.append):
            rows += table.num_rows
            if rows <= self._most:
                kept.append(table)
            yield table
        if rows <= self._most:
            self._kept = kept


def _is_parquet(uri: str) -> bool:
    return uri.lower().endswith(".parquet")


@contextmanager
def _readable(uri: str) -> Iterator[None]:
    """Turn every error of reading into a BadInput that names the file."""
    shown = without_password(uri)
    try:
        yield
    except FileNotFoundError:
        raise BadInput(f"there is no file {shown}") from None
    except ImportError as error:
        raise BadInput(f"{shown} cannot be opened: {error}; `pip install` the package it names") from error
    except (pa.ArrowException, OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        # ValueError: a header that is not UTF-8, and fsspec's error for an unknown protocol.
        text = f"{shown} cannot be read: it is damaged, empty, or in another format than its name suggests: {error}"
        raise WrongForm(text, ["--skip-odd"] if _ODD_LINE.search(str(error)) else []) from error


def _open(uri: str) -> IO[bytes]:
    name = uri.lower()
    if not name.endswith(SUFFIXES):
        raise BadInput(f"{without_password(uri)}: only files ending in {', '.join(SUFFIXES)} can be read")
    opened: IO[bytes] = fsspec.open(uri, "rb", compression="gzip" if name.endswith(".gz") else None).open()
    return _only_member(opened, without_password(uri)) if name.endswith(".zip") else opened


def _only_member(opened: IO[bytes], shown: str) -> IO[bytes]:
    """The CSV file in a zip; vendors add a report of their own as a text file."""
    packed = zipfile.ZipFile(opened)
    names = [name for name in packed.namelist() if not name.endswith("/")]
    tables = [name for name in names if name.lower().endswith(".csv")] or names
    if len(tables) != 1:
        raise BadInput(f"{shown} holds {len(tables)} files: unpack it, and import the files")
    return packed.open(tables[0])


def _day_of(uri: str) -> str:
    day = day_in(stem(uri))
    if day is None:
        raise BadInput(
            f"the name of {without_password(uri)} has not exactly one day, such as 20261120: give `--day 2026-11-20`"
        )
    return day.isoformat()


def _layout(dataset: Dataset, uri: str, form: FileForm) -> dict[str, tuple[str, ...]]:
    """The file's columns for each column of the dataset."""
    shown = without_password(uri)
    with _open(uri) as file:
        return (
            _parquet_layout(dataset, file, form, shown) if _is_parquet(uri) else _csv_layout(dataset, file, form, uri)
        )


def _parquet_layout(dataset: Dataset, file: IO[bytes], form: FileForm, shown: str) -> dict[str, tuple[str, ...]]:
    parquet = pq.ParquetFile(file)
    schema = parquet.schema_arrow
    if _is_databento(schema) and form.scale == 1:
        for batch in parquet.iter_batches(_ROWS, columns=_DATABENTO_PRICES):
            _refuse_fixed_point(schema, batch, shown)
            break
    parts = layout(dataset, form, schema.names, shown)
    nested = [
        f"{name} ({schema.field(name).type})"
        for names in parts.values()
        for name in names
        if pa.types.is_nested(schema.field(name).type)
    ]
    if nested:
        raise BadInput(f"{shown}: a column of {dataset.title} holds one value a row, not {', '.join(nested)}")
    wrong = [
        reason.text
        for column, names in parts.items()
        if len(names) == 1 and (reason := type_fault(dataset.column[column], schema.field(names[0]).type))
    ]
    if wrong:
        raise BadInput(f"{shown}: {'; '.join(wrong)}")
    return parts


def _csv_layout(dataset: Dataset, file: IO[bytes], form: FileForm, uri: str) -> dict[str, tuple[str, ...]]:
    shown = without_password(uri)
    head = file.read(_HEAD_BYTES)
    if form.encoding == "utf-8" and head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise WrongForm(f"{shown} is UTF-16: save it as UTF-8, or name its encoding", ["--encoding", "utf-16"])
    encoding = "utf-8-sig" if form.encoding == "utf-8" else form.encoding
    lines = codecs.getincrementaldecoder(encoding)(errors="replace").decode(head).splitlines()
    first = lines[form.skip].strip() if len(lines) > form.skip else ""
    if "\ufffd" in first and form.encoding == "utf-8":
        raise WrongForm(f"{shown}: the names of its columns are not UTF-8: {first!r:.120}", ["--encoding", WESTERN])
    if len(first) > 2 and first[0] == first[-1] == '"' and first.count('"') == 2 and form.delimiter in first:
        raise BadInput(f"{shown}: each line is a single text in quotes: remove them, such as by `sed 's/\"//g'`")
    proposed = options_for_head(dataset, form, lines, stem(uri)) if lines else []
    try:
        if first and form.delimiter not in first:
            layout(dataset, replace(form, header=()), [first], shown)  # raises, unless the file has a single column
        file.seek(0)
        with _csv(form, file, _HEAD_BYTES) as reader:
            names = reader.schema.names
            if _is_databento(reader.schema) and form.scale == 1:
                _refuse_fixed_point(reader.schema, reader.read_next_batch(), shown)
        return layout(dataset, form, names, shown)
    except WrongForm as error:
        raise WrongForm(str(error), error.options if "--scale" in error.options else proposed) from error
    except pa.ArrowInvalid as error:
        if not {"--skip", "--delimiter", "--header"} & {*proposed}:
            raise
        raise WrongForm(f"{shown}: its lines do not have one number of fields: {error}", proposed) from error


def _is_databento(schema: pa.Schema) -> bool:
    """Whether columns are named as Databento names bars, and the prices are integers."""
    if any(schema.names.count(name) != 1 for name in (_DATABENTO_TIME, *_DATABENTO_PRICES)):
        return False
    return all(pa.types.is_integer(schema.field(name).type) for name in _DATABENTO_PRICES)


def _refuse_fixed_point(schema: pa.Schema, head: pa.RecordBatch, shown: str) -> None:
    """Raise BadInput where the integer prices of a file's first rows are Databento's, in units of 1e-9."""
    prices = [pc.min(head.column(name)).as_py() for name in _DATABENTO_PRICES]
    if None in prices or not (_DATABENTO_TYPE in schema.names or min(prices) >= _DATABENTO_LEAST):
        return
    price = Decimal(prices[0]).scaleb(-9).normalize()
    raise WrongForm(
        f"{shown} has Databento's raw prices, integers in units of 1e-9 ({prices[0]} for {price:f}), "
        "which would be taken a billion times too large. Write the file with decimal prices by Databento's library: "
        '`store.to_csv(path, pretty_px=True)` or `store.to_parquet(path, price_type="float")`; a batch download has the option '
        "`pretty_px`; or read the integers",
        ["--scale", "1000000000"],
    )


def _csv(
    form: FileForm,
    file: IO[bytes],
    block: int,
    used: list[str] | None = None,
    on_odd: Callable[[str], None] = lambda _: None,
) -> Any:
    """A reader of the `used` columns of a CSV file as binary; of all columns, with inferred types, where None are named."""

    def skip(line: pacsv.InvalidRow) -> str:
        on_odd(line.text)
        return "skip"

    return pacsv.open_csv(
        file,
        # With threads an error would not name its row.
        read_options=pacsv.ReadOptions(
            block_size=block,
            use_threads=False,
            column_names=list(form.header) or None,
            skip_rows=form.skip,
            encoding=form.encoding,
        ),
        parse_options=pacsv.ParseOptions(
            newlines_in_values=True, delimiter=form.delimiter, invalid_row_handler=skip if form.skip_odd else None
        ),
        # Binary, not text: one row that is not UTF-8 would make its whole block unreadable.
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(used or (), pa.binary()), include_columns=used, strings_can_be_null=False
        ),
    )


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Consecutive batches, as many together as fit into `_ROWS` rows."""
    group: list[pa.RecordBatch] = []
    for batch in batches:
        if group and sum(other.num_rows for other in group) + batch.num_rows > _ROWS:
            yield group
            group = []
        if batch.num_rows:
            group.append(batch)
    if group:
        yield group


def _table(
    dataset: Dataset, form: FileForm, uri: str, parts: Mapping[str, tuple[str, ...]], batches: list[pa.RecordBatch]
) -> pa.Table:
    """Batches of the file as one table with the dataset's columns."""
    raw = pa.Table.from_batches(batches)
    convert = typed_column if _is_parquet(uri) else text_column
    columns = [
        convert(form, dataset.column[column], [raw[name].combine_chunks() for name in names])
        if names
        else pa.repeat(form.values[column].replace(STEM, stem(uri)), len(raw))
        for column, names in parts.items()
    ]
    return pa.Table.from_arrays(columns, names=list(dataset.names))


def stem(uri: str) -> str:
    """The name of a file without folder and suffix: `AAPL` of `s3://bars/AAPL.csv.gz`."""
    name = without_password(uri).rpartition("/")[2]
    suffixes = sorted([*SUFFIXES, ".csv.zip"], key=len, reverse=True)
    return next((name[: -len(suffix)] for suffix in suffixes if name.lower().endswith(suffix)), name)
