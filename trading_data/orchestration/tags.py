"""Tags of runs: what started a run, its days, its kind of work, and what its pod needs.

Pod tags count only where runs are pods (K8sRunLauncher). What every pod gets is in `deploy/kubernetes/values.yaml`.
"""

from datetime import date
from typing import Any

TRIGGER = "trading_data/trigger"
"""What started a run; one of the values below."""
MEMORY_PRESSURE, PENDING, LATE_DATA, GAP, BY_HAND = "memory_pressure", "pending_intake", "late_data", "gap", "by_hand"
LATE = "trading_data/late"
"""The dataset and days that `late_data_sensor` requested a run for."""
PRESSURE = "trading_data/pressure"
"""The reading that `memory_pressure_sensor` requested a run for."""
DAYS = "trading_data/days"
"""Days that are no partitions, as `first/last,first/last`: they are older than the first partition of the code location."""
WORKLOAD = "trading_data/workload"
"""The kind of work, the same for all runs of a job: concurrency limits and dashboards use it."""

PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
PRIORITY, MAX_RUNTIME = "dagster/priority", "dagster/max_runtime"
BY_CLOCK = ("dagster/schedule_name", "dagster/sensor_name")
"""Dagster sets one of these on runs that a schedule or sensor started."""
BY_PERSON = ("dagster/from_ui", "dagster/backfill", TRIGGER)
"""One of these is on runs that a person started, in the web page or on the command line."""

POD = "dagster-k8s/config"
OWNER_SECRET = "trading-data-owner"  # noqa: S105 - the name of a secret
"""The Kubernetes secret that holds TRADING_DATA_TIMESCALE_OWNER_URL."""
AS_OWNER: dict[str, Any] = {POD: {"container_config": {"env_from": [{"secret_ref": {"name": OWNER_SECRET}}]}}}
"""For jobs that compress, drop, back up and drill: only they may know the password of the tables' owner."""
MORE_MEMORY: dict[str, Any] = {
    POD: {"container_config": {"resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "4Gi"}}}}
}
"""For jobs that load many days in one run."""


def range_tags(first: date, last: date) -> dict[str, str]:
    """The tags of one run for all days from `first` to `last`, both included."""
    return {RANGE_START: str(first), RANGE_END: str(last)}


def is_day_tag(tag: str) -> bool:
    """Whether the value of a tag is a day of the run."""
    return tag in (PARTITION, RANGE_START, RANGE_END)
