"""What the tests of this folder share: rows of a given age, datasets with other ages, everything that must not change.

Belongs here: helpers. Does not: tests.
"""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from trading_data.datasets import METRICS, PRICE
from trading_data.datasets.declaration import Dataset
from trading_data.operations.maintenance.cold_storage import ColdStore
from trading_data.operations.maintenance.compression import Compressed, compress_aged
from trading_data.operations.maintenance.retention import Covered, DropVerdict, plan, retain
from trading_data.settings import TIMESCALE_URL
from trading_data_tests.rig import MOMENT, Rig, bar, measurement

NOW = MOMENT + timedelta(hours=3)
SHORT = replace(PRICE, compress_after=timedelta(days=1), drop_after=timedelta(days=10), drop_needs_backup=False)
"""Bars that are kept for ten days, and written to a cold file first."""
METRICS_SHORT = replace(METRICS, drop_after=timedelta(days=10))
"""Measurements that are kept for ten days."""

several_sessions = pytest.mark.skipif(
    not os.environ.get(TIMESCALE_URL), reason=f"the embedded server has one session: set {TIMESCALE_URL}"
)


def write_bars(rig: Rig, *ages: int, minutes: int = 130, symbols: str = "AB") -> None:
    """Archive bars of days so many days before MOMENT."""
    for age in ages:
        start = MOMENT - timedelta(days=age)
        rig.store.record_prices(
            [
                bar(symbol, timestamp=start + timedelta(minutes=minute), close=9 + minute % 7 / 4)
                for minute in range(minutes)
                for symbol in symbols
            ]
        )
    rig.archive_all(PRICE)


def write_measurements(rig: Rig, *ages: int, minutes: int = 90) -> None:
    """Archive measurements of days so many days before MOMENT."""
    for age in ages:
        rig.store.record_metrics([measurement("m", minute - 1440 * age, value=minute / 3) for minute in range(minutes)])
    rig.archive_all(METRICS)


def compressed(rig: Rig, dataset: Dataset = SHORT, **options: Any) -> dict[int, Compressed]:
    """Compress; outcomes by age in days."""
    return {_age(one.chunk): one for one in compress_aged(rig.archive, dataset, NOW, **options)}


def verdicts(rig: Rig, dataset: Dataset = SHORT, covered: Covered | None = None) -> dict[int, DropVerdict]:
    """What retention would do, by age in days."""
    return {_age(one.chunk): one for one in plan(rig.archive, rig.intake, dataset, NOW, covered=covered)}


def retained(rig: Rig, dataset: Dataset = SHORT, **options: Any) -> dict[int, DropVerdict]:
    """What retention did, by age in days."""
    found = retain(rig.archive, rig.intake, dataset, NOW, cold=cold(rig), **options)
    return {_age(one.chunk): one for one in found}


def cold(rig: Rig) -> ColdStore:
    """The rig's cold files."""
    return ColdStore(rig.settings.backup_uri)


def cold_files(rig: Rig) -> list[Path]:
    """All of them, and whatever else lies there."""
    return sorted(path for path in Path(rig.settings.backup_uri).rglob("*") if path.is_file())


def aggregates(rig: Rig, dataset: Dataset = PRICE) -> dict[str, list[tuple[Any, ...]]]:
    """Every bucket of every aggregate."""
    return {
        aggregate.name: rig.query(f"select * from {aggregate.name} order by 1, 2") for aggregate in dataset.aggregates
    }


def rows(rig: Rig, dataset: Dataset = PRICE) -> list[tuple[Any, ...]]:
    """Every raw row."""
    return rig.query(f"select * from {dataset.table} order by 1, 2")


def _age(chunk: Any) -> int:
    return int((MOMENT.date() - chunk.day).days)
