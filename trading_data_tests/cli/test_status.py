"""`trading-data status`: what it shows where not everything can be read."""

import json
from pathlib import Path

from click.testing import CliRunner

from trading_data.cli.main import group
from trading_data.datasets import METRICS
from trading_data_tests.rig import Rig, measurement


def test_status_names_a_damaged_batch_and_shows_the_rest(rig: Rig) -> None:
    rig.store.record_metrics([measurement(minute=0)])
    rig.archive_all(METRICS)
    rig.store.record_metrics([measurement(minute=1)])
    (drained,) = rig.snapshot(METRICS)
    path = Path(drained.file.path)
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    found = CliRunner().invoke(group, ["status", "--json"])
    assert found.exit_code == 1
    figures = json.loads(found.stdout)["datasets"]
    assert (figures["metrics"]["waiting_batches"], figures["metrics"]["inserted"]) == (1, 1)
    assert [drained.file.path in one for one in figures["metrics"]["damaged"]] == [True]
    assert figures["price"]["damaged"] == []
    error = str(found.exception)
    assert f"{drained.file.path} is damaged" in error
    assert "batches damaged" in CliRunner().invoke(group, ["status"]).output
    path.write_bytes(whole)
    assert CliRunner().invoke(group, ["status"]).exit_code == 0
