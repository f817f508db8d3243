"""A backfill of more runs than Dagster requests at once, under the limits of `dagster.yaml`: no run starts twice."""

import logging
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.test_utils import create_test_daemon_workspace_context, instance_for_test
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._time import get_current_timestamp

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ("trading_data/dagster.yaml", "deploy/dagster.docker.yaml", "deploy/kubernetes/values.yaml")
DAYS = dg.DailyPartitionsDefinition("2026-09-01", end_date="2026-10-31")
ROUNDS = 6


@dg.asset(partitions_def=DAYS)
def a_run_a_day() -> None:
    """An asset unlike ours: one run for each partition."""


defs = dg.Definitions(assets=[a_run_a_day])


def test_no_limit_on_the_tag_of_backfills() -> None:
    for name in CONFIGS:
        lines = [line for line in (ROOT / name).read_text().splitlines() if not line.lstrip().startswith("#")]
        assert not [line for line in lines if "dagster/backfill" in line], name


@pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources`:DeprecationWarning")  # within Dagster
def test_sixty_runs_are_asked_for_once_each() -> None:
    limits = yaml.safe_load((ROOT / "trading_data" / "dagster.yaml").read_text())["concurrency"]
    target = ModuleTarget("trading_data_tests.orchestration.test_backfills", "defs", str(ROOT), "tests")
    with (
        instance_for_test(overrides={"concurrency": limits}) as instance,
        create_test_daemon_workspace_context(target, instance) as workspace,
    ):
        request = workspace.create_request_context()
        days = DAYS.get_partition_keys()[:60]
        backfill = PartitionBackfill.from_asset_partitions(
            backfill_id="sixty",
            asset_graph=request.asset_graph,
            partition_names=days,
            asset_selection=[dg.AssetKey("a_run_a_day")],
            backfill_timestamp=get_current_timestamp(),
            tags={},
            dynamic_partitions_store=instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
        instance.add_backfill(backfill)
        for _ in range(ROUNDS):
            list(execute_backfill_iteration(workspace, logging.getLogger("backfills")))
        asked = Counter(run.tags["dagster/partition"] for run in instance.get_runs())
        assert asked == dict.fromkeys(days, 1)
        found = instance.get_backfill("sixty")
        assert found is not None
        assert found.status == BulkActionStatus.REQUESTED
