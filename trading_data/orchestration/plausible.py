"""Which days the check `values_are_plausible` covers: it stays red while a row that looks wrong is in the table.

A verdict records its odd days, and the next verdict begins with them. A run examines its own days and the first of the recorded
ones. The others cannot have changed, since only loads change rows, and the days of a load are its run's. "Execute" examines all.
"""

from collections.abc import Collection
from datetime import date

import dagster as dg

from trading_data.archive.database import Archive
from trading_data.archive.verify.ledger import chunk_days
from trading_data.archive.verify.odd_values import odd_values
from trading_data.datasets.declaration import Dataset
from trading_data.orchestration.declared import PLAUSIBLE
from trading_data.orchestration.private import VERDICTS
from trading_data.orchestration.verdicts import ODD_DAYS, values_are_plausible


def after_load(
    instance: dg.DagsterInstance, database: Archive, dataset: Dataset, days: Collection[date]
) -> dg.AssetCheckResult:
    """The verdict of a run for some UTC days."""
    known = sorted(_odd_days(instance, dataset).intersection(chunk_days(database, dataset)).difference(days))
    return values_are_plausible(dataset, odd_values(database, dataset, {*days, *known[:1]}), known[1:])


def by_itself(
    instance: dg.DagsterInstance, database: Archive, dataset: Dataset, days: Collection[date]
) -> dg.AssetCheckResult:
    """The verdict on some UTC days and on all that were odd at the last verdict."""
    return values_are_plausible(dataset, odd_values(database, dataset, {*days, *_odd_days(instance, dataset)}))


def _odd_days(instance: dg.DagsterInstance, dataset: Dataset) -> set[date]:
    """The odd days of the last verdict; none if there is no verdict."""
    key = dg.AssetCheckKey(dg.AssetKey(dataset.table), PLAUSIBLE)
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=1, status=VERDICTS)
    evaluation = records[0].evaluation if records else None
    days = evaluation.metadata.get(ODD_DAYS) if isinstance(evaluation, dg.AssetCheckEvaluation) else None
    return {date.fromisoformat(day) for day in days.value} if isinstance(days, dg.JsonMetadataValue) else set()  # type: ignore[union-attr]
