"""The code location, composed. Nothing is defined here."""

import warnings
from collections.abc import Mapping

import dagster as dg

from trading_data.datasets import DATASETS
from trading_data.orchestration.assets.backups import backup_assets
from trading_data.orchestration.assets.health import health_assets
from trading_data.orchestration.assets.history import history_assets
from trading_data.orchestration.assets.sources import state_source_specs
from trading_data.orchestration.assets.state import state_assets
from trading_data.orchestration.checks import checks
from trading_data.orchestration.component import DatasetComponent
from trading_data.orchestration.jobs import jobs
from trading_data.orchestration.metadata import linked
from trading_data.orchestration.resources import Environment, resources
from trading_data.orchestration.schedules import schedules
from trading_data.orchestration.sensors import sensors


def build_defs(variables: Mapping[str, str] | None = None) -> dg.Definitions:
    """The definitions of one system; `variables` take the place of the process's environment, all of them."""
    environment = Environment(variables)
    datasets = [DatasetComponent(dataset, environment) for dataset in DATASETS.values()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # backfill policies are used knowingly
        assets = linked(
            [
                *state_source_specs(),
                *state_assets(),
                *history_assets(environment),
                *(asset for dataset in datasets for asset in dataset.assets()),
                *health_assets(),
                *backup_assets(),
            ]
        )
    return dg.Definitions(
        assets=assets,
        asset_checks=[*checks(), *(check for dataset in datasets for check in dataset.checks())],
        jobs=jobs,
        schedules=schedules(environment),
        sensors=sensors(environment),
        resources=resources(environment),
        executor=dg.in_process_executor,
    )
