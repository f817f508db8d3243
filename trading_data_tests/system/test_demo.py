"""The demo: begun with the first test, so that its waiting costs nothing, and looked at with the last."""

import json

from trading_data_tests.system.beside import RunningDemo


def test_the_demo_loses_nothing(demo: RunningDemo) -> None:
    code, said = demo.wait()
    assert code == 0, said
    report = json.loads(demo.report.read_text())
    for dataset in ("price", "trade", "metrics"):
        one = report[dataset]
        assert one["accepted"] > 0
        assert one["lost"] == 0
        assert one["accepted"] == one["inserted"] + one["replaced"] + one["unchanged"] + one["quarantined"]
    assert report["memory_pressure_runs"] >= 1
    assert report["archive_runs"] > report["memory_pressure_runs"]
    assert report["aggregates_equal"] is True
    assert report["compression_ratio"] > 2
    assert set(report["rows_by_tier"]) == {"archive", "live"}
    assert {"trading_data", "live", "archive", "dagster", "python"} <= set(report["versions"])
