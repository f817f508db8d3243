"""The whole code location: imports and one constructor.

Belongs here: composing. Does not: defining anything.
"""

import warnings
from collections.abc import Mapping

import dagster as dg

from trading_data.orchestration.assets.backups import backup_assets
from trading_data.orchestration.assets.datasets import dataset_assets
from trading_data.orchestration.assets.health import health_assets
from trading_data.orchestration.assets.history import history_assets
from trading_data.orchestration.assets.sources import source_specs
from trading_data.orchestration.assets.state import state_assets
from trading_data.orchestration.checks import dataset_checks
from trading_data.orchestration.jobs import jobs
from trading_data.orchestration.metadata import linked
from trading_data.orchestration.resources import resources
from trading_data.orchestration.schedules import schedules
from trading_data.orchestration.sensors import sensors


def build_defs(*, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """The definitions; `resource_overrides` replaces resources by name, for tests and tools."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # backfill policies are used knowingly
        assets = linked(
            [
                *source_specs(),
                *state_assets(),
                *history_assets(),
                *dataset_assets(),
                *health_assets(),
                *backup_assets(),
            ]
        )
    return dg.Definitions(
        assets=assets,
        asset_checks=dataset_checks(),
        jobs=jobs,
        schedules=schedules,
        sensors=sensors,
        resources={**resources(), **(resource_overrides or {})},
        executor=dg.in_process_executor,
    )
