"""`trading-data coverage`: states of symbols and days, and where sources disagree."""

import json
from datetime import date
from typing import Any

from click.testing import CliRunner

from trading_data.cli.main import group
from trading_data.datasets import PRICE
from trading_data.intake.take import take
from trading_data_tests.history.holes import FIRST, bars
from trading_data_tests.rig import EARLIEST, Rig

DAY_AFTER = date(FIRST.year, FIRST.month, FIRST.day + 1)


def said(*arguments: str) -> str:
    found = CliRunner().invoke(group, ["coverage", "--start", str(FIRST), "--end", str(DAY_AFTER), *arguments])
    assert found.exit_code == 0, found.output
    return found.output


def bring(rig: Rig, *tables: Any) -> None:
    for table in tables:
        list(take(rig.intake, PRICE, "test", [table], origin="file", earliest=EARLIEST))
        rig.load(PRICE)


def test_what_is_held_and_what_is_missing(rig: Rig) -> None:
    assert "no symbol is known" in said()
    bring(rig, bars("A", FIRST), bars("B", FIRST, slice(0, 100)))
    assert "1 complete, 0 no trade, 1 missing" in said()
    assert f"to fill: {FIRST}" in said()
    document = json.loads(said("--format", "json"))
    assert [(one["subject"], one["held"], one["expected"]) for one in document["days"]] == [
        ("A", 390, 390),
        ("B", 100, 390),
    ]
    assert said("B", "--format", "csv").splitlines()[1].startswith(f"B,{FIRST},missing,100,100,390")


def test_where_sources_disagree(rig: Rig) -> None:
    assert "no row of one source gave way" in said("--sources")
    other = bars("A", FIRST, slice(0, 10), source="elsewhere")
    higher = other.set_column(3, "high", [[value + 5 for value in other["high"].to_pylist()]])
    bring(rig, bars("A", FIRST), higher)
    (pair,) = json.loads(said("--sources", "--format", "json"))
    assert (pair["winner"], pair["loser"], pair["compared"], pair["beyond"]) == ("alpaca:iex", "elsewhere", 10, 10)
    assert "10 of 10 rows" in said("--sources")
