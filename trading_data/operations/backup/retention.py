"""Retention of backups: the newest of each of the last days, weeks and months that have one is kept.

Belongs here: the scheme, choosing and removing. Does not: cold files, which are no backups and stay.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_data.errors import SettingError
from trading_data.operations.backup.manifest import NAME, Backup, backups
from trading_data.operations.backup.target import BackupFolder

KEEP = "TRADING_DATA_BACKUP_KEEP"
PARTIAL_KEPT_FOR = timedelta(days=2)
"""How long an incomplete backup is kept: its writer may be alive, or somebody may want to look."""


@dataclass(frozen=True)
class Scheme:
    """How many days, ISO weeks and months (all UTC) keep their newest backup."""

    daily: int = 7
    weekly: int = 5
    monthly: int = 12

    @classmethod
    def from_env(cls) -> "Scheme":
        """The scheme of TRADING_DATA_BACKUP_KEEP (`daily=7,weekly=5,monthly=12`); parts that it lacks have their defaults.

        Raises:
            SettingError: it is invalid.
        """
        text = os.environ.get(KEEP, "").replace(" ", "")
        pairs = [re.fullmatch(r"(daily|weekly|monthly)=(\d{1,4})", part) for part in text.split(",") if part]
        if not all(pairs):
            raise SettingError(f"{KEEP} must look like daily=7,weekly=5,monthly=12, not {text!r}")
        return cls(**{pair[1]: int(pair[2]) for pair in pairs if pair})


@dataclass(frozen=True)
class BackupVerdict:
    """A backup, whether it is removed, and why."""

    backup: Backup
    goes: bool
    reason: str


def judge(candidates: Iterable[Backup], scheme: Scheme, moment: datetime) -> list[BackupVerdict]:
    """The verdicts, newest backup first. The newest complete one stays, and so does one with a damaged manifest."""
    ordered = sorted(candidates, key=lambda backup: backup.position, reverse=True)
    complete = [backup for backup in ordered if backup.complete]
    kept: dict[str, str] = {backup.name: "the newest" for backup in complete[:1]}
    for unit, count, period in (
        ("day", scheme.daily, "%Y-%m-%d"),
        ("week", scheme.weekly, "%G-W%V"),
        ("month", scheme.monthly, "%Y-%m"),
    ):
        newest: dict[str, Backup] = {}
        for backup in complete:
            newest.setdefault(backup.taken.strftime(period), backup)
        for day in sorted(newest, reverse=True)[:count]:
            kept.setdefault(newest[day].name, f"the newest of {unit} {day}")
    return [_verdict(backup, kept, moment) for backup in ordered]


def prune(uri: str, moment: datetime, scheme: Scheme | None = None) -> list[BackupVerdict]:
    """Remove the backups that the scheme does not keep. Returns all verdicts. Unknown files and folders are not touched.

    Raises:
        BackupError: a backup cannot be removed.
        SettingError: the environment's scheme is invalid.
    """
    verdicts = judge(backups(uri), scheme or Scheme.from_env(), moment)
    for verdict in verdicts:
        if verdict.goes:
            BackupFolder(uri).remove(verdict.backup.name, NAME)
    return verdicts


def _verdict(backup: Backup, kept: dict[str, str], moment: datetime) -> BackupVerdict:
    if backup.name in kept:
        return BackupVerdict(backup, False, kept[backup.name])
    if backup.complete:
        return BackupVerdict(backup, True, "newer ones stand for its day, week and month")
    if backup.damaged:
        return BackupVerdict(backup, False, backup.damaged)
    if moment - backup.taken > PARTIAL_KEPT_FOR:
        return BackupVerdict(backup, True, "it was never finished")
    return BackupVerdict(backup, False, "it is not finished; its writer may be alive")
