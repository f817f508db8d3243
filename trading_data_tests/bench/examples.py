"""Invented entries of a report."""

from typing import Any

from trading_data.bench.measure import Promise, RatioTarget, Spread

Entry = dict[str, Any]
PROMISES = {
    "archive": Promise("archive", "rows", "the limit", RatioTarget("at least", 0.8), "archive.py"),
    "replay": Promise("replay", "the same again", "the first time", RatioTarget("at most", 0.5, "and little log")),
    "idle": Promise("idle", "seconds of | work", "one core", None),
}


def entry(name: str = "archive", ratio: float = 0.5, **changed: Any) -> Entry:
    """An entry as `registry.run_one` makes them; the one of `archive` was measured against an earlier reference."""
    return {
        "name": name,
        "size": "1,000,000 entries",
        "ratio": Spread.of([ratio - 0.1, ratio, ratio + 0.1]).as_json(),
        "target": None,
        "met": None,
        "also": True,
        "settled": "0" * 40 if name == "archive" else "",
        "figures": {"snapshot_seconds": Spread.of([2.5]).as_json(), "share": {"up": 0.25}, "storage": "SQLite"},
        "versions": {"trading_data": "0.1.0", "live": "Redis 7.0.15"},
        "settings": {"live": {"appendonly": "yes"}, "archive": {"fsync": "on"}},
        "machine": {"cores": 2, "memory_gb": 23.0, "processor": "some | processor", "system": "Linux"},
        "conditions": {
            "scale": 1.0,
            "repetitions": 5,
            "load_before": 0.4,
            "servers": {"live": "given by URL", "archive": "embedded"},
            "seconds": 60.0,
        },
        "at": "2026-11-23T10:00:00+00:00",
        **changed,
    }
