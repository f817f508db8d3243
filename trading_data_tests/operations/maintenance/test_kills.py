"""SIGKILL at every step of compression and retention; the next night carries on, and all is as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from trading_data.archive.chunks import chunks, chunks_to_compress
from trading_data.archive.verify.run import verify
from trading_data.datasets import METRICS, PRICE
from trading_data.kill_points import AGING_POINTS, VARIABLE
from trading_data.settings import BACKUP_URI, HOME, INTAKE_URI, REDIS_URL, TIMESCALE_URL
from trading_data_tests.operations.maintenance.ages import (
    NOW,
    SHORT,
    aggregates,
    cold_files,
    rows,
    write_bars,
    write_measurements,
)
from trading_data_tests.operations.maintenance.nightly import night
from trading_data_tests.rig import Rig

NAMES = (REDIS_URL, TIMESCALE_URL, HOME, INTAKE_URI)
ROOT = Path(__file__).resolve().parents[3]


def filled(rig: Rig) -> None:
    write_bars(rig, 0, 3, 11, 12, minutes=20)
    write_measurements(rig, 0, 11, minutes=20)


def picture(rig: Rig) -> dict[str, Any]:
    """Everything but times of writing and the numbers of batches."""
    cold = {path.name: pq.read_table(path).to_pylist() for path in cold_files(rig) if path.suffix == ".parquet"}
    return {
        "rows": [[row[:-1] for row in rows(rig, dataset)] for dataset in (PRICE, METRICS)],
        "aggregates": [aggregates(rig, dataset) for dataset in (PRICE, METRICS)],
        "chunks": [
            (chunk.day, chunk.compressed) for dataset in (PRICE, METRICS) for chunk in chunks(rig.archive, dataset)
        ],
        "left to compress": chunks_to_compress(rig.archive, PRICE, NOW - SHORT.compress_after),
        "dropped": rig.query("select dataset, day, rows, aggregates from archive_dropped order by 1, 2"),
        "coverage": rig.query("select dataset, day, subject, rows from archive_coverage order by 1, 2, 3"),
        "cold": cold,
        "faults": [one.message for one in verify(rig.client, rig.archive, rig.intake, deep=True) if not one.ok],
    }


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    """The picture after an undisturbed night; filled by the first test that needs it."""
    return {}


@pytest.fixture(scope="module")
def nights() -> Iterator[subprocess.Popen[str]]:
    """The process whose forks are the nights."""
    command = [sys.executable, "-m", "trading_data_tests.operations.maintenance.nightly"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


@pytest.mark.parametrize("point", AGING_POINTS)
def test_killed_at(rig: Rig, nights: subprocess.Popen[str], undisturbed: dict[str, Any], point: str) -> None:
    if not undisturbed:
        filled(rig)
        before = [aggregates(rig, dataset) for dataset in (PRICE, METRICS)]
        night(rig)
        undisturbed.update(picture(rig))
        assert undisturbed["aggregates"] == before
        assert undisturbed["faults"] == []
        assert len(undisturbed["dropped"]) == 3
        for path in cold_files(rig):
            path.unlink()
        rig.clean()
    filled(rig)
    settings = {VARIABLE: point, **{name: os.environ[name] for name in NAMES}, BACKUP_URI: rig.settings.backup_uri}
    assert nights.stdin is not None
    assert nights.stdout is not None
    nights.stdin.write(json.dumps(settings) + "\n")
    nights.stdin.flush()
    assert int(nights.stdout.readline()) == -signal.SIGKILL
    assert [one.message for one in verify(rig.client, rig.archive, rig.intake) if not one.ok] == []
    night(rig)
    assert picture(rig) == undisturbed
