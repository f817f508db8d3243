"""Schedules and sensors that are not switched as declared, and the check that says so with all other drift.

Belongs here: asking Dagster's instance, and the check. Does not: the archive's own drift (`trading_data.archive.schema.drift`).
"""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from trading_data.archive.database import Archive
from trading_data.archive.schema.drift import archive_drift
from trading_data.datasets import HISTORY
from trading_data.datasets.declaration import Dataset
from trading_data.orchestration.declared import AS_DECLARED, LOCATION, SCHEDULES, declared_sensors
from trading_data.orchestration.private import InstigatorStatus, InstigatorType
from trading_data.printable import counted


def check_drift(archive: Archive, instance: dg.DagsterInstance, dataset: Dataset) -> dg.AssetCheckResult:
    """The check, evaluated: what a dataset's tables have otherwise than declared, and what is switched otherwise."""
    tables = [dataset, HISTORY[dataset.name]] if dataset.name in HISTORY else [dataset]
    found = [*archive_drift(archive, tables), *switched_otherwise(instance)]
    return dg.AssetCheckResult(
        asset_key=dataset.table,
        check_name=AS_DECLARED,
        passed=not found,
        severity=dg.AssetCheckSeverity.ERROR,
        description=_said(found),
        metadata={"differences": len(found)},
    )


def switched_otherwise(instance: dg.DagsterInstance) -> list[str]:
    """A line for each schedule or sensor that somebody has switched off, or on, against its declaration."""
    if instance.schedule_storage is None:
        return []
    return [
        *_otherwise(instance, InstigatorType.SCHEDULE, "schedule", SCHEDULES),
        *_otherwise(instance, InstigatorType.SENSOR, "sensor", declared_sensors()),
    ]


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
