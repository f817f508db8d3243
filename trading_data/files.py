"""Files and folders on a local disk that survive a power failure."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, durably and for their owner only (`mkdir(parents=True)` applies no mode to parents)."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync(folder.parent)


def sync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside `path`, readable by its owner only, that takes the place of `path` durably after the block.

    `path` is whole at any moment: as before, or as written. Nothing is left of the new file after an error; a killed writer leaves
    `.NAME.PID.tmp`.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    try:
        yield aside
        place(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def place(aside: Path, path: Path) -> None:
    """Make the file `aside` durable under the name `path`, in the same folder."""
    sync(aside)
    os.rename(aside, path)
    sync(path.parent)
