"""CSV and Parquet files as tables of one dataset, block by block: what `import` and the replay feed read.

Belongs here: opening, columns and types of files. Does not: whether the values are good (`datasets.codec`) and where
the rows go.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import fsspec
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from trading_data.datasets.declaration import Column, Dataset
from trading_data.errors import BadInput
from trading_data.settings import without_password

SUFFIXES = (".csv", ".csv.gz", ".parquet")
_ROWS = 100_000
"""Rows of a table, at most (a few more only if the rows of a CSV file are next to empty)."""
_BLOCK_BYTES = 1 << 20
"""Bytes of CSV parsed at a time; a single row must fit into it. Arrow reads many of these ahead, so they are small."""
_HEAD_BYTES = 64 << 10
"""Bytes of CSV parsed to know its columns."""


def check_columns(dataset: Dataset, uri: str) -> None:
    """See that the file at `uri` can be read and has the dataset's columns, all and no others; read no more than that.

    Raises:
        BadInput: there is no such file, it is damaged or empty, its suffix is not known, or columns are missing,
            unknown, doubled or nested; the message names the file and the columns.
    """
    with _readable(uri), _open(uri) as file:
        if _is_parquet(uri):
            _check_parquet(dataset, uri, pq.ParquetFile(file).schema_arrow)
        else:
            with _csv(dataset, file, _HEAD_BYTES) as reader:
                _check_names(dataset, uri, reader.schema.names)


def read_table(dataset: Dataset, uri: str) -> Iterator[pa.Table]:
    """The rows of a file in its own order, as tables of up to 100,000 rows with the dataset's columns in order.

    `uri` is a local path or any fsspec URI; its suffix (`.csv`, `.csv.gz`, `.parquet`) says what it is. A table of a
    file without rows is never handed out. Nothing is judged here, so that `datasets.codec.check` can give a reason for
    each bad row: values of a CSV file are text as written (binary where a block is not UTF-8), an empty field is the
    empty text. Columns of a Parquet file keep their types, but times are µs UTC where that loses nothing, else text
    (as are times without a zone, days and plain numbers in a time column); decimals are text in plain decimal.

    Raises:
        BadInput: as `check_columns`; for damage behind the first block after the blocks before it.
    """
    with _readable(uri), _open(uri) as file:
        if _is_parquet(uri):
            parquet = pq.ParquetFile(file, page_checksum_verification=True)
            _check_parquet(dataset, uri, parquet.schema_arrow)
            for batch in parquet.iter_batches(_ROWS, columns=list(dataset.names)):
                if batch.num_rows:
                    yield _table(dataset, [batch], _typed)
        else:
            with _csv(dataset, file, _BLOCK_BYTES) as reader:
                _check_names(dataset, uri, reader.schema.names)
                for batches in _groups(reader):
                    yield _table(dataset, batches, _text)


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


def _csv(dataset: Dataset, file: IO[bytes], block: int) -> Any:
    return pacsv.open_csv(
        file,
        # With threads an error would not say which row it is about.
        read_options=pacsv.ReadOptions(block_size=block, use_threads=False),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        # Binary, not text: one row that is not UTF-8 would make the whole block unreadable.
        convert_options=pacsv.ConvertOptions(
            column_types={name: pa.binary() for name in dataset.names}, strings_can_be_null=False
        ),
    )


def _check_parquet(dataset: Dataset, uri: str, schema: pa.Schema) -> None:
    _check_names(dataset, uri, schema.names)
    nested = [f"{field.name} ({field.type})" for field in schema if pa.types.is_nested(field.type)]
    if nested:
        raise BadInput(f"{without_password(uri)}: {dataset.title} have one value a column, not {', '.join(nested)}")


def _check_names(dataset: Dataset, uri: str, names: list[str]) -> None:
    missing = [name for name in dataset.names if name not in names]
    unknown = [name for name in dict.fromkeys(names) if name not in dataset.column]
    doubled = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if missing or unknown or doubled:
        wrong = (("missing", missing), ("unknown", unknown), ("more than once", doubled))
        listed = "; ".join(f"{what}: {', '.join(map(repr, found))}" for what, found in wrong if found)
        raise BadInput(
            f"{without_password(uri)} does not have the columns of {dataset.title}: {listed}. "
            f"Expected, in any order: {', '.join(dataset.names)}"
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
    dataset: Dataset, batches: list[pa.RecordBatch], convert: Callable[[Column, pa.Array], pa.Array]
) -> pa.Table:
    whole = pa.Table.from_batches(batches)
    columns = [convert(column, whole[column.name].combine_chunks()) for column in dataset.columns]
    return pa.Table.from_arrays(columns, names=list(dataset.names))


def _text(_: Column, values: pa.Array) -> pa.Array:
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        return values


def _typed(column: Column, values: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return values.cast(pa.string())
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return values.cast(pa.binary())
    if pa.types.is_decimal(kind):
        # Not left to Arrow, whose text of a small decimal has an exponent.
        return pa.array([None if value is None else format(value, "f") for value in values.to_pylist()], pa.string())
    if column.type != "time" or pa.types.is_string(kind) or pa.types.is_binary(kind):
        return values
    return _times(values)


def _times(values: pa.Array) -> pa.Array:
    kind = values.type
    if not pa.types.is_timestamp(kind):
        # A day has no zone, and a number does not say what it counts: as text the codec rejects both, with the value.
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())
    if kind.tz is None:
        return values.cast(pa.string())
    try:
        return values.cast(pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:  # finer than a microsecond, or outside the years that fit
        return values.cast(pa.timestamp(kind.unit, "UTC")).cast(pa.string())
