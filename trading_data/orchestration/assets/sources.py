"""What Redis itself holds, as external assets at the head of the lineage.

Belongs here: one spec a kind of key. Does not: anything that runs.
"""

import dagster as dg

from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Dataset

OWNER = "team:market-data"


def journal_key(dataset: Dataset) -> dg.AssetKey:
    """The external asset for a dataset's journals."""
    return dg.AssetKey(["redis", f"journal_{dataset.name}"])


def latest_key(dataset: Dataset) -> dg.AssetKey:
    """The external asset for a dataset's latest values."""
    return dg.AssetKey(["redis", f"latest_{dataset.name}"])


def source_specs() -> list[dg.AssetSpec]:
    """Specs of all external assets."""
    specs = []
    for dataset in DATASETS.values():
        specs.append(
            dg.AssetSpec(
                journal_key(dataset),
                description=f"`{dataset.journal}`: every accepted entry ({dataset.title}), as a stream. Never expires; "
                f"`{dataset.snapshot}` drains it, and it is trimmed only when `{dataset.table}` has committed.",
                group_name="sources",
                kinds={"redis"},
                owners=[OWNER],
            )
        )
        if dataset.latest:
            specs.append(
                dg.AssetSpec(
                    latest_key(dataset),
                    description=f"`{dataset.latest}`: the latest value of each {dataset.subject}, as a hash that expires. "
                    "Read for producers that have never heard of the journal.",
                    group_name="sources",
                    kinds={"redis"},
                    owners=[OWNER],
                )
            )
    return specs
