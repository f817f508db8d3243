"""The keys of Redis as external assets at the head of the lineage: one spec for each kind of key."""

import dagster as dg

from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Dataset
from trading_data.live.keys import KEYS

OWNER = "team:market-data"


def journal_key(dataset: Dataset) -> dg.AssetKey:
    """The external asset for a dataset's journals."""
    return dg.AssetKey(["redis", f"journal_{dataset.name}"])


def latest_key(dataset: Dataset) -> dg.AssetKey:
    """The external asset for a dataset's latest values."""
    return dg.AssetKey(["redis", f"latest_{dataset.name}"])


def state_keys() -> dict[str, dg.AssetKey]:
    """The external assets for the keys that belong to the state, by the names of `live.keys.KEYS`."""
    return {name: dg.AssetKey(["redis", f"state_{name}"]) for name, declared in KEYS.items() if declared.state}


def source_specs() -> list[dg.AssetSpec]:
    """Specs of all external assets."""
    specs = []
    for dataset in DATASETS.values():
        specs.append(
            dg.AssetSpec(
                journal_key(dataset),
                description=f"`{dataset.journal}`: every accepted entry ({dataset.title}), as a stream that never expires. "
                f"`{dataset.snapshot}` drains it; it is trimmed only after `{dataset.table}` has committed.",
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
                    "It is archived too, for producers that do not write to the journal.",
                    group_name="sources",
                    kinds={"redis"},
                    owners=[OWNER],
                )
            )
    for name, key in state_keys().items():
        declared = KEYS[name]
        lifetime = "expires" if declared.ttl else "never expires"
        specs.append(
            dg.AssetSpec(
                key,
                description=f"`{declared.pattern}`: {declared.content}, as a {declared.type} that {lifetime}. "
                "`state_snapshot` saves it.",
                group_name="sources",
                kinds={"redis"},
                owners=[OWNER],
            )
        )
    return specs
