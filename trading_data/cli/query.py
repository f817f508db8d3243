"""`trading-data query`: a combined recent and historical read.

Belongs here: options and formats. Does not: reading (`reader.market_data`).
"""

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import chain
from typing import Any, BinaryIO, TypeVar

import click
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from trading_data.archive.database import Archive
from trading_data.cli.frame_text import frame_text
from trading_data.cli.servers import settings_of_running
from trading_data.datasets import EVERY_PLURAL, TABLES, dataset_named
from trading_data.datasets.declaration import Dataset
from trading_data.live.connection import connect_for_archiver
from trading_data.printable import printable
from trading_data.reader.known import near, unknown
from trading_data.reader.market_data import MarketData
from trading_data.settings import Settings
from trading_data.times import DAY, now, utc

_Table = TypeVar("_Table", pd.DataFrame, pa.Table)
_INTERVALS = tuple(dict.fromkeys(name for dataset in TABLES.values() for name in dataset.intervals))
_WIDEST, _MOST = timedelta(days=366), 200_000
"""A window of a query: what it holds in memory whatever the range, about 100 MB."""


@click.command("query")
@click.argument("dataset", type=click.Choice(EVERY_PLURAL))
@click.argument("subjects", nargs=-1)
@click.option(
    "--start", help="ISO 8601 with a zone, or a day (midnight UTC); included. Without it: 24 hours before the end."
)
@click.option("--end", help="The same; not included. Without it: now.")
@click.option("--interval", type=click.Choice(_INTERVALS), default="raw", show_default=True)
@click.option("--format", "form", type=click.Choice(["table", "csv", "parquet"]), default="table", show_default=True)
@click.option("--session", metavar="EXCHANGE", help="Only rows within a regular session of it, such as XNYS.")
@click.option(
    "--partial", is_flag=True, help="Answer without a tier that is away, and say on standard error what is missing."
)
def command(form: str, **question: Any) -> None:
    """Rows of SUBJECTS (symbols, or metric names; none for all), one a key, from both tiers.

    Tables and CSV are text on standard output; Parquet is bytes, to be sent into a file. CSV and Parquet are written as
    they are read, in windows of time, however long the range; within a window rows are sorted by subject and time.

    A subject of which there is no row at all is told on standard error, with those that are named alike. Exit code 1 if
    there is none of all SUBJECTS.
    """
    if form == "parquet" and sys.stdout.isatty():
        raise click.UsageError("Parquet is bytes: send it into a file, `… --format parquet > rows.parquet`")
    named, settings = question["subjects"], settings_of_running()
    question["subjects"] = named or None
    notes: dict[str, None] = {}
    _fill_range(question, notes)
    reader = MarketData.from_settings(settings)
    seen: set[str] = set()
    column = dataset_named(question["dataset"]).about
    if form == "table":
        frame = reader.read(**question)
        click.echo(frame_text(frame) if len(frame) else "no rows")
        seen.update(frame[column])
        missing = frame.attrs["missing"]
        notes |= dict.fromkeys(frame.attrs["notes"])
    elif form == "csv":
        frames = reader.stream(**question, chunk=_WIDEST, rows=_MOST)
        noting = _noting(frames, notes, lambda one: one.attrs["notes"])
        missing = write_csv(_seeing(noting, seen, column), sys.stdout.buffer)
    else:
        tables = reader.stream(**question, chunk=_WIDEST, rows=_MOST, format="arrow")
        noted = _noting(tables, notes, lambda one: json.loads(one.schema.metadata[b"notes"]))
        missing = write_parquet(_seeing(noted, seen, column), sys.stdout.buffer)
    for text in missing:
        click.echo(f"missing: {text}", err=True)
    for text in notes:
        click.echo(f"note: {text}", err=True)
    if not missing and _say_unknown(settings, reader, dataset_named(question["dataset"]), set(named), seen):
        sys.exit(1)


def _fill_range(question: dict[str, Any], notes: dict[str, None]) -> None:
    """What was not given of the range; a note says which one it is then."""
    if question["start"] is not None and question["end"] is not None:
        return
    question["end"] = now() if question["end"] is None else utc(question["end"], "end")
    question["start"] = question["end"] - DAY if question["start"] is None else utc(question["start"], "start")
    shown = " to ".join(f"{question[edge]:%Y-%m-%dT%H:%M:%SZ}" for edge in ("start", "end"))
    notes[f"rows from {shown}; `--start` and `--end` choose others"] = None


def _say_unknown(settings: Settings, reader: MarketData, dataset: Dataset, named: set[str], seen: set[str]) -> bool:
    """Name the subjects of which there is no row at all; whether these are all that were asked about."""
    lacking = unknown(reader, dataset, named - seen)
    if not lacking:
        return False
    client, archive = connect_for_archiver(settings.require_redis_url()), Archive(settings.require_timescale_url())
    for name in lacking:
        alike = near(client, archive, dataset, name)
        said = f"; there are {', '.join(map(printable, alike))}" if alike else ""
        click.echo(f"{dataset.plural}: there is no row of {printable(name)}{said}", err=True)
    return len(lacking) == len(named)


def _seeing(frames: Iterator[_Table], seen: set[str], column: str) -> Iterator[_Table]:
    """The frames as they are; the subjects in them are added to `seen`."""
    for frame in frames:
        values = frame[column].unique()
        seen.update(values.to_pylist() if isinstance(values, pa.Array) else values)
        yield frame


def _noting(
    frames: Iterator[_Table], notes: dict[str, None], notes_of: Callable[[_Table], Iterable[str]]
) -> Iterator[_Table]:
    """The frames as they are; their notes are added to `notes`."""
    for frame in frames:
        notes |= dict.fromkeys(notes_of(frame))
        yield frame


def write_csv(frames: Iterator[pd.DataFrame], sink: BinaryIO) -> list[str]:
    """Write frames as one CSV with a header: times as ISO 8601 with microseconds and `Z`, exact numbers in plain decimal.

    Returns:
        What is missing, each text once.
    """
    missing: dict[str, None] = {}
    for number, frame in enumerate(frames):
        missing |= dict.fromkeys(frame.attrs["missing"])
        if number == 0:
            sink.write(f"{','.join(frame.columns)}\n".encode())
        sink.write(_lines(pa.table({name: _plain(frame[name]) for name in frame})))
    sink.flush()
    return list(missing)


def write_parquet(tables: Iterator[pa.Table], sink: BinaryIO) -> list[str]:
    """Write tables as one Parquet file; its metadata `missing` (JSON) says what is missing, and so does the result.

    If a table cannot be had, the file is left without its end, so that nobody takes it for the whole.
    """
    missing: dict[str, None] = {}
    first = next(tables)
    out = _Breakable(sink)
    with pq.ParquetWriter(out, first.schema.remove_metadata()) as writer:
        try:
            for table in chain([first], tables):
                missing |= dict.fromkeys(json.loads(table.schema.metadata[b"missing"]))
                writer.write_table(table.replace_schema_metadata(None))
            writer.add_key_value_metadata({"missing": json.dumps(list(missing))})
        except BaseException:
            out.broken = True  # before the writer closes, and writes the end
            raise
    sink.flush()
    return list(missing)


class _Breakable(io.RawIOBase):
    """A sink that takes nothing any more once it is broken."""

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


def _lines(table: pa.Table) -> pa.Buffer:
    """CSV lines; with quotes only if a text needs them, because Arrow then puts them around every text."""
    texts = [
        column for column in table.columns if pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    ]
    special = any(pc.any(pc.match_substring_regex(text, '^$|[",\r\n]')).as_py() for text in texts)
    lines = pa.BufferOutputStream()
    form = pa.csv.WriteOptions(include_header=False, quoting_style="needed" if special else "none")
    pa.csv.write_csv(table, lines, form)
    return lines.getvalue()


def _plain(column: pd.Series) -> pa.Array:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return pc.strftime(pa.array(column), format="%Y-%m-%dT%H:%M:%SZ")
    exact = column.dtype == object
    return pa.array([format(number, "f") for number in column], pa.string()) if exact else pa.array(column)
