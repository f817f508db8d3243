"""`trading-data coverage`: states of symbols and days, and where sources disagree."""

import json
import re
from datetime import date, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from trading_data.cli.main import group
from trading_data.datasets import PRICE
from trading_data.intake.import_rows import import_rows
from trading_data.times import DAY, day_start, now
from trading_data_tests.calendars.missing_days import FIRST, bars
from trading_data_tests.rig import EARLIEST, Rig, bar

DAY_AFTER = date(FIRST.year, FIRST.month, FIRST.day + 1)


def run(*arguments: str) -> str:
    found = CliRunner().invoke(group, ["coverage", *arguments])
    assert found.exit_code == 0, found.output
    return found.output


def said(*arguments: str) -> str:
    return run("--start", str(FIRST), "--end", str(DAY_AFTER), *arguments)


def bring(rig: Rig, *tables: Any) -> None:
    for table in tables:
        list(import_rows(rig.intake, PRICE, "test", [table], origin="file", earliest=EARLIEST))
        rig.load(PRICE)


def test_what_is_held_and_what_is_missing(rig: Rig) -> None:
    assert "no symbol has an archived row before the end of the range" in said()
    bring(rig, bars("A", FIRST), bars("B", FIRST, slice(0, 100)))
    assert "1 complete, 0 no trade, 1 missing" in said()
    assert f"to fill: {FIRST}" in said()
    document = json.loads(said("--format", "json"))
    assert [(day["subject"], day["held"], day["expected"]) for day in document["days"]] == [
        ("A", 390, 390),
        ("B", 100, 390),
    ]
    assert said("B", "--format", "csv").splitlines()[1].startswith(f"B,{FIRST},missing,100,100,390")


@pytest.mark.parametrize(("dataset", "interval"), [("trades", "1d"), ("metrics", "1h")])
def test_what_is_not_expected_every_minute_is_refused_with_what_shows_it(rig: Rig, dataset: str, interval: str) -> None:
    refused = CliRunner().invoke(group, ["coverage", "--dataset", dataset])
    assert refused.exit_code == 2
    assert f"{dataset} are not expected every minute" in refused.output
    command = re.search(r"`trading-data (query [^`]+)`", refused.output.replace("\n", " "))
    assert command is not None
    assert command[1].endswith(f"--interval {interval}")
    shown = CliRunner().invoke(group, command[1].split())
    assert shown.exit_code == 0, shown.output
    assert "no row of one source was replaced" in run("--dataset", dataset, "--sources")


def marks(text: str) -> dict[str, str]:
    """The letter of the only day, by symbol."""
    rows = text.split(" … ", 1)[1].split("█ complete", 1)[0].splitlines()[1:]
    return {row.split()[0]: row[-1] for row in rows}


def test_a_day_with_some_of_its_minutes_is_neither_empty_nor_complete(rig: Rig) -> None:
    bring(rig, bars("FULL", FIRST), bars("FEW", FIRST, slice(0, 10)))
    found = said("FULL", "FEW", "NONE")
    assert marks(found) == {"FEW": "▄", "FULL": "█", "NONE": "·"}
    assert f"missing in part: 1 day of a symbol, with 10 of 390 minutes; the first: FEW on {FIRST}, 10 of 390" in found
    assert "prices: the archive has no row of NONE" in found
    assert "outside" not in found


def test_rows_outside_of_sessions_are_counted_and_the_first_is_named(rig: Rig) -> None:
    saturday = date(2026, 11, 14)
    midnight = day_start(FIRST)
    early = [bar("A", timestamp=midnight + timedelta(hours=hour)) for hour in (15, 9, 8)]  # one of them in the session
    rig.store.record_prices([*early, bar("B", timestamp=day_start(saturday) + timedelta(hours=12))])
    rig.archive_all(PRICE)
    found = run("--start", str(FIRST), "--end", str(saturday + DAY))
    assert "outside the sessions of XNYS: 3 minutes with rows, of 2 symbols; the first: A at 2026-11-09T08:00Z" in found
    assert marks(run("--start", str(saturday), "--end", str(saturday + DAY))) == {"A": " ", "B": "+"}
    days = json.loads(run("--start", str(FIRST), "--end", str(DAY_AFTER), "--format", "json"))["days"]
    assert [(day["rows"], day["held"], day["outside"], day["first_outside"]) for day in days] == [
        (3, 1, 2, "2026-11-09T08:00Z")
    ]


def test_a_market_that_never_closes(rig: Rig) -> None:
    saturday = date(2026, 11, 14)
    start = day_start(saturday)
    whole = [bar("BTC", timestamp=start + timedelta(minutes=at)) for at in range(1440)]
    rig.store.record_prices(
        [*whole, bar("ETH", timestamp=start), bar("ETH", timestamp=start + timedelta(minutes=1439))]
    )
    rig.archive_all(PRICE)
    found = run("--start", str(saturday), "--end", str(saturday + DAY), "--calendar", "24/7")
    assert marks(found) == {"BTC": "█", "ETH": "▄"}
    assert "2 of 1,440" in found
    assert "outside" not in found


def test_a_day_that_goes_on_is_open(rig: Rig) -> None:
    minute = now().replace(second=0, microsecond=0)
    rig.store.record_prices([bar("A", timestamp=minute)])
    rig.archive_all(PRICE)
    found = run("--calendar", "24/7")
    assert marks(found) == {"A": "o"}
    assert f"open: 1 day of a symbol, with 1 of 1,440 minutes; the first: A on {minute:%Y-%m-%d}" in found
    assert "to fill" not in found


def test_where_sources_disagree(rig: Rig) -> None:
    assert "no row of one source was replaced" in said("--sources")
    other = bars("A", FIRST, slice(0, 10), source="elsewhere")
    higher = other.set_column(3, "high", [[value + 5 for value in other["high"].to_pylist()]])
    bring(rig, bars("A", FIRST), higher)
    (pair,) = json.loads(said("--sources", "--format", "json"))
    assert (pair["winner"], pair["loser"], pair["compared"], pair["beyond"]) == ("alpaca:iex", "elsewhere", 10, 10)
    assert "10 of 10 rows" in said("--sources")
