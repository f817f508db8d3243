"""Schedules and sensors that are not switched as declared, and the check that reports them with the archive's own drift."""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from trading_data.archive.database import Archive
from trading_data.archive.schema.drift import archive_drift
from trading_data.datasets import HISTORY
from trading_data.datasets.declaration import Dataset
from trading_data.orchestration.declared import AS_DECLARED, LOCATION, SCHEDULES, declared_sensors
from trading_data.orchestration.private import InstigatorStatus, InstigatorType
from trading_data.printable import counted


def check_drift(
    archive: Archive, instance: dg.DagsterInstance, dataset: Dataset, variables: Mapping[str, str] | None = None
) -> dg.AssetCheckResult:
    """The verdict of the check: differences between a dataset's tables, or any switch, and what is declared."""
    tables = [dataset, HISTORY[dataset.name]] if dataset.name in HISTORY else [dataset]
    differences = [*archive_drift(archive, tables), *switched_otherwise(instance, variables)]
    return dg.AssetCheckResult(
        asset_key=dataset.table,
        check_name=AS_DECLARED,
        passed=not differences,
        severity=dg.AssetCheckSeverity.ERROR,
        description=_described(differences),
        metadata={"differences": len(differences)},
    )


def switched_otherwise(instance: dg.DagsterInstance, variables: Mapping[str, str] | None = None) -> list[str]:
    """A line for each schedule or sensor that was switched off or on by hand, against its declaration.

    `variables` are those of the code location; None for the process's.
    """
    if instance.schedule_storage is None:
        return []
    return [
        *_otherwise(instance, InstigatorType.SCHEDULE, "schedule", SCHEDULES),
        *_otherwise(instance, InstigatorType.SENSOR, "sensor", declared_sensors(variables)),
    ]


def _otherwise(
    instance: dg.DagsterInstance, kind: InstigatorType, word: str, wanted: Mapping[str, bool]
) -> Iterator[str]:
    """A switch that was never touched has no stored state, or the state DECLARED_IN_CODE."""
    for state in instance.all_instigator_state(instigator_type=kind):
        declared = wanted.get(state.name)
        ours = state.origin.repository_origin.code_location_origin.location_name == LOCATION
        if declared is None or not ours or state.status == InstigatorStatus.DECLARED_IN_CODE:
            continue
        running = state.status == InstigatorStatus.RUNNING
        if running != declared:
            now, then = ("on", "off") if running else ("off", "on")
            command = f"trading-data dagster {word} {'start' if declared else 'stop'} {state.name}"
            yield f"{word} {state.name} is switched {now}; declared is {then}: `{command}`"


def _described(differences: Sequence[str]) -> str:
    if not differences:
        return "Everything is as declared."
    return f"{counted(len(differences), 'difference')} from what is declared: {'; '.join(differences)}"
