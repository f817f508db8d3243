"""An export of `query` can be imported without options: every row comes back equal, from CSV and from Parquet."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from trading_data.cli.main import group
from trading_data.datasets import DATASETS, METRICS, PRICE, TRADE
from trading_data.datasets.declaration import Dataset
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement

RANGE = ["--start", "2026-11-20", "--end", "2026-11-21"]
LATE: dict[str, Any] = {"timestamp": MOMENT + timedelta(minutes=7, microseconds=1)}
TYPES = {
    "price": {"timestamp": pa.timestamp("us", "UTC"), "close": pa.float64(), "symbol": pa.string()},
    "trade": {"timestamp": pa.timestamp("us", "UTC"), "price": pa.decimal128(38, 18), "side": pa.string()},
    "metrics": {"timestamp": pa.timestamp("us", "UTC"), "value": pa.float64(), "unit": pa.string()},
}


def record(rig: Rig, dataset: Dataset, part: int) -> None:
    """Rows with all that a text could spoil: tiny and large figures, exact ones, commas, quotes, nothing at all."""
    if dataset is PRICE:
        small = {"open": 8.12e-06, "high": 8.99e-06, "low": 8.01e-06, "close": 8.88e-06, "volume": 123456789012345.0}
        large = {"open": 731299.99, "high": 731300.01, "low": 0.1 + 0.2, "close": 1 / 3, "volume": 0.0, **LATE}
        rig.store.record_prices([bar("SHIB", part, **small), bar('A,"B" 株', part, **large), bar("NA", part)])
    elif dataset is TRADE:
        exact: dict[str, Any] = {
            "quantity": Decimal("1E-18"),
            "price": Decimal("12345678901234567890.123456789012345678"),
        }
        rig.store.record_trades(
            [
                fill(f"00{part}", "1e5", commission=Decimal("-0.10"), strategy="", **exact),
                fill(f"{part}12345678901", strategy='a,"b"\nc', symbol="SPY   261120C00400000", minute=part, **LATE),
            ]
        )
    else:
        given = [
            measurement("latency", part, 5e-324),
            measurement("pnl", part, -1e22, ""),
            measurement("null", part, 0.1),
        ]
        rig.store.record_metrics(given)


def run(*arguments: str) -> tuple[int, bytes, str]:
    done = CliRunner().invoke(group, arguments)
    return done.exit_code, done.stdout_bytes, f"{done.stderr}{done.exception or ''}"


def rows(rig: Rig, dataset: Dataset) -> pd.DataFrame:
    return rig.reader.read(dataset, None, "2026-11-20", "2026-11-21").drop(columns="tier")


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("name", DATASETS)
def test_an_export_is_taken_as_it_is(name: str, form: str, rig: Rig, tmp_path: Path) -> None:
    dataset = DATASETS[name]
    record(rig, dataset, 0)
    rig.archive_all(dataset)
    record(rig, dataset, 1)
    expected = rows(rig, dataset)
    code, data, output = run("query", dataset.plural, *RANGE, "--format", form)
    assert (code, output) == (0, "")
    file = tmp_path / f"rows.{form}"
    file.write_bytes(data)
    if form == "parquet":
        schema = pq.read_schema(file)
        assert {name: schema.field(name).type for name in TYPES[name]} == TYPES[name]
    rig.clean()
    code, told, output = run("import", dataset.plural, str(file))
    assert (code, output) == (0, "")
    assert f"{len(expected)} rows and 0 rejected ones wait in the intake" in told.decode()
    rig.load(dataset)
    pd.testing.assert_frame_equal(rows(rig, dataset), expected, check_exact=True)


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(("dataset", "interval"), [(PRICE, "5m"), (PRICE, "1d"), (TRADE, "1d"), (METRICS, "1h")])
def test_an_aggregate_is_refused_by_name(dataset: Dataset, interval: str, form: str, rig: Rig, tmp_path: Path) -> None:
    record(rig, dataset, 0)
    rig.archive_all(dataset)
    file = tmp_path / f"buckets.{form}"
    file.write_bytes(run("query", dataset.plural, *RANGE, "--interval", interval, "--format", form)[1])
    code, _, output = run("import", dataset.plural, str(file))
    assert code == 1
    assert f"holds an aggregate, whose buckets are no {dataset.title}" in output
    assert f"`trading-data query {dataset.plural} … --interval raw`" in output
    assert rig.intake.pending(dataset.name) == []
