"""The manifest: the content of a backup by versions, hashes and counts. It is written last; a folder without it is no backup.

It is one line of canonical JSON with a hash over itself, so that any changed byte is found. It is never encrypted, and has the
hashes of the plain bytes of encrypted files.

Belongs here: the form and its validation. Does not: files, and the accounts in it.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

from trading_data.errors import BackupError, Refused
from trading_data.operations.backup.streams import StoredFile
from trading_data.operations.backup.target import BackupFolder
from trading_data.times import now

FORMAT = 1
NAME = "manifest.json"
PARTIAL = "redis.json"
"""Like the manifest, for the first part (Redis and intake), until TimescaleDB is dumped."""
DRILL = "drill.json"
DUMP = "timescale.dump"
_FILE = re.compile(r"redis-[\w.-]+\.rdb|timescale\.dump|intake/[a-z_]+/\d{20}-[0-9a-f]{64}\.parquet")
_FOLDER = re.compile(r"backup-(\d{8}T\d{6}Z)-[0-9a-f]{6}")


@dataclass(frozen=True)
class Manifest:
    """What a backup holds.

    Attributes:
        name: of the backup, which is its folder's.
        run: id of the run that created it; both parts are of one run.
        made_by: this package's version.
        began: when the snapshot of Redis was requested, aware UTC: every entry accepted before is in the backup.
        ended: when the manifest was written.
        database: the identity of the database (`tables.identity`).
        schema: the migrations applied, with their hashes.
        servers: versions, by `redis`, `postgresql`, `postgresql_number`, `timescaledb`, `pg_dump`.
        moments: recovery point by `redis`, `intake`, `timescale`.
        encrypted: whether the files are.
        files: all of them.
        redis: `nodes` (file, RDB version, persistence), `database` and `account` (see `keys`).
        intake: batches that waited, by dataset: their names.
        timescale: the account of all tables (see `tables`).
    """

    name: str
    run: str
    made_by: str
    began: datetime
    ended: datetime
    encrypted: bool
    files: tuple[StoredFile, ...]
    moments: dict[str, datetime]
    servers: dict[str, Any]
    redis: dict[str, Any]
    intake: dict[str, list[str]]
    database: str = ""
    schema: dict[str, str] = field(default_factory=dict)
    timescale: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def file(self, name: str) -> StoredFile:
        """The file of that name. Raises Refused if there is none."""
        for stored in self.files:
            if stored.name == name:
                return stored
        raise Refused(f"{self.name} has no {name}: the backup is incomplete")


def folder_time(folder: str) -> datetime | None:
    """When a backup's folder was made, from its name; None if it is no such name."""
    match = _FOLDER.fullmatch(folder)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def encode(manifest: Manifest) -> bytes:
    """As bytes."""
    values = _plain(asdict(manifest)) | {"format": FORMAT}
    return _line({**values, "sha256": hashlib.sha256(_line(values)).hexdigest()})


def decode(data: bytes, where: str) -> Manifest:
    """From bytes.

    Raises:
        Refused: damaged, cut short, or of a newer release; the message begins with `where`.
    """
    try:
        values = json.loads(data)
        digest = values.pop("sha256")
        intact = isinstance(values, dict) and _line({**values, "sha256": digest}) == data
        intact = intact and hashlib.sha256(_line(values)).hexdigest() == digest
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        intact = False
    if not intact:
        raise Refused(f"{where} is damaged or cut short. Take another backup: `trading-data backup --list`")
    if values.pop("format", None) != FORMAT:
        raise Refused(
            f"{where} has another format than {FORMAT}: a newer release made this backup, so restore it with that"
        )
    return _manifest(values, where)


def _manifest(values: dict[str, Any], where: str) -> Manifest:
    try:
        values["files"] = tuple(StoredFile(**stored) for stored in values["files"])
        values["moments"] = {name: datetime.fromisoformat(text) for name, text in values["moments"].items()}
        for name in ("began", "ended"):
            values[name] = datetime.fromisoformat(values[name])
        manifest = Manifest(**values)
    except (TypeError, ValueError, KeyError) as error:
        raise Refused(f"{where} is not a manifest of this format: {error}") from error
    unknown = [file.name for file in manifest.files if not _FILE.fullmatch(file.name)]
    if unknown:
        raise Refused(f"{where} names a file that no backup has: {unknown[0]!r}")
    return manifest


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _line(values: dict[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode() + b"\n"


@dataclass(frozen=True)
class Drill:
    """The result of a restore drill: the recovery point is the age of the backup, the recovery time the duration of the restore."""

    at: datetime
    ok: bool
    differences: tuple[str, ...]
    recovery_point: timedelta
    recovery_time: timedelta


@dataclass(frozen=True)
class Backup:
    """A backup, complete or not.

    `taken` is the moment in its name, when it was begun. `manifest` is None if it has none or an unreadable one, for which
    `damaged` is the reason. `drill` is the last one.
    """

    uri: str
    name: str
    taken: datetime
    manifest: Manifest | None
    damaged: str = ""
    drill: Drill | None = None

    @property
    def complete(self) -> bool:
        """Whether it has a readable manifest: nothing else is a backup."""
        return self.manifest is not None

    @property
    def drilled(self) -> bool:
        """Whether its last drill found no difference."""
        return self.drill is not None and self.drill.ok

    @property
    def began(self) -> datetime:
        """When it was begun, to the microsecond if it has a manifest; the moment in the name has whole seconds."""
        return self.manifest.began if self.manifest else self.taken

    @property
    def position(self) -> tuple[datetime, datetime, str]:
        """Sorts backups by age, two of one second too, whose names end at random."""
        return self.taken, self.began, self.name

    def age(self, moment: datetime) -> timedelta:
        """Its age: entries accepted since it was begun may be missing from it."""
        return moment - self.began


def backups(uri: str) -> list[Backup]:
    """All backups under `uri`, incomplete ones too, newest first; folders of other names are ignored.

    Raises:
        BackupError: the target cannot be listed.
    """
    target = BackupFolder(uri)
    folders = ((folder_time(name), name) for name in target.folders())
    listed = (_backup(target, name, taken) for taken, name in folders if taken)
    return sorted(listed, key=attrgetter("position"), reverse=True)


def complete_backups(uri: str) -> list[Backup]:
    """The complete ones, newest first."""
    return [backup for backup in backups(uri) if backup.complete]


def chosen(uri: str, name: str | None) -> Backup:
    """The backup of that name, or the newest complete one.

    Raises:
        Refused: there is none, it is incomplete, or the target has backups of several databases and no name was given.
    """
    candidates = backups(uri)
    if name is not None:
        backup = next((candidate for candidate in candidates if candidate.name == name.rstrip("/")), None)
        if backup is None:
            raise Refused(
                f"there is no backup {name} under {BackupFolder(uri).shown}: see `trading-data backup --list`"
            )
        if not backup.complete:
            raise Refused(backup.damaged or f"{name} has no manifest: it was never finished. Take another backup")
        return backup
    complete = [candidate for candidate in candidates if candidate.complete]
    if not complete:
        raise Refused(
            f"there is no complete backup under {BackupFolder(uri).shown}: take one with `trading-data backup`"
        )
    if len({candidate.manifest.database for candidate in complete if candidate.manifest}) > 1:
        raise Refused(f"{BackupFolder(uri).shown} has backups of several databases: name the one you mean")
    return complete[0]


def note_drill(backup: Backup, drill: Drill) -> None:
    """Save a drill's result beside its backup. Raises BackupError if it cannot be written."""
    values: dict[str, Any] = {
        "at": drill.at.isoformat(),
        "ok": drill.ok,
        "differences": list(drill.differences),
        "recovery_point_seconds": drill.recovery_point.total_seconds(),
        "recovery_time_seconds": drill.recovery_time.total_seconds(),
    }
    BackupFolder(backup.uri).put(f"{backup.name}/{DRILL}", json.dumps(values, indent=1).encode() + b"\n")


def taken_now() -> str:
    """The name of a backup that begins now."""
    import secrets

    return f"backup-{now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def _backup(target: BackupFolder, name: str, taken: datetime) -> Backup:
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


def _drill(target: BackupFolder, name: str) -> Drill | None:
    try:
        data = target.get(f"{name}/{DRILL}")
        if data is None:
            return None
        values = json.loads(data)
        return Drill(
            datetime.fromisoformat(values["at"]),
            bool(values["ok"]),
            tuple(values["differences"]),
            timedelta(seconds=values["recovery_point_seconds"]),
            timedelta(seconds=values["recovery_time_seconds"]),
        )
    except (BackupError, ValueError, KeyError, TypeError):
        return None  # the next drill writes it again
