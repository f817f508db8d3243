"""The backups that there are, newest first, and how their last restore drill went.

Belongs here: looking at a target. Does not: judging files by their hashes (`check`), and which of them to keep (`keep`).
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from trading_data.errors import BackupError, Refused
from trading_data.operations.backup.manifest import DRILL, NAME, Manifest, decode, folder_time
from trading_data.operations.backup.target import Target
from trading_data.times import now


@dataclass(frozen=True)
class Drill:
    """How a restore drill went: recovery point is the backup's age then, recovery time what restoring took."""

    at: datetime
    ok: bool
    differences: tuple[str, ...]
    recovery_point: timedelta
    recovery_time: timedelta


@dataclass(frozen=True)
class Backup:
    """A backup, whole or not.

    `taken` is the moment in its name, when its Redis half was begun. `manifest` is None where it has none; `damaged` says what
    is wrong with one that cannot be read. `drill` is the last one.
    """

    uri: str
    name: str
    taken: datetime
    manifest: Manifest | None
    damaged: str = ""
    drill: Drill | None = None

    @property
    def complete(self) -> bool:
        """Whether it has a manifest that can be read: nothing else is a backup."""
        return self.manifest is not None

    @property
    def drilled(self) -> bool:
        """Whether its last drill found no difference."""
        return self.drill is not None and self.drill.ok

    def age(self, moment: datetime) -> timedelta:
        """How old it is: what was accepted since it was begun is not in it."""
        return moment - (self.manifest.began if self.manifest else self.taken)


def backups(uri: str) -> list[Backup]:
    """All backups under `uri`, half-written ones too, newest first; what has another name is none.

    Raises:
        BackupError: the target cannot be listed.
    """
    target = Target(uri)
    found = ((folder_time(name), name) for name in target.folders())
    return [_seen(target, name, taken) for taken, name in sorted(((at, n) for at, n in found if at), reverse=True)]


def complete_backups(uri: str) -> list[Backup]:
    """The complete ones, newest first."""
    return [one for one in backups(uri) if one.complete]


def chosen(uri: str, name: str | None) -> Backup:
    """The backup of that name, or the newest complete one.

    Raises:
        Refused: there is none, it is not whole, or the target has backups of several databases and no name was given.
    """
    every = backups(uri)
    if name is not None:
        found = next((one for one in every if one.name == name.rstrip("/")), None)
        if found is None:
            raise Refused(f"there is no backup {name} under {Target(uri).shown}: see `trading-data backup --list`")
        if not found.complete:
            raise Refused(found.damaged or f"{name} has no manifest: it was never finished. Take another backup")
        return found
    whole = [one for one in every if one.complete]
    if not whole:
        raise Refused(f"there is no complete backup under {Target(uri).shown}: take one with `trading-data backup`")
    if len({one.manifest.database for one in whole if one.manifest}) > 1:
        raise Refused(f"{Target(uri).shown} has backups of several databases: name the one you mean")
    return whole[0]


def note_drill(backup: Backup, drill: Drill) -> None:
    """Keep a drill's result beside its backup. Raises BackupError when that cannot be written."""
    told: dict[str, Any] = {
        "at": drill.at.isoformat(),
        "ok": drill.ok,
        "differences": list(drill.differences),
        "recovery_point_seconds": drill.recovery_point.total_seconds(),
        "recovery_time_seconds": drill.recovery_time.total_seconds(),
    }
    Target(backup.uri).put(f"{backup.name}/{DRILL}", json.dumps(told, indent=1).encode() + b"\n")


def taken_now() -> str:
    """The name of a backup that begins now."""
    import secrets

    return f"backup-{now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def _seen(target: Target, name: str, taken: datetime) -> Backup:
    manifest, damaged = None, ""
    try:
        data = target.get(f"{name}/{NAME}")
        if data is not None:
            manifest = decode(data, f"the manifest of {name}")
            if manifest.name != name:
                damaged = f"the manifest in {name} is that of {manifest.name}"
                manifest = None
    except (Refused, BackupError) as error:
        damaged = str(error)
    return Backup(target.uri, name, taken, manifest, damaged, _drill(target, name) if manifest else None)


def _drill(target: Target, name: str) -> Drill | None:
    try:
        data = target.get(f"{name}/{DRILL}")
        if data is None:
            return None
        told = json.loads(data)
        return Drill(
            datetime.fromisoformat(told["at"]),
            bool(told["ok"]),
            tuple(told["differences"]),
            timedelta(seconds=told["recovery_point_seconds"]),
            timedelta(seconds=told["recovery_time_seconds"]),
        )
    except (BackupError, ValueError, KeyError, TypeError):
        return None  # as good as none: the next one writes it anew
