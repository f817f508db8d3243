"""Files that are no longer needed: incomplete files of killed writers, and old states of the live tier.

As with chunks, each file gets a verdict with its reason, and only a file that is proven to be out of use is removed. A
batch that waits in the intake is never a leftover, however old.

Belongs here: files. Does not: runs (`orchestration.runs`), chunks (`retention`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from trading_data.intake.state.files import StateFile, state_files
from trading_data.intake.store import Intake
from trading_data.operations.maintenance.cold_storage import ColdStore
from trading_data.printable import counted
from trading_data.times import DAY

ASIDE_FOR = DAY
"""How long a file that is being written may take; the slowest writer needs minutes."""
STATES_ALL_FOR = timedelta(days=30)
STATES_DAILY_FOR = timedelta(days=365)


@dataclass(frozen=True)
class Leftover:
    """A file, whether it is removed, and why."""

    kind: str
    name: str
    goes: bool
    reason: str
    remove: Callable[[], None] = field(compare=False, repr=False)


def leftovers(intake: Intake, backup_uri: str, now: datetime) -> list[Leftover]:
    """The leftovers in the intake and beside the cold files, with verdicts; removes nothing."""
    folders = (intake_folder(intake), ColdStore(backup_uri).folder)
    return [*(leftover for folder in folders for leftover in half_written(folder, now)), *old_states(intake, now)]


def half_written(folder: Path | None, now: datetime) -> Iterator[Leftover]:
    """Temporary files, under a folder of this machine, whose writers died before they could rename them."""
    for path in sorted(folder.rglob(".*.tmp")) if folder is not None else ():
        try:
            written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except FileNotFoundError:
            continue
        goes = now - written > ASIDE_FOR
        reason = f"half-written since {written:%Y-%m-%d %H:%M}Z" + ("" if goes else "; its writer may be alive")
        yield Leftover("half-written file", str(path), goes, reason, partial(path.unlink, missing_ok=True))


def intake_folder(intake: Intake) -> Path | None:
    """The intake's folder if it is on this machine: elsewhere files are written in one request."""
    filesystem, root = fsspec.core.url_to_fs(intake.uri)
    return Path(root) if isinstance(filesystem, LocalFileSystem) else None


def old_states(intake: Intake, now: datetime) -> Iterator[Leftover]:
    """States of the live tier: all of the last 30 days stay, of the year before that the last of each day."""
    filesystem, _ = fsspec.core.url_to_fs(intake.uri)
    files = state_files(intake)
    last = {file.ended.date(): file for file in files}
    for file in files:
        goes, reason = _state(file, last[file.ended.date()], now.date())
        yield Leftover("state", file.path, goes, reason, partial(_remove, filesystem, file.path))


def _state(file: StateFile, last: StateFile, today: date) -> tuple[bool, str]:
    age = today - file.ended.date()
    if age <= STATES_ALL_FOR:
        return False, f"{counted(age.days, 'day')} old; every state is kept for {STATES_ALL_FOR.days} days"
    if age > STATES_DAILY_FOR:
        return True, f"{counted(age.days, 'day')} old; none is kept for more than {STATES_DAILY_FOR.days} days"
    if file == last:
        return False, f"{counted(age.days, 'day')} old; the last of a day is kept for {STATES_DAILY_FOR.days} days"
    return True, f"{counted(age.days, 'day')} old and not the last of its day"


def _remove(filesystem: Any, path: str) -> None:
    """Remove a file, and its folder if that is then empty."""
    filesystem.rm_file(path)
    if isinstance(filesystem, LocalFileSystem) and not any(Path(path).parent.iterdir()):
        Path(path).parent.rmdir()
