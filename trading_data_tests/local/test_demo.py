"""The demo: started with the first test, because it mostly waits, and checked with the last."""

import io
import json
import re

from rich.console import Console

from trading_data.cli.demo import Progress, progress_on
from trading_data_tests.local.demo_process import RunningDemo


def test_the_demo_loses_nothing(demo: RunningDemo) -> None:
    code, output = demo.wait()
    assert code == 0, output
    report = json.loads(demo.report.read_text())
    for dataset in ("price", "trade", "metrics"):
        counts = report[dataset]
        assert counts["accepted"] > 0
        assert counts["lost"] == 0
        assert (
            counts["accepted"] == counts["inserted"] + counts["replaced"] + counts["unchanged"] + counts["quarantined"]
        )
    assert report["memory_pressure_runs"] >= 1
    assert report["archive_runs"] > report["memory_pressure_runs"]
    assert report["aggregates_equal"] is True
    assert report["compression_ratio"] > 2
    assert set(report["rows_by_tier"]) == {"archive", "live"}
    for step in ("sending", "archiving"):
        assert re.search(
            rf"^  {step}: \d+ %, [\d,]+ rows accepted, [\d,]+ archived in \d+ runs?$", output, re.MULTILINE
        ), output
    assert {"trading_data", "live", "archive", "dagster", "python"} <= set(report["versions"])


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere() -> None:
    shown = {}
    for terminal in (True, False):
        file = io.StringIO()
        with progress_on(Console(file=file, force_terminal=terminal, width=120)) as (say, show):
            say("begins")
            for done in (0, 195, 390):
                show(Progress("sending", done, 390, 1000 * done, 500 * done, 1))
            show(Progress("archiving", 195_000, 390_000, 390_000, 195_000, 2))
        shown[terminal] = file.getvalue()
    assert shown[False].splitlines() == [
        "begins",
        "  sending: 0 %, 0 rows accepted, 0 archived in 1 run",
        "  archiving: 50 %, 390,000 rows accepted, 195,000 archived in 2 runs",
    ]
    assert "begins" in shown[True]
    assert "━" in shown[True]
    assert "390,000 rows accepted, 195,000 archived in 2 runs" in shown[True]
