"""The line that `up` prints once a minute."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from trading_data.archive.ledger import account
from trading_data.cli import up
from trading_data.cli.up import DagsterTroubles, MinuteLine, minute_line
from trading_data.datasets import DATASETS
from trading_data.operations.alerts.notify import notify
from trading_data.operations.alerts.state import StorageMemory
from trading_data.times import now
from trading_data_tests.operations.alerts.receivers import Kept, error, finding
from trading_data_tests.orchestration.ticks import end_run, started_run
from trading_data_tests.rig import Rig, bar, measurement

NOTHING = DagsterTroubles([], [])


def test_rows_archived_and_rejected_are_said_by_dataset(rig: Rig) -> None:
    def accounts() -> dict[str, object]:
        return {name: account(rig.archive, dataset) for name, dataset in DATASETS.items()}

    before = accounts()
    output = minute_line(before, before, NOTHING)  # type: ignore[arg-type]
    assert output == "rows archived: none; open alerts: none; failed runs: none"
    rig.store.record_prices([bar("A"), bar("B")])
    rig.store.record_metrics([measurement()])
    rig.entry("journal:price:ODD", {"timestamp": "yesterday"})
    for dataset in DATASETS.values():
        rig.archive_all(dataset)
    output = minute_line(before, accounts(), None)  # type: ignore[arg-type]
    assert output == (
        "rows archived: price 2, metrics 1; rejected entries: 1, see `trading-data quarantine list`; "
        "Dagster's storage does not answer"
    )


def test_open_alerts_and_failed_runs_are_named_and_counted() -> None:
    output = minute_line(
        {}, {}, DagsterTroubles(["redis_away", "a", "b", "c", "d"], ["assets", "archive_job", "assets"])
    )
    assert output == (
        "rows archived: none; open alerts: 5 (redis_away, a, b, c, 1 other); failed runs: 3 (2 assets, archive_job); "
        "see `trading-data doctor`"
    )


def test_it_asks_dagster_and_of_runs_only_for_those_of_the_last_minute(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    lines = MinuteLine(replace(rig.settings, dagster_url=None), tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        notify(StorageMemory(instance.daemon_cursor_storage), [Kept()], [finding("lag"), error("full")], 0.0, 60.0)
        end_run(instance, started_run(instance), dg.DagsterRunStatus.FAILURE)
        end_run(instance, started_run(instance, **{"dagster/will_retry": "true"}), dg.DagsterRunStatus.FAILURE)
        assert lines.text() == ""  # the minute is not over
        monkeypatch.setattr(up, "MINUTE", 0.0)
        assert lines.text().endswith(
            "open alerts: 2 (full, lag); failed runs: 1 (archive_job); see `trading-data doctor`"
        )
    assert lines._troubles(now() + timedelta(minutes=1)) == DagsterTroubles(["full", "lag"], [])
