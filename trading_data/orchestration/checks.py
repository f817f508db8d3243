"""The checks of the datasets' assets and of the state, each by itself: "Execute" runs one without materializing anything.

Archive runs do not execute them: they tell the same verdicts, when one changes or once an hour (`reports`).

Belongs here: one check definition a verdict. Does not: verdicts (`verdicts`), and the health assets' checks (`health_checks`).
"""

import dagster as dg

from trading_data.archive.aggregates.compare import differences
from trading_data.archive.aggregates.refresh import waiting
from trading_data.archive.verify import ledger
from trading_data.archive.verify.losses import confirmed_lost
from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.intake.state.take import take_state
from trading_data.live.type_mismatch import keys_of, wrong_types
from trading_data.orchestration import plausible
from trading_data.orchestration.assets.state import state_as_declared
from trading_data.orchestration.declared import (
    AS_DECLARED,
    BALANCE,
    DECLARED_KEYS,
    EQUAL,
    FRESH,
    MISSING,
    PLAUSIBLE,
    QUARANTINED,
    STATE,
)
from trading_data.orchestration.drift import check_drift
from trading_data.orchestration.health_checks import fresh_description, fresh_result
from trading_data.orchestration.resources import ArchiveTier, IntakeStore, LiveTier, as_dagster_failure
from trading_data.orchestration.verdicts import (
    accounts_balance,
    equals_raw,
    keys_as_declared,
    nothing_missing,
    nothing_quarantined,
)
from trading_data.times import DAY, day_start, now

_COMPARED_DAYS = 7


def dataset_checks() -> list[dg.AssetChecksDefinition]:
    """All of them."""
    found = [_state_keys()]
    for dataset in DATASETS.values():
        found += [
            _keys(dataset),
            *_of_table(dataset),
            *(_equals(dataset, aggregate) for aggregate in dataset.aggregates),
        ]
    return found


def _of_table(dataset: Dataset) -> list[dg.AssetChecksDefinition]:
    asset = dataset.table

    @dg.asset_check(asset=asset, name=QUARANTINED, description="No rejected entry waits.")
    def quarantined(archive: ArchiveTier) -> dg.AssetCheckResult:
        with as_dagster_failure(), archive.connect() as database:
            return nothing_quarantined(database, dataset)

    @dg.asset_check(
        asset=asset,
        name=MISSING,
        description="Every entry of the journals is archived, in the intake, in its journal, or acknowledged as lost.",
    )
    def missing(live: LiveTier, archive: ArchiveTier, intake: IntakeStore) -> dg.AssetCheckResult:
        with as_dagster_failure(), live.for_archiver() as client, archive.connect() as database:
            return nothing_missing(dataset, confirmed_lost(client, database, intake.open(), dataset))

    @dg.asset_check(asset=asset, name=BALANCE, description="Ledger, rows and books agree, on every day.")
    def balance(archive: ArchiveTier) -> dg.AssetCheckResult:
        with as_dagster_failure(), archive.connect() as database:
            return accounts_balance(dataset, ledger.accounts_balance(database, dataset))

    @dg.asset_check(
        asset=asset,
        name=AS_DECLARED,
        description="Policy jobs, columnstore, chunk interval, schedules and sensors are as declared.",
    )
    def declared(context: dg.AssetCheckExecutionContext, archive: ArchiveTier) -> dg.AssetCheckResult:
        with as_dagster_failure(), archive.connect() as database:
            return check_drift(database, context.instance, dataset)

    @dg.asset_check(asset=asset, name=FRESH, description=fresh_description(dataset))
    def fresh(archive: ArchiveTier) -> dg.AssetCheckResult:
        with as_dagster_failure(), archive.connect() as database:
            return fresh_result(database, dataset, now())

    return [quarantined, missing, balance, declared, fresh, *([_plausible(dataset)] if dataset.odd_values else [])]


def _plausible(dataset: Dataset) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dataset.table,
        name=PLAUSIBLE,
        description="No row looks wrong: open or close outside high and low, a price many times its neighbour's, and so on. "
        "Looked at are the days of a run, or the last seven, and those on which rows looked wrong before.",
    )
    def values(context: dg.AssetCheckExecutionContext, archive: ArchiveTier) -> dg.AssetCheckResult:
        today = now().date()
        with as_dagster_failure(), archive.connect() as database:
            days = [today - at * DAY for at in range(_COMPARED_DAYS)]
            return plausible.by_itself(context.instance, database, dataset, days)

    return values


def _equals(dataset: Dataset, aggregate: Aggregate) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=aggregate.name,
        name=EQUAL,
        description="The aggregate equals the raw rows: of the ranges that a run refreshed, or of the last seven days.",
    )
    def equal(archive: ArchiveTier) -> dg.AssetCheckResult:
        today = now().date()
        with as_dagster_failure(), archive.connect() as database:
            late = set(waiting(database).get(aggregate.name, []))
            days = [day for at in range(_COMPARED_DAYS) if (day := today - at * DAY) not in late]
            wrong = [
                line
                for day in days
                for line in differences(database, dataset, aggregate, day_start(day), day_start(day) + DAY)
            ]
        return equals_raw(aggregate, wrong)

    return equal


def _keys(dataset: Dataset) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dataset.snapshot,
        name=DECLARED_KEYS,
        description="No key with a name of the journals or latest values is of another type than theirs.",
    )
    def keys(live: LiveTier) -> dg.AssetCheckResult:
        with as_dagster_failure(), live.for_archiver() as client:
            return keys_as_declared(dataset, wrong_types(client, keys_of(dataset)))

    return keys


def _state_keys() -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=STATE, name=DECLARED_KEYS, description="Every key of the state is of its declared type.")
    def keys(live: LiveTier) -> dg.AssetCheckResult:
        with as_dagster_failure(), live.for_archiver() as client:
            return state_as_declared(take_state(client))

    return keys
