"""Files and folders on a local disk that survive a power failure."""

import os
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
