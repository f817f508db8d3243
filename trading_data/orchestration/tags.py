"""What a run's pod needs beyond the others', where runs are pods (K8sRunLauncher); elsewhere these tags mean nothing.

Belongs here: the tags `dagster-k8s/config`. Does not: what every pod gets (`deploy/kubernetes/values.yaml`).
"""

from typing import Any

TAG = "dagster-k8s/config"
OWNER_SECRET = "trading-data-owner"  # noqa: S105 - the name of a secret
"""The Kubernetes secret that holds TRADING_DATA_TIMESCALE_OWNER_URL."""

AS_OWNER: dict[str, Any] = {TAG: {"container_config": {"env_from": [{"secret_ref": {"name": OWNER_SECRET}}]}}}
"""For jobs that compress, drop, back up and drill: these alone may know the password of the owner of the tables."""
MORE_MEMORY: dict[str, Any] = {
    TAG: {"container_config": {"resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "4Gi"}}}}
}
"""For jobs that load many days in one run."""
