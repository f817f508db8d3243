"""Whole tables into the intake: rejected rows are kept so that nothing of them is lost."""

import json

import pyarrow as pa

from trading_data.archive.quarantine.queries import retry
from trading_data.datasets import METRICS
from trading_data.intake.import_rows import import_rows
from trading_data_tests.rig import EARLIEST, Rig


def test_a_row_that_is_not_utf8_can_be_had_back_and_is_not_taken_for_its_text(rig: Rig) -> None:
    columns = {"metric_name": b"m\xff", "timestamp": b"2026-11-20T15:00:00Z", "value": b"1", "unit": b""}
    table = pa.table({name: pa.array([value], pa.binary()) for name, value in columns.items()})
    list(import_rows(rig.intake, METRICS, "file.csv", [table], origin="file", earliest=EARLIEST))
    rig.load(METRICS)
    ((number, payload),) = rig.query("select quarantine_id, payload::text from archive_quarantine")
    fields = dict(json.loads(payload)["fields"])
    assert {name: value.encode("utf-8", "surrogateescape") for name, value in fields.items()} == columns
    retry(rig.archive, rig.intake, ids=[number], earliest=EARLIEST)
    rig.load(METRICS)
    assert rig.query("select count(*) from metrics_data") == [(0,)]
    assert rig.query("select kind, settled from archive_quarantine") == [("not UTF-8", None)]
