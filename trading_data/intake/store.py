"""The files of batches: one folder per dataset, under any fsspec URI. A file is complete or absent, and its name has its turn
and the hash of its content: `{turn}-{sha256}.parquet`. Other documents (`intake.state`) have their own folders.

Belongs here: writing aside and renaming, listing, checking, deleting. Does not: the content of a batch.
"""

import hashlib
import re
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from trading_data.errors import IntakeError
from trading_data.files import make_folder, replacing
from trading_data.intake.batch import Batch, decode, decode_head, encode
from trading_data.kill_points import reached

_LEFTOVER_SECONDS = 3600
_MOST_RANGES = 100_000
"""Ranges of the heads that are remembered: about 50 MB."""
_NAME = re.compile(r"(\d{20})-([0-9a-f]{64})\.parquet")


@dataclass(frozen=True, order=True)
class BatchFile:
    """A batch in the intake: its turn (nanoseconds, only compared), the hash of its bytes, and its path."""

    turn: int
    content_hash: str
    path: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]


class Intake:
    """The intake under one URI.

    On a local disk a file is written aside, synced and renamed; elsewhere it is put in one request. Files and folders are
    readable by their owner only.
    """

    def __init__(self, uri: str) -> None:
        """Use `uri`; nothing is read or written before the first call."""
        self.uri = uri
        self._heads: dict[str, Batch] = {}
        self._fs, self._root = fsspec.core.url_to_fs(uri)
        self._local = isinstance(self._fs, LocalFileSystem)

    def put(self, batch: Batch) -> BatchFile:
        """Write a batch durably, with a turn after those of all waiting batches.

        Raises:
            IntakeError: it could not be written; no part of it remains.
        """
        data = encode(batch)
        waiting = self.pending(batch.dataset)
        turn = max(time.time_ns(), waiting[-1].turn + 1 if waiting else 0)
        digest = hashlib.sha256(data).hexdigest()
        kept = "the entries are still in their journals, and the next run drains them"
        return BatchFile(
            turn, digest, self.write(f"{batch.dataset}/{turn:020d}-{digest}.parquet", data, "a batch", kept)
        )

    def write(self, name: str, data: bytes, what: str, kept: str) -> str:
        """Write a file under the intake; it is complete and durable when this returns.

        Args:
            name: its path below the intake; folders are made.
            data: its bytes.
            what: a noun for it, for the error.
            kept: the place where its content still is, for the error.

        Returns:
            Its path.

        Raises:
            IntakeError: it could not be written; no part of it remains.
        """
        path = f"{self._root}/{name}"
        try:
            if self._local:
                _write_aside(Path(path), data)
            else:
                self._fs.pipe_file(path, data)
        except OSError as error:
            raise IntakeError(
                f"the intake at {self.uri} cannot store {what} of {len(data):,} bytes: {error}. Free space or correct "
                f"TRADING_DATA_INTAKE_URI; {kept}"
            ) from error
        return path

    def keep(self, name: str, data: bytes) -> None:
        """Store a rejected entry that is too large for a batch; `name` is the path below the intake. Raises as `write`."""
        self.write(name, data, "a rejected entry", "it is still in its journal")

    def pending(self, dataset: str) -> list[BatchFile]:
        """The waiting batches, by turn."""
        matches = [(path, _NAME.fullmatch(path.rpartition("/")[2])) for path in self.paths(dataset)]
        return sorted(BatchFile(int(match[1]), match[2], path) for path, match in matches if match)

    def paths(self, name: str) -> list[str]:
        """The paths in a folder under the intake, in no order; none if there is no such folder.

        Raises:
            IntakeError: it cannot be listed.
        """
        folder = f"{self._root}/{name}"
        try:
            self._fs.invalidate_cache(folder)
            paths: list[str] = self._fs.ls(folder, detail=False)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise IntakeError(
                f"{folder} cannot be listed: {error}. Correct that, or TRADING_DATA_INTAKE_URI"
            ) from error
        return [path.rstrip("/") for path in paths]

    def read(self, file: BatchFile) -> Batch | None:
        """The batch in a file; None if it has been loaded and deleted meanwhile.

        Raises:
            IntakeError: its content does not match its hash, or it lies in another dataset's folder.
        """
        data = self._bytes(file)
        return None if data is None else self._of_its_folder(file, decode(data, file.path))

    def raw(self, file: BatchFile) -> bytes | None:
        """A file's bytes as they are, damaged or not; None if it has been loaded and deleted meanwhile."""
        try:
            data: bytes = self._fs.cat_file(file.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise IntakeError(f"{file.path} cannot be read: {error}") from error
        return data

    def head(self, file: BatchFile) -> Batch | None:
        """As `read`, without the entries."""
        data = self._bytes(file)
        return None if data is None else self._of_its_folder(file, decode_head(data, file.path))

    def remembered_head(self, file: BatchFile) -> Batch | None:
        """As `head`; a file is read and checked once, as its name never stands for other content."""
        head = self._heads.get(file.content_hash) or self.head(file)
        if head is not None:
            if sum(len(kept.journals) for kept in (*self._heads.values(), head)) > _MOST_RANGES:
                self._heads = {}
            self._heads[file.content_hash] = head
        return head

    def delete(self, file: BatchFile) -> None:
        """Remove a batch that is in the archive."""
        try:
            self._fs.rm_file(file.path)
        except FileNotFoundError:
            pass

    def fetch(self, path: str, content_hash: str, lost: str) -> bytes | None:
        """The bytes of a file; None if it is absent. `lost` is the remedy for a damaged file, for the error.

        Raises:
            IntakeError: its content does not match its hash.
        """
        try:
            data: bytes = self._fs.cat_file(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise IntakeError(f"{path} cannot be read: {error}") from error
        if hashlib.sha256(data).hexdigest() != content_hash:
            raise IntakeError(f"{path} is damaged: its content does not match the hash in its name. {lost}")
        return data

    def set_aside_command(self, file: BatchFile) -> str:
        """The command that moves a damaged batch into the folder `damaged` beside it, where no load looks for it."""
        return self._move_command(file, f"{file.path.rpartition('/')[0]}/damaged")

    def _of_its_folder(self, file: BatchFile, batch: Batch) -> Batch:
        """The batch, if it lies in the folder of its dataset: another load would take its entries for others."""
        folder = file.path.split("/")[-2]
        if batch.dataset != folder:
            command = self._move_command(file, f"{self._root}/{batch.dataset}")
            raise IntakeError(
                f"{file.path} is a batch of {batch.dataset}, in the folder of {folder}. Move it: `{command}`", command
            )
        return batch

    def _move_command(self, file: BatchFile, folder: str) -> str:
        """The command that moves a batch into another folder."""
        moved = f"{folder}/{file.name}"
        if self._local:
            return f"mkdir -p {shlex.quote(folder)} && mv {shlex.quote(file.path)} {shlex.quote(moved)}"
        words = [self._fs.unstrip_protocol(path) for path in (file.path, moved)]
        code = "import sys, fsspec; fsspec.core.url_to_fs(sys.argv[1])[0].mv(*sys.argv[1:])"
        return shlex.join(["python", "-c", code, *words])

    def _bytes(self, file: BatchFile) -> bytes | None:
        return self.fetch(
            file.path,
            file.content_hash,
            f"Restore the file from a backup. Without one, run `{self.set_aside_command(file)}`: the next snapshot reads again "
            "those of its entries that their journals still hold, and `trading-data verify` lists the lost ones",
        )


def _write_aside(path: Path, data: bytes) -> None:
    make_folder(path.parent)
    _clear_leftovers(path.parent)
    with replacing(path) as aside:
        aside.write_bytes(data)
        reached("batch.written")
    reached("batch.renamed")


def _clear_leftovers(folder: Path) -> None:
    """Remove the partial files of killed writers; no live writer needs an hour."""
    for leftover in folder.glob(".*.tmp"):
        try:
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_SECONDS:
                leftover.unlink()
        except FileNotFoundError:
            continue
