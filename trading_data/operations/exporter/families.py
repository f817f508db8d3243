"""Exported metrics: every figure by its name, with its unit and its line of help."""

from trading_data.operations.health.meanings import FIGURES, Meaning

PREFIX = "trading_data"
_SUFFIX = {"bytes": "bytes", "s": "seconds", "ratio": "ratio", "per s": "per_second", "count": ""}


FAMILIES: dict[str, Meaning] = {
    name: figure for name, figure in FIGURES.items() if not name.startswith(("dagster.", "flow.backup."))
}
"""The figures that are measured on both tiers."""
UP, FINDINGS, TOOK = f"{PREFIX}_up", f"{PREFIX}_finding", f"{PREFIX}_measuring_seconds"
OTHERS = {
    UP: "1 where a tier (redis, timescale, flow) could be measured",
    FINDINGS: "1 for each finding there is now, by its key",
    TOOK: "How long the last measurement took",
}


def exported_name(figure: str, unit: str) -> str:
    """The name of a figure's family: `redis.memory.used` in bytes is `trading_data_redis_memory_used_bytes`."""
    name = "_".join([PREFIX, *figure.split(".")])
    suffix = _SUFFIX[unit]
    return name if not suffix or name.endswith(f"_{suffix}") else f"{name}_{suffix}"
