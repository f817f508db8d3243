"""Files and folders on a local disk that are there after the power was gone.

Belongs here: making folders, for their owner only, and syncing. Does not: what lies in them (`intake.store`,
`operations.backup.target`).
"""

import os
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably, for their owner only (`mkdir(parents=True)` leaves those above open)."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync(folder.parent)


def sync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, durable."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
