"""CSV and Parquet files as tables of one dataset, block by block: what `import` and the replay feed read.

Belongs here: opening and reading. Does not: which column is which (`file_form`), how a value is written (`file_values`),
whether values are good (`datasets.codec`) and where the rows go.
"""

import codecs
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any

import fsspec
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from trading_data.datasets.codec import type_fault
from trading_data.datasets.declaration import Dataset
from trading_data.errors import BadInput
from trading_data.settings import without_password
from trading_data.sources.files.form import AS_EXPORTED, STEM, FileForm, layout
from trading_data.sources.files.values import text_column, typed_column

SUFFIXES = (".csv", ".csv.gz", ".parquet")
_ROWS = 100_000
"""Rows of a table, at most (a few more only if the rows of a CSV file are next to empty)."""
_BLOCK_BYTES = 1 << 20
"""Bytes of CSV parsed at a time; a single row must fit into it. Arrow reads many of these ahead, so they are small."""
_HEAD_BYTES = 64 << 10
"""Bytes of CSV parsed to know its columns."""


def check_columns(dataset: Dataset, uri: str, form: FileForm = AS_EXPORTED) -> None:
    """See that the file at `uri` can be read and has the dataset's columns, all and no others; read no more than that.

    `form` says how the file writes what the dataset wants; the columns that an export adds to rows are passed over.

    Raises:
        BadInput: there is no such file, it is damaged or empty, its suffix is not known, or columns are nested or of another type.
        WrongColumns: columns are missing, unknown or doubled; the message names the file and the columns.
    """
    with _readable(uri):
        _layout(dataset, uri, form)


def read_table(dataset: Dataset, uri: str, form: FileForm = AS_EXPORTED) -> Iterator[pa.Table]:
    """The rows of a file in its own order, as tables of up to 100,000 rows with the dataset's columns in order.

    `uri` is a local path or any fsspec URI; its suffix (`.csv`, `.csv.gz`, `.parquet`) says what it is. A table of a
    file without rows is never handed out. Nothing is judged here, so that `datasets.codec.check` can give a reason for
    each bad row: values of a CSV file are text as written (binary where a block is not UTF-8), an empty field is the
    empty text. Columns of a Parquet file keep their types, but times are µs UTC where that loses nothing, else text
    (as are times without a zone, days and plain numbers in a time column); decimals are text in plain decimal.

    Raises:
        BadInput: as `check_columns`; for damage behind the first block after the blocks before it.
    """
    with _readable(uri):
        found = _layout(dataset, uri, form)
        used = list(dict.fromkeys(name for names in found.values() for name in names))
        with _open(uri) as file:
            if _is_parquet(uri):
                parquet = pq.ParquetFile(file, page_checksum_verification=True)
                for batch in parquet.iter_batches(_ROWS, columns=used):
                    if batch.num_rows:
                        yield _table(dataset, form, uri, found, [batch])
            else:
                with _csv(form, file, _BLOCK_BYTES, used) as reader:
                    for batches in _groups(reader):
                        yield _table(dataset, form, uri, found, batches)


class Rows:
    """The rows of a file, to go through more than once: kept in memory up to a limit, else read again each time."""

    def __init__(self, dataset: Dataset, uri: str, form: FileForm = AS_EXPORTED, *, most: int = 0) -> None:
        """Nothing is read yet; `most` are the rows that are kept."""
        self.dataset, self.uri, self.form, self._most = dataset, uri, form, most
        self._kept: list[pa.Table] | None = None

    def __iter__(self) -> Iterator[pa.Table]:
        """As `read_table`."""
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[pa.Table] = []
        rows = 0
        for table in read_table(self.dataset, self.uri, self.form):
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
    """Raise BadInput, naming the file, for whatever says that it cannot be read."""
    shown = without_password(uri)
    try:
        yield
    except FileNotFoundError:
        raise BadInput(f"there is no file {shown}") from None
    except ImportError as error:
        raise BadInput(f"{shown} cannot be opened: {error}; `pip install` what it names") from error
    except (pa.ArrowException, OSError, EOFError, ValueError, zlib.error) as error:
        # ValueError: a text that is not UTF-8 in the header, and fsspec's word for a protocol that it does not know.
        raise BadInput(f"{shown} cannot be read, it is damaged, empty or not what its name says: {error}") from error


def _open(uri: str) -> IO[bytes]:
    if not uri.lower().endswith(SUFFIXES):
        raise BadInput(f"{without_password(uri)}: only files ending in {', '.join(SUFFIXES)} can be read")
    opened: IO[bytes] = fsspec.open(uri, "rb", compression="gzip" if uri.lower().endswith(".gz") else None).open()
    return opened


def _layout(dataset: Dataset, uri: str, form: FileForm) -> dict[str, tuple[str, ...]]:
    """The file's columns for each of the dataset."""
    shown = without_password(uri)
    with _open(uri) as file:
        if _is_parquet(uri):
            schema = pq.ParquetFile(file).schema_arrow
            found = layout(dataset, form, schema.names, shown)
            nested = [
                f"{name} ({schema.field(name).type})"
                for names in found.values()
                for name in names
                if pa.types.is_nested(schema.field(name).type)
            ]
            if nested:
                raise BadInput(f"{shown}: {dataset.title} have one value a column, not {', '.join(nested)}")
            wrong = [
                reason.text
                for name, (one, *others) in found.items()
                if not others and (reason := type_fault(dataset.column[name], schema.field(one).type))
            ]
            if wrong:
                raise BadInput(f"{shown}: {'; '.join(wrong)}")
            return found
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise BadInput(f"{shown} is UTF-16: save it as UTF-8, such as with `iconv -f UTF-16 -t UTF-8`")
        file.seek(0)
        first = file.readline(_HEAD_BYTES).decode("utf-8-sig", "replace").strip()
        if first and form.delimiter not in first:
            layout(dataset, replace(form, header=()), [first], shown)  # refused, but for a file of a single column
        file.seek(0)
        with _csv(form, file, _HEAD_BYTES) as reader:
            return layout(dataset, form, reader.schema.names, shown)


def _csv(form: FileForm, file: IO[bytes], block: int, used: list[str] | None = None) -> Any:
    """A reader of all columns of a CSV file, or of the `used` ones."""
    return pacsv.open_csv(
        file,
        # With threads an error would not say which row it is about.
        read_options=pacsv.ReadOptions(block_size=block, use_threads=False, column_names=list(form.header) or None),
        parse_options=pacsv.ParseOptions(newlines_in_values=True, delimiter=form.delimiter),
        # Binary, not text: one row that is not UTF-8 would make the whole block unreadable.
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(used or (), pa.binary()), include_columns=used, strings_can_be_null=False
        ),
    )


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """As many batches together as make no more than `_ROWS` rows."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if held and sum(one.num_rows for one in held) + batch.num_rows > _ROWS:
            yield held
            held = []
        if batch.num_rows:
            held.append(batch)
    if held:
        yield held


def _table(
    dataset: Dataset, form: FileForm, uri: str, found: Mapping[str, tuple[str, ...]], batches: list[pa.RecordBatch]
) -> pa.Table:
    whole = pa.Table.from_batches(batches)
    convert = typed_column if _is_parquet(uri) else text_column
    columns = [
        convert(form, dataset.column[name], [whole[part].combine_chunks() for part in parts])
        if parts
        else pa.repeat(form.values[name].replace(STEM, stem(uri)), len(whole))
        for name, parts in found.items()
    ]
    return pa.Table.from_arrays(columns, names=list(dataset.names))


def stem(uri: str) -> str:
    """The name of a file without folder and suffix: `AAPL` of `s3://bars/AAPL.csv.gz`."""
    name = without_password(uri).rpartition("/")[2]
    return next((name[: -len(suffix)] for suffix in SUFFIXES if name.lower().endswith(suffix)), name)
