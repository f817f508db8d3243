"""The place of backups: a folder for each under any fsspec URI; on a disk, only the owner can read the files.

Belongs here: writing, reading, listing and removing files. Does not: their content.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from trading_data.errors import BackupError
from trading_data.files import make_folder, replacing, sync
from trading_data.settings import without_password


class BackupFolder:
    """The folder of all backups; names are paths below it."""

    def __init__(self, uri: str) -> None:
        """Use `uri`; nothing is touched before the first call."""
        self.uri = uri
        self._fs, self._root = fsspec.core.url_to_fs(uri)
        self._local = isinstance(self._fs, LocalFileSystem)

    @property
    def shown(self) -> str:
        """The URI, fit for messages."""
        return without_password(self.uri)

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """Raise BackupError for any error of the target."""
        try:
            yield
        except OSError as error:
            raise BackupError(
                f"{doing} under {self.shown} failed ({error}): make room, or correct TRADING_DATA_BACKUP_URI"
            ) from error

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """A new file to write to; durable after the block. Raises BackupError if the target cannot be written."""
        path = self._path(name)
        with self.errors(f"writing {name}"):
            if not self._local:
                with self._fs.open(path, "wb") as file:
                    yield file
                return
            make_folder(Path(path).parent)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            sync(Path(path).parent)

    def put(self, name: str, data: bytes) -> None:
        """Write a small file atomically: aside and renamed on a disk, in one request elsewhere."""
        path = self._path(name)
        with self.errors(f"writing {name}"):
            if not self._local:
                self._fs.pipe_file(path, data)
                return
            make_folder(Path(path).parent)
            with replacing(Path(path)) as aside:
                aside.write_bytes(data)

    @contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """A file to read from. Raises FileNotFoundError, and BackupError for any other error."""
        try:
            with self._fs.open(self._path(name), "rb") as file:
                yield file
        except (FileNotFoundError, BrokenPipeError):
            raise  # the second is about where the bytes go
        except OSError as error:
            raise BackupError(f"{name} under {self.shown} cannot be read: {error}") from error

    def get(self, name: str) -> bytes | None:
        """A small file's bytes; None if it is not there."""
        try:
            with self.reading(name) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def folders(self) -> list[str]:
        """Names directly under the target, files too, sorted; empty if the target does not exist."""
        self._fs.invalidate_cache()
        with self.errors("listing"):
            try:
                paths: list[Any] = self._fs.ls(self._root, detail=False)
            except FileNotFoundError:
                return []
        return sorted(str(path).rstrip("/").rpartition("/")[2] for path in paths)

    def files(self, folder: str) -> list[str]:
        """All files below a folder, by their names below it, sorted."""
        root = self._path(folder)
        with self.errors("listing"):
            try:
                paths: list[str] = self._fs.find(root)
            except FileNotFoundError:
                return []
        # Some targets list a path with its leading slash and some without.
        return sorted(path.partition(f"{folder}/")[2] for path in paths)

    def remove(self, folder: str, first: str) -> None:
        """Remove a folder; the file `first` goes before all others, so that a kill in between leaves no backup."""
        with self.errors(f"removing {folder}"):
            if first in self.files(folder):
                self._fs.rm_file(self._path(f"{folder}/{first}"))
            self._fs.rm(self._path(folder), recursive=True)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"
