"""Cold files: the rows of a chunk as Parquet, proven equal to what the archive holds, before retention drops the chunk.

`{uri}/cold/{table}/{day}.parquet` has the dataset's columns, by time and key, so `trading-data import` and every reader of
Parquet can read it; its metadata have dataset, day, and the hash of its rows.

Belongs here: writing such a file and reading it back. Does not: dropping (`retention`).
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.aggregates.compare import fingerprint_of_rows
from trading_data.archive.chunks import Chunk
from trading_data.archive.database import Archive
from trading_data.archive.sql import names_of, statement
from trading_data.datasets import codec
from trading_data.datasets.declaration import Dataset
from trading_data.errors import Refused
from trading_data.files import place
from trading_data.reader.archive_queries import copy_table, select_columns

WINDOW = timedelta(hours=1)
"""The span that is read from the archive, and held in memory, at a time."""
_GROUP_ROWS = 100_000
_META = b"trading_data"


@dataclass(frozen=True)
class ColdFile:
    """A chunk's rows in a file: where, how many, the hash of them, and their fingerprint in the archive."""

    path: str
    rows: int
    sha256: str
    fingerprint: str


class ColdStore:
    """The cold files under one URI."""

    def __init__(self, uri: str) -> None:
        """Use `{uri}/cold`; nothing is touched before the first export."""
        self.uri = uri
        self._fs, root = fsspec.core.url_to_fs(uri)
        self._root = f"{root}/cold"
        self._local = isinstance(self._fs, LocalFileSystem)

    @property
    def folder(self) -> Path | None:
        """Where files are written aside, if that is on this machine."""
        return Path(self._root) if self._local else None

    def export(self, archive: Archive, dataset: Dataset, chunk: Chunk) -> ColdFile:
        """Write a chunk's rows, and read them back. A file with the same rows is left as it is.

        A file of other rows (an export that was never followed by the drop, or another archive's) is kept, with its
        hash in its name.

        Raises:
            Refused: it cannot be written, or does not read back as it was written.
            ArchiveTierError: the archive is away.
        """
        path = f"{self._root}/{dataset.table}/{chunk.day}.parquet"
        try:
            with self._aside(path) as aside:
                rows, digest, fingerprint = _write(archive, dataset, chunk, aside)
                if not self._holds(path, digest):
                    self._place(aside, path)
            if self._read(path) != (rows, digest):
                raise Refused(f"{path} does not read back as it was written: check its disk. The chunk was not dropped")
        except (OSError, pa.ArrowException) as error:
            raise Refused(
                f"{chunk.name} of {dataset.table} was not dropped: its cold file {path} cannot be written ({error}): "
                "make room, or correct TRADING_DATA_BACKUP_URI"
            ) from error
        return ColdFile(path, rows, digest, fingerprint)

    @contextmanager
    def _aside(self, path: str) -> Iterator[Path]:
        folder = None
        if self._local:
            folder = Path(path).parent
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=folder)
        os.close(handle)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def _holds(self, path: str, digest: str) -> bool:
        """Whether the file exists with these rows; one with other rows is renamed."""
        if not self._fs.exists(path):
            return False
        stored_digest = self._read(path)[1]
        if stored_digest != digest:
            self._fs.mv(path, f"{path.removesuffix('.parquet')}.{stored_digest[:12]}.parquet")
        return stored_digest == digest

    def _place(self, aside: Path, path: str) -> None:
        if not self._local:
            self._fs.put_file(str(aside), path)
            return
        place(aside, Path(path))

    def _read(self, path: str) -> tuple[int, str]:
        """The number of rows in a file, and their hash."""
        digest, rows = hashlib.sha256(), 0
        with self._fs.open(path, "rb") as opened:
            file = pq.ParquetFile(opened)
            for number in range(file.num_row_groups):
                table = file.read_row_group(number)
                rows += table.num_rows
                digest.update(_canonical(table))
        return rows, digest.hexdigest()


def _write(archive: Archive, dataset: Dataset, chunk: Chunk, path: Path) -> tuple[int, str, str]:
    schema = codec.schema(dataset)
    texts = [column.name for column in schema if pa.types.is_string(column.type)]
    digest = hashlib.sha256()
    with archive.transaction(snapshot=True) as cursor:
        rows, fingerprint = fingerprint_of_rows(cursor, dataset, chunk.start, chunk.end)
        with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=texts) as writer:
            for table in _groups(_windows(cursor, dataset, chunk, schema)):
                writer.write_table(table, row_group_size=_GROUP_ROWS)
                digest.update(_canonical(table))
            head = {"dataset": dataset.name, "day": str(chunk.day), "rows": rows, "sha256": digest.hexdigest()}
            writer.add_key_value_metadata({_META: json.dumps(head).encode()})
    return rows, digest.hexdigest(), fingerprint


def _windows(cursor: Cursor, dataset: Dataset, chunk: Chunk, schema: pa.Schema) -> Iterator[pa.Table]:
    command = statement("export_rows", **{**names_of(dataset), "columns": select_columns(dataset)})
    low = chunk.start
    while low < chunk.end:
        values: dict[str, Any] = {"start": low, "end": min(low + WINDOW, chunk.end)}
        yield copy_table(cursor, command, values, schema)
        low += WINDOW


def _groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The rows in tables of the size of a row group."""
    group: list[pa.Table] = []
    for table in tables:
        group.append(table)
        if sum(held.num_rows for held in group) >= _GROUP_ROWS:
            yield pa.concat_tables(group)
            group = []
    if any(held.num_rows for held in group):
        yield pa.concat_tables(group)


def _canonical(table: pa.Table) -> bytes:
    """Rows as bytes that do not depend on their division into blocks; Arrow writes garbage for empty blocks."""
    sink = pa.BufferOutputStream()
    pacsv.write_csv(table.combine_chunks(), sink, pacsv.WriteOptions(include_header=False))
    data: bytes = sink.getvalue().to_pybytes()
    return data
