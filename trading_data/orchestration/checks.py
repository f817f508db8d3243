"""The checks of the assets, each runnable by itself: "Execute" evaluates one and materializes nothing.

Archive and health runs do not execute these checks; they report the same verdicts when one changes or once an hour (`reports`).
The verdicts are in `verdicts` and `health_checks`.
"""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from trading_data.archive.aggregates.compare import differences
from trading_data.archive.aggregates.refresh import days_to_refresh
from trading_data.archive.verify import ledger
from trading_data.archive.verify.losses import find_confirmed_losses
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.intake.state.take import take_state
from trading_data.live.reads import keys_of, wrong_types
from trading_data.orchestration import plausible
from trading_data.orchestration.assets.health import measured_figures
from trading_data.orchestration.assets.state import state_as_declared
from trading_data.orchestration.declared import (
    AS_DECLARED,
    BALANCE,
    DECLARED_KEYS,
    EQUAL,
    FRESH,
    HEALTH_CHECKS,
    MISSING,
    PLAUSIBLE,
    QUARANTINED,
    STATE,
)
from trading_data.orchestration.drift import check_drift
from trading_data.orchestration.health_checks import fresh_description, fresh_result, results, specs
from trading_data.orchestration.resources import (
    ArchiveTier,
    Environment,
    IntakeStore,
    LiveTier,
    as_dagster_failure,
)
from trading_data.orchestration.verdicts import (
    accounts_balance,
    equals_raw,
    keys_as_declared,
    nothing_missing,
    nothing_quarantined,
)
from trading_data.times import DAY, day_start, now

_COMPARED_DAYS = 7


def checks() -> list[dg.AssetChecksDefinition]:
    """The checks of the state and of health; those of backups are evaluated by their run only."""
    return [_state_keys(), *(_health(asset, names) for asset, names in HEALTH_CHECKS.items())]


def dataset_checks(dataset: Dataset) -> list[dg.AssetChecksDefinition]:
    """The checks of a dataset's snapshot, table and aggregates."""
    return [_keys(dataset), *_of_table(dataset), *(_equals(dataset, aggregate) for aggregate in dataset.aggregates)]


def _of_table(dataset: Dataset) -> list[dg.AssetChecksDefinition]:
    asset = dataset.table

    @dg.asset_check(asset=asset, name=QUARANTINED, description="No rejected entry waits for a decision.")
    def quarantined(archive: ArchiveTier) -> dg.AssetCheckResult:
        with as_dagster_failure(), archive.connect() as database:
            return nothing_quarantined(database, dataset)

    @dg.asset_check(
        asset=asset,
        name=MISSING,
        description="Every entry that was added to the journals is archived, in the intake, in its journal, or acknowledged.",
    )
    def missing(live: LiveTier, archive: ArchiveTier, intake: IntakeStore) -> dg.AssetCheckResult:
        with as_dagster_failure(), live.for_archiver() as client, archive.connect() as database:
            return nothing_missing(dataset, find_confirmed_losses(client, database, intake.open(), dataset))

    @dg.asset_check(asset=asset, name=BALANCE, description="Ledger, rows and archived ranges agree on every day.")
    def balance(archive: ArchiveTier) -> dg.AssetCheckResult:
        with as_dagster_failure(), archive.connect() as database:
            return accounts_balance(dataset, ledger.accounts_balance(database, dataset))

    @dg.asset_check(
        asset=asset,
        name=AS_DECLARED,
        description="Policy jobs, columnstore, chunk interval, schedules and sensors are as declared.",
    )
    def declared(
        context: dg.AssetCheckExecutionContext, archive: ArchiveTier, environment: dg.ResourceParam[Environment]
    ) -> dg.AssetCheckResult:
        with as_dagster_failure(), archive.connect() as database:
            return check_drift(database, context.instance, dataset, environment.variables)

    @dg.asset_check(asset=asset, name=FRESH, description=fresh_description(dataset))
    def fresh(archive: ArchiveTier, environment: dg.ResourceParam[Environment]) -> dg.AssetCheckResult:
        with as_dagster_failure(), archive.connect() as database:
            return fresh_result(database, dataset, now(), environment.settings.calendar)

    return [quarantined, missing, balance, declared, fresh, *([_plausible(dataset)] if dataset.odd_values else [])]


def _plausible(dataset: Dataset) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dataset.table,
        name=PLAUSIBLE,
        description="No row looks wrong, for example open or close outside high and low, or a price many times its neighbour's. "
        "Covers the days of a run, or the last seven, and all days on which rows looked wrong before.",
    )
    def values(context: dg.AssetCheckExecutionContext, archive: ArchiveTier) -> dg.AssetCheckResult:
        today = now().date()
        with as_dagster_failure(), archive.connect() as database:
            days = [today - number * DAY for number in range(_COMPARED_DAYS)]
            return plausible.by_itself(context.instance, database, dataset, days)

    return values


def _equals(dataset: Dataset, aggregate: Aggregate) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=aggregate.name,
        name=EQUAL,
        description="The aggregate equals the raw rows: in the ranges that a run refreshed, or over the last seven days.",
    )
    def equal(archive: ArchiveTier) -> dg.AssetCheckResult:
        today = now().date()
        with as_dagster_failure(), archive.connect() as database:
            late = set(days_to_refresh(database).get(aggregate.name, []))
            days = [day for number in range(_COMPARED_DAYS) if (day := today - number * DAY) not in late]
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
        description="Every key named like a journal or latest value of the dataset has that key's type.",
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


def _health(asset: str, names: Mapping[str, Sequence[str]]) -> dg.AssetChecksDefinition:
    """The checks of a health asset, in one step that measures once however many of them are executed."""

    @dg.multi_asset_check(name=f"{asset}_checks", specs=specs(asset, names), can_subset=True)
    def health(
        context: dg.AssetCheckExecutionContext,
        live: LiveTier,
        archive: ArchiveTier,
        intake: IntakeStore,
        environment: dg.ResourceParam[Environment],
    ) -> Iterator[dg.AssetCheckResult]:
        with as_dagster_failure(), live.for_archiver() as client, archive.connect() as database:
            figures = measured_figures(asset, context.instance, client, database, intake.open(), now(), environment)
        executed = {key.name for key in context.selected_asset_check_keys}
        yield from results(asset, {name: keys for name, keys in names.items() if name in executed}, figures)

    return health
