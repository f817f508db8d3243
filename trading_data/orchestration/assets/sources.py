"""The keys of Redis as external assets at the head of the lineage: a spec for each kind of key."""

import dagster as dg

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


def source_specs(dataset: Dataset) -> list[dg.AssetSpec]:
    """The external assets of a dataset: its journals, and its latest values if there are any."""
    journal = _spec(
        journal_key(dataset),
        f"`{dataset.journal}`: every accepted entry ({dataset.title}), as a stream that never expires. "
        f"`{dataset.snapshot}` drains it; it is trimmed only after `{dataset.table}` has committed.",
    )
    if not dataset.latest:
        return [journal]
    latest = _spec(
        latest_key(dataset),
        f"`{dataset.latest}`: the latest value of each {dataset.subject}, as a hash that expires. "
        "It is archived too, for producers that do not write to the journal.",
    )
    return [journal, latest]


def state_source_specs() -> list[dg.AssetSpec]:
    """The external assets of the state."""
    return [
        _spec(
            key,
            f"`{KEYS[name].pattern}`: {KEYS[name].content}, as a {KEYS[name].type} that "
            f"{'expires' if KEYS[name].ttl else 'never expires'}. `state_snapshot` saves it.",
        )
        for name, key in state_keys().items()
    ]


def _spec(key: dg.AssetKey, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(key, description=description, group_name="sources", kinds={"redis"}, owners=[OWNER])
