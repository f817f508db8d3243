"""Schedules and sensors that are not switched as declared, and the check that says so with all other drift.

Belongs here: asking Dagster's instance, and the check. Does not: the archive's own drift (`trading_data.archive.schema.drift`).
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from trading_data.archive.database import Archive
from trading_data.archive.schema.drift import archive_drift
from trading_data.datasets import HISTORY
from trading_data.datasets.declaration import Dataset
from trading_data.errors import ServerError
from trading_data.orchestration.private import InstigatorStatus, InstigatorType
from trading_data.printable import counted
from trading_data.settings import DAGSTER_URL, Settings

LOCATION = "trading_data"
"""The code location; states of other locations are not ours."""
CHECK = "declared_is_actual"


def check_drift(archive: Archive, instance: dg.DagsterInstance, dataset: Dataset) -> dg.AssetCheckResult:
    """The check, evaluated: what a dataset's tables have otherwise than declared, and what is switched otherwise."""
    tables = [dataset, HISTORY[dataset.name]] if dataset.name in HISTORY else [dataset]
    found = [*archive_drift(archive, tables), *switched_otherwise(instance)]
    return dg.AssetCheckResult(
        asset_key=dataset.table,
        check_name=CHECK,
        passed=not found,
        severity=dg.AssetCheckSeverity.ERROR,
        description=_said(found),
        metadata={"differences": len(found)},
    )


def switched_otherwise(instance: dg.DagsterInstance) -> list[str]:
    """A line for each schedule or sensor that somebody has switched off, or on, against its declaration."""
    from trading_data.orchestration.schedules import schedules
    from trading_data.orchestration.sensors import sensors

    if instance.schedule_storage is None:
        return []
    wanted = {schedule.name: schedule.default_status == dg.DefaultScheduleStatus.RUNNING for schedule in schedules}
    found = [*_otherwise(instance, InstigatorType.SCHEDULE, "schedule", wanted)]
    wanted = {sensor.name: sensor.default_status == dg.DefaultSensorStatus.RUNNING for sensor in sensors}
    return [*found, *_otherwise(instance, InstigatorType.SENSOR, "sensor", wanted)]


@contextmanager
def instance_of(home: Path, settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance that the `dagster.yaml` in `home` describes.

    Raises:
        ServerError: its storage does not answer.
    """
    from dagster_postgres.utils import DagsterPostgresException
    from sqlalchemy.exc import SQLAlchemyError

    if settings.dagster_url:
        os.environ[DAGSTER_URL] = settings.dagster_url  # the driver named, however it was given
    try:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance
    except (SQLAlchemyError, DagsterPostgresException) as error:
        said = str(error.__cause__ or error).partition("\n")[0]
        raise ServerError(
            f"Dagster's storage does not answer ({said}): start it, or correct {DAGSTER_URL} or DAGSTER_HOME, now {home}"
        ) from error


def _otherwise(
    instance: dg.DagsterInstance, kind: InstigatorType, word: str, wanted: Mapping[str, bool]
) -> Iterator[str]:
    """What nobody ever switched has no state, or one that says so."""
    for state in instance.all_instigator_state(instigator_type=kind):
        declared = wanted.get(state.name)
        ours = state.origin.repository_origin.code_location_origin.location_name == LOCATION
        if declared is None or not ours or state.status == InstigatorStatus.DECLARED_IN_CODE:
            continue
        running = state.status == InstigatorStatus.RUNNING
        if running != declared:
            now, then = ("on", "off") if running else ("off", "on")
            command = f"trading-data dagster {word} {_verb(declared)} {state.name}"
            yield f"{word} {state.name} is switched {now}; declared is {then}: `{command}`"


def _said(found: Sequence[str]) -> str:
    if not found:
        return "Everything is as declared."
    return f"{counted(len(found), 'difference')} from what is declared: {'; '.join(found)}"


def _verb(declared: bool) -> str:
    return "start" if declared else "stop"
