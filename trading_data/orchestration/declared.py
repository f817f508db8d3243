"""Names that the code location declares: assets, checks, jobs, and the schedules and sensors with their switches.

The modules that define these things and the modules that watch them both read the names here, so neither imports the other.
`test_declared.py` holds that the definitions have exactly what is declared.
"""

import os
from collections.abc import Iterator, Mapping

import dagster as dg

from trading_data.datasets import DATASETS
from trading_data.operations.health.rules import REDIS_CHECKS, TIMESCALE_CHECKS
from trading_data.settings import HEALTH_SCHEDULE

LOCATION = "trading_data"
"""The code location. Runs and switches of other locations are ignored."""

STATE = dg.AssetKey("state_snapshot")
HISTORY = "price_history"
REDIS_HEALTH, TIMESCALE_HEALTH = "redis_health", "timescale_health"
REDIS_BACKUP, TIMESCALE_BACKUP = dg.AssetKey("redis_backup"), dg.AssetKey("timescale_backup")

QUARANTINED, MISSING, BALANCE = "nothing_quarantined", "nothing_missing", "accounts_balance"
AS_DECLARED, FRESH, PLAUSIBLE = "declared_is_actual", "newest_row_is_fresh", "values_are_plausible"
EQUAL, DECLARED_KEYS = "equals_raw", "keys_as_declared"
DURABLE, READS_BACK = "append_only_file_is_well", "reads_back"
HEALTH_CHECKS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    REDIS_HEALTH: REDIS_CHECKS,
    TIMESCALE_HEALTH: TIMESCALE_CHECKS,
}
"""The checks of the health assets, each with the keys of its thresholds."""

ARCHIVE_JOB, BACKFILL_JOB, HEALTH_JOB, BACKUP_JOB = "archive_job", "backfill_job", "health_job", "backup_job"
COMPRESSION_JOB, RETENTION_JOB, DRILL_JOB = "compression_job", "retention_job", "restore_drill_job"
ASSET_JOB = "__ASSET_JOB"
"""Dagster's name for runs of assets that a sensor or a person requested without naming a job."""
JOBS = (ARCHIVE_JOB, BACKFILL_JOB, HEALTH_JOB, COMPRESSION_JOB, RETENTION_JOB, BACKUP_JOB, DRILL_JOB)
ALL_JOBS = (*JOBS, ASSET_JOB)

SCHEDULES: Mapping[str, bool] = {
    "archive_schedule": True,
    "gap_backfill_schedule": True,
    "compression_schedule": True,
    "retention_schedule": True,
    "backup_schedule": True,
    "restore_drill_schedule": True,
}
"""Whether each schedule is switched on by default."""
_SENSORS = {
    "memory_pressure_sensor": True,
    "pending_intake_sensor": True,
    "late_data_sensor": True,
    "health_sensor": True,
    "alert_sensor": True,
}


def declared_sensors(environment: Mapping[str, str] | None = None) -> dict[str, bool]:
    """Whether each sensor is switched on by default; `environment` defaults to the process's."""
    variables = os.environ if environment is None else environment
    return {**_SENSORS, "health_sensor": variables.get(HEALTH_SCHEDULE) != "off"}


def schedule_status(name: str) -> dg.DefaultScheduleStatus:
    """The declared switch of a schedule, as Dagster writes it."""
    return dg.DefaultScheduleStatus.RUNNING if SCHEDULES[name] else dg.DefaultScheduleStatus.STOPPED


def sensor_status(name: str, environment: Mapping[str, str] | None = None) -> dg.DefaultSensorStatus:
    """The declared switch of a sensor, as Dagster writes it."""
    return dg.DefaultSensorStatus.RUNNING if declared_sensors(environment)[name] else dg.DefaultSensorStatus.STOPPED


def declared_checks() -> list[dg.AssetCheckKey]:
    """The key of every check."""
    return [
        dg.AssetCheckKey(dg.AssetKey.from_coercible(asset), name)
        for asset, names in _checks_by_asset()
        for name in names
    ]


def _checks_by_asset() -> Iterator[tuple[str | dg.AssetKey, list[str]]]:
    yield STATE, [DECLARED_KEYS]
    for dataset in DATASETS.values():
        yield dataset.snapshot, [DECLARED_KEYS]
        plausible = [PLAUSIBLE] if dataset.odd_values else []
        yield dataset.table, [QUARANTINED, MISSING, BALANCE, AS_DECLARED, FRESH, *plausible]
        for aggregate in dataset.aggregates:
            yield aggregate.name, [EQUAL]
    for asset, checks in HEALTH_CHECKS.items():
        yield asset, list(checks)
    yield REDIS_BACKUP, [DURABLE]
    yield TIMESCALE_BACKUP, [READS_BACK]
