"""`trading-data query`: reads of both tiers.

Belongs here: options and formats. Does not: reading (`reader.market_data`).
"""

import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, BinaryIO, TypeVar

import click
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from rich.cells import cell_len

from trading_data.archive.database import Archive
from trading_data.cli.servers import settings_of_running
from trading_data.datasets import EVERY_PLURAL, TABLES, dataset_named
from trading_data.datasets.codec import plain
from trading_data.datasets.declaration import Dataset
from trading_data.live.connection import connect_for_archiver
from trading_data.printable import printable
from trading_data.reader.market_data import MarketData
from trading_data.reader.names import near, unknown
from trading_data.settings import Settings
from trading_data.times import DAY, now, utc

_Table = TypeVar("_Table", pd.DataFrame, pa.Table)
_INTERVALS = tuple(dict.fromkeys(name for dataset in TABLES.values() for name in dataset.intervals))
_WINDOW, _WINDOW_ROWS = timedelta(days=366), 200_000
"""The largest window of a streamed query. It limits memory to about 100 MB for any range."""


@click.command("query")
@click.argument("dataset", type=click.Choice(EVERY_PLURAL))
@click.argument("subjects", nargs=-1)
@click.option(
    "--start", help="ISO 8601 with a zone, or a day (midnight UTC); inclusive. Default: 24 hours before the end."
)
@click.option("--end", help="The same; exclusive. Default: now.")
@click.option("--interval", type=click.Choice(_INTERVALS), default="raw", show_default=True)
@click.option("--format", "form", type=click.Choice(["table", "csv", "parquet"]), default="table", show_default=True)
@click.option(
    "--session", metavar="EXCHANGE", help="Only rows within the regular sessions of this exchange, such as XNYS."
)
@click.option(
    "--partial", is_flag=True, help="If a tier does not answer, print the rest, and what is missing on standard error."
)
def query_command(form: str, **query: Any) -> None:
    """Print rows of SUBJECTS (symbols, or metric names; default: all) from both tiers, one row per key.

    Tables and CSV are text; Parquet is binary, and needs a redirect into a file. CSV and Parquet are streamed in windows of
    time, so any range fits in memory; rows are sorted by subject and time within each window.

    A subject without any row is reported on standard error, with subjects of similar names. Exit code 1 if no SUBJECT has a
    row.
    """
    if form == "parquet" and sys.stdout.isatty():
        raise click.UsageError("Parquet is binary: redirect it into a file, `… --format parquet > rows.parquet`")
    subjects, settings = query["subjects"], settings_of_running()
    query["subjects"] = subjects or None
    notes: dict[str, None] = {}
    _complete_range(query, notes)
    reader = MarketData.from_settings(settings)
    seen: set[str] = set()
    dataset = dataset_named(query["dataset"])
    column = dataset.about
    if form == "table":
        frame = reader.read(**query)
        click.echo(frame_text(frame) if len(frame) else "no rows")
        seen.update(frame[column])
        missing = frame.attrs["missing"]
        notes |= dict.fromkeys(frame.attrs["notes"])
    elif form == "csv":
        frames = reader.stream(**query, chunk=_WINDOW, rows=_WINDOW_ROWS)
        with_notes = _collect_notes(frames, notes, lambda frame: frame.attrs["notes"])
        missing = write_csv(_collect_subjects(with_notes, seen, column), sys.stdout.buffer)
    else:
        arrow_tables = reader.stream(**query, chunk=_WINDOW, rows=_WINDOW_ROWS, format="arrow")
        with_notes = _collect_notes(arrow_tables, notes, lambda table: json.loads(table.schema.metadata[b"notes"]))
        missing = write_parquet(_collect_subjects(with_notes, seen, column), sys.stdout.buffer)
    for text in missing:
        click.echo(f"missing: {text}", err=True)
    for text in notes:
        click.echo(f"note: {text}", err=True)
    if not missing and _report_unknown(settings, reader, dataset, set(subjects), seen):
        sys.exit(1)


def _complete_range(query: dict[str, Any], notes: dict[str, None]) -> None:
    """Set the missing start or end, and add a note with the range used."""
    if query["start"] is not None and query["end"] is not None:
        return
    query["end"] = now() if query["end"] is None else utc(query["end"], "end")
    query["start"] = query["end"] - DAY if query["start"] is None else utc(query["start"], "start")
    used = " to ".join(f"{query[edge]:%Y-%m-%dT%H:%M:%SZ}" for edge in ("start", "end"))
    notes[f"rows from {used}; `--start` and `--end` choose others"] = None


def _report_unknown(
    settings: Settings, reader: MarketData, dataset: Dataset, subjects: set[str], seen: set[str]
) -> bool:
    """Report the subjects without any row in either tier; returns whether that is all of them."""
    without_rows = unknown(reader, dataset, subjects - seen)
    if not without_rows:
        return False
    client, archive = connect_for_archiver(settings.require_redis_url()), Archive(settings.require_timescale_url())
    for subject in without_rows:
        similar = near(client, archive, dataset, subject)
        hint = f"; there are {', '.join(map(printable, similar))}" if similar else ""
        click.echo(f"{dataset.plural}: there is no row of {printable(subject)}{hint}", err=True)
    return len(without_rows) == len(subjects)


def _collect_subjects(frames: Iterator[_Table], seen: set[str], column: str) -> Iterator[_Table]:
    """Pass the frames on unchanged, and add their subjects to `seen`."""
    for frame in frames:
        values = frame[column].unique()
        seen.update(values.to_pylist() if isinstance(values, pa.Array) else values)
        yield frame


def _collect_notes(
    frames: Iterator[_Table], notes: dict[str, None], notes_of: Callable[[_Table], Iterable[str]]
) -> Iterator[_Table]:
    """Pass the frames on unchanged, and add their notes to `notes`."""
    for frame in frames:
        notes |= dict.fromkeys(notes_of(frame))
        yield frame


def write_csv(frames: Iterator[pd.DataFrame], sink: BinaryIO) -> list[str]:
    """Write frames as one CSV with a header: times as ISO 8601 with microseconds and `Z`, exact numbers in plain decimal.

    Returns:
        What is missing, without repetitions.
    """
    missing: dict[str, None] = {}
    for number, frame in enumerate(frames):
        missing |= dict.fromkeys(frame.attrs["missing"])
        if number == 0:
            sink.write(f"{','.join(frame.columns)}\n".encode())
        sink.write(_csv_lines(pa.table({name: _csv_column(frame[name]) for name in frame})))
    sink.flush()
    return list(missing)


def write_parquet(tables: Iterator[pa.Table], sink: BinaryIO) -> list[str]:
    """Write tables as one Parquet file; what is missing is returned, and stored as JSON in the metadata `missing`.

    If reading a table fails, the file stays without its footer, so that no program takes it for complete.
    """
    missing: dict[str, None] = {}
    first = next(tables)
    out = _BreakableSink(sink)
    with pq.ParquetWriter(out, first.schema.remove_metadata()) as writer:
        try:
            for table in chain([first], tables):
                missing |= dict.fromkeys(json.loads(table.schema.metadata[b"missing"]))
                writer.write_table(table.replace_schema_metadata(None))
            writer.add_key_value_metadata({"missing": json.dumps(list(missing))})
        except BaseException:
            out.broken = True  # before the writer closes and writes the footer
            raise
    sink.flush()
    return list(missing)


class _BreakableSink(io.RawIOBase):
    """A sink that discards everything written once it is marked as broken."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink, self._at = sink, 0
        self.broken = False

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        if not self.broken:
            self._sink.write(data)
        self._at += len(data)
        return len(data)


def _csv_lines(table: pa.Table) -> pa.Buffer:
    """CSV lines. Quoting is on only if a text needs it, because Arrow then quotes every text."""
    texts = [
        column for column in table.columns if pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    ]
    special = any(pc.any(pc.match_substring_regex(text, '^$|[",\r\n]')).as_py() for text in texts)
    lines = pa.BufferOutputStream()
    form = pa.csv.WriteOptions(include_header=False, quoting_style="needed" if special else "none")
    pa.csv.write_csv(table, lines, form)
    return lines.getvalue()


def _csv_column(column: pd.Series) -> pa.Array:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return pc.strftime(pa.array(column), format="%Y-%m-%dT%H:%M:%SZ")
    exact = column.dtype == object
    return pa.array([format(number, "f") for number in column], pa.string()) if exact else pa.array(column)


def frame_text(frame: pd.DataFrame) -> str:
    """A frame as text for people: all rows and columns without the index, the column names in the first line.

    A number is the shortest decimal that reads back as the same value, without exponent and never rounded; decimal points are
    aligned. Times are ISO 8601 with a blank between day and time. A missing value is `None`, `NaN` or `NaT`. Texts are untrusted,
    so control characters are escaped.
    """
    columns = [_column(str(name), frame[name].tolist()) for name in frame]
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*columns, strict=True))


def _column(name: str, values: Sequence[object]) -> list[str]:
    """The name and the cells of a column, padded to the same width."""
    numbers = any(_is_number(value) for value in values)
    cells = list(map(_cell, values))
    if numbers:
        decimals = [len(text) - text.find(".") if "." in text else 0 for text in cells]
        widest = max(decimals)
        cells = [text + " " * (widest - length) for text, length in zip(cells, decimals, strict=True)]
    texts = [printable(name), *cells]
    widths = [len(text) if text.isascii() else cell_len(text) for text in texts]
    widest = max(widths)
    pads = [" " * (widest - width) for width in widths]
    return [pad + text if numbers else text + pad for text, pad in zip(texts, pads, strict=True)]


def _is_number(value: object) -> bool:
    return not isinstance(value, str | bool | datetime) and value is not None and value is not pd.NaT


def _cell(value: object) -> str:
    if value is None or value is pd.NaT:
        return str(value)
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else plain(value).removesuffix(".0")
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return printable(plain(value))
