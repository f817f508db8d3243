"""Invented entries of a report."""

from typing import Any

from trading_data.bench.measure import Spread

Entry = dict[str, Any]


def entry(name: str = "archive", ratio: float = 0.5, target: str | None = "≥ 0.8", **changed: Any) -> Entry:
    """An entry as `registry.run_one` makes them; missed, unless it says otherwise."""
    return {
        "name": name,
        "ratio": ratio,
        "target": target,
        "met": None if target is None else False,
        "measures": "what is measured",
        "reference": "what it is measured against",
        "figures": {
            "ratio": Spread.of([ratio - 0.1, ratio, ratio + 0.1]).as_json(),
            "entries": 1_000_000,
            "snapshot_seconds": Spread.of([2.5]).as_json(),
        },
        "versions": {
            "trading_data": "0.1.0",
            "live": "Redis 7.0.15",
            "archive": "TimescaleDB 2.29.2 on PostgreSQL 18.6",
        },
        "machine": {"cores": 2, "memory_gb": 23.0, "processor": "some | processor", "system": "Linux"},
        "conditions": {
            "scale": 1.0,
            "repetitions": 5,
            "load_before": 0.4,
            "servers": {"live": "given by URL", "archive": "given by URL"},
            "seconds": 60.0,
        },
        "at": "2026-11-23T10:00:00+00:00",
        **changed,
    }
