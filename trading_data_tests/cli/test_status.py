"""`trading-data status` if not everything can be read."""

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
    content = path.read_bytes()
    path.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    result = CliRunner().invoke(group, ["status", "--json"])
    assert result.exit_code == 1
    figures = json.loads(result.stdout)["datasets"]
    assert (figures["metrics"]["waiting_batches"], figures["metrics"]["inserted"]) == (1, 1)
    assert [drained.file.path in error for error in figures["metrics"]["damaged"]] == [True]
    assert figures["price"]["damaged"] == []
    error = str(result.exception)
    assert f"{drained.file.path} is damaged" in error
    assert "batches damaged" in CliRunner().invoke(group, ["status"]).output
    path.write_bytes(content)
    assert CliRunner().invoke(group, ["status"]).exit_code == 0
