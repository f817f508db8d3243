"""Assets that are named in another one's description become links to their pages, so that the web UI can be walked.

Belongs here: that. Does not: the descriptions, which stand with their assets.
"""

import re
from collections.abc import Sequence

import dagster as dg

_NAME = re.compile(r"`(\w+)`")

Assets = Sequence[dg.AssetSpec | dg.AssetsDefinition]


def linked(assets: Assets) -> list[dg.AssetSpec | dg.AssetsDefinition]:
    """The same assets with links in their descriptions; an asset has none to itself."""
    keys = {spec.key.path[-1]: spec.key for one in assets for spec in _specs(one)}

    def with_links(spec: dg.AssetSpec) -> dg.AssetSpec:
        def link(found: re.Match[str]) -> str:
            key = keys.get(found[1], spec.key)
            return found[0] if key == spec.key else f"[{found[0]}](/assets/{'/'.join(key.path)})"

        return spec.replace_attributes(description=_NAME.sub(link, spec.description or ""))

    return [
        one.map_asset_specs(with_links) if isinstance(one, dg.AssetsDefinition) else with_links(one) for one in assets
    ]


def _specs(one: dg.AssetSpec | dg.AssetsDefinition) -> list[dg.AssetSpec]:
    return list(one.specs) if isinstance(one, dg.AssetsDefinition) else [one]
