"""A calendar that does not know a day leaves its part out, with a word; runs, commands and reads go on.

`XSAU` begins in 2021, every calendar in 2000 at the earliest, `XTAE` cannot be made by some versions of the library, and no
exchange has the last name.
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from trading_data.calendars import TradingCalendar
from trading_data.calendars.states import CLOSED, MISSING, NO_CALENDAR, day_states
from trading_data.cli.main import group
from trading_data.datasets import PRICE
from trading_data.operations.health.pipeline import stale
from trading_data.orchestration.build import build_defs
from trading_data.settings import CALENDAR, START
from trading_data.sources.vendors.choose import VENDOR
from trading_data.times import DAY, now
from trading_data_tests.calendars.missing_days import Seller
from trading_data_tests.orchestration.ticks import checks, materializations, run_archive, schedule_tick, today
from trading_data_tests.rig import Rig, bar
from trading_data_tests.sources.vendors.alpaca_history import KEY, SECRET

UNKNOWN = {"XSAU": date(2020, 6, 3), "XNYS": date(1999, 6, 3), "NOWHERE": date(2026, 11, 20)}
"""An exchange, and a Wednesday, Thursday and Friday of which its calendar knows nothing."""
on_each = pytest.mark.parametrize(("exchange", "day"), UNKNOWN.items())


@pytest.fixture(autouse=True)
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(START, "1999-01-01")
    monkeypatch.setattr("trading_data_tests.rig.EARLIEST", datetime(1999, 1, 1, tzinfo=UTC))


def bars_of(rig: Rig, day: date, count: int = 3) -> None:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    rig.store.record_prices([bar("A", timestamp=noon + timedelta(minutes=at)) for at in range(count)])


@pytest.fixture
def seller(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seller]:
    made = Seller()
    for name, value in {
        VENDOR: "alpaca",
        "APCA_API_KEY_ID": KEY,
        "APCA_API_SECRET_KEY": SECRET,
        "TRADING_DATA_ALPACA_URL": made.server.url,
    }.items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()


@on_each
def test_an_archive_run_shows_the_word_instead_of_the_share(
    rig: Rig, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, exchange: str, day: date
) -> None:
    monkeypatch.setenv(CALENDAR, exchange)
    bars_of(rig, day)
    result = run_archive(instance)
    assert result.success
    shown = materializations(result, "price_data")[str(day)]
    assert shown["dagster/partition_row_count"] == 3
    assert shown["calendar"] == f"no calendar: {TradingCalendar.configured(exchange).known}"
    assert "coverage" not in shown
    assert "symbols with missing minutes" not in shown
    assert {passed for (asset, name), (passed, _) in checks(result).items() if "balance" in name} == {True}


@on_each
def test_coverage_says_no_calendar(rig: Rig, monkeypatch: pytest.MonkeyPatch, exchange: str, day: date) -> None:
    monkeypatch.setenv(CALENDAR, exchange)
    bars_of(rig, day)
    rig.archive_all(PRICE)
    asked = ["coverage", "--start", str(day - DAY), "--end", str(day + DAY)]
    found = CliRunner().invoke(group, [*asked, "--format", "json"])
    assert found.exit_code == 0, found.output
    (state,) = json.loads(found.stdout)["days"]
    assert (state["day"], state["state"], state["rows"], state["expected"]) == (str(day), NO_CALENDAR, 3, 0)
    assert json.loads(found.stdout)["to fill"] == []
    assert found.stderr == f"no calendar: {TradingCalendar.configured(exchange).known}\n"
    table = CliRunner().invoke(group, asked).stdout
    assert "A  ?" in table
    assert "1 no calendar (symbols by days)" in table


def test_known_and_unknown_days_beside_each_other(rig: Rig) -> None:
    bars_of(rig, date(2020, 12, 30))
    rig.archive_all(PRICE)
    riyadh = TradingCalendar.named("XSAU")
    found = day_states(rig.archive, PRICE, riyadh, date(2020, 12, 1), date(2021, 1, 4))
    assert found["state"].tolist() == [NO_CALENDAR] * 2 + [CLOSED] * 2 + [MISSING]
    ahead = day_states(rig.archive, PRICE, riyadh, now().date(), riyadh.end.date() + timedelta(days=9))
    assert NO_CALENDAR not in set(ahead["state"])
    assert len(ahead) <= 1
    only = [date(2020, 12, 30), date(2021, 1, 3)]
    some = day_states(rig.archive, PRICE, riyadh, date(2020, 12, 1), date(2021, 1, 4), only=only)
    assert (some["day"].tolist(), some["state"].tolist()) == (only, [NO_CALENDAR, MISSING])


def test_an_exchange_that_was_asked_for_must_exist(rig: Rig) -> None:
    found = CliRunner().invoke(group, ["coverage", "--calendar", "NOWHERE"])
    assert found.exit_code == 1
    assert "there is no exchange 'NOWHERE'" in str(found.exception or found.output)


def test_the_nightly_schedule_goes_on_and_says_the_word(
    rig: Rig, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CALENDAR, "NOWHERE")
    bars_of(rig, date(2026, 11, 20))
    rig.archive_all(PRICE)
    skipped = schedule_tick("gap_backfill_schedule", instance, datetime(2026, 11, 23, 1, 30, tzinfo=UTC)).skip_message
    assert "'no calendar': 3" in skipped
    assert "there is no exchange 'NOWHERE'" in skipped


def test_a_backfill_of_ones_own_asks_for_days_without_a_calendar_once(
    rig: Rig, instance: dg.DagsterInstance, seller: Seller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CALENDAR, "XSAU")
    job = build_defs().resolve_job_def("backfill_job")
    config = {"ops": {"price_history": {"config": {"symbols": ["A"]}}}}
    options: dict[str, Any] = {"instance": instance, "partition_key": "2020-06-03", "run_config": config}
    result = job.execute_in_process(**options)
    assert result.success
    assert seller.asked == [(date(2020, 6, 3), ("A",))]
    assert materializations(result, "price_history") == {}  # it has no bar
    (record,) = instance.fetch_observations(dg.AssetKey("price_history"), limit=10).records
    assert record.asset_observation is not None
    figures: dict[str, Any] = {name: entry.value for name, entry in record.asset_observation.metadata.items()}
    assert figures["before: no calendar"] == 1
    assert figures["before: closed"] == figures["before: missing"] == 0
    assert figures["calendar"].startswith("no calendar: the calendar XSAU knows 2021-01-01")
    seller.server.requests.clear()
    assert job.execute_in_process(**options).success
    assert seller.asked == []


@on_each
def test_freshness_is_not_known_and_the_reason_is(exchange: str, day: date) -> None:
    newest = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    assert TradingCalendar.configured(exchange).known in str(
        stale(PRICE, newest, newest + timedelta(hours=1), exchange)
    )


@pytest.mark.parametrize("exchange", ["XSAU", "XTAE"])
def test_a_session_filter_keeps_what_it_cannot_judge_and_says_so(rig: Rig, exchange: str) -> None:
    night = datetime(2020, 12, 30, 2, tzinfo=UTC)
    known = datetime(2021, 1, 3, 2, tzinfo=UTC)
    rig.store.record_prices([bar("A", timestamp=at) for at in (night, known, known + timedelta(hours=6))])
    calendar = TradingCalendar.named(exchange)
    wanted = [at for at in (night, known, known + timedelta(hours=6)) if at.hour == 8 or at < calendar.start]
    if exchange == "XTAE" and calendar.start == calendar.end:
        wanted = [night, known, known + timedelta(hours=6)]
    note = f"session: rows of days without a calendar are not filtered: {calendar.known}"
    asked = ("A", "2020-12-30", "2021-01-04")
    found = rig.reader.prices(*asked, session=exchange)
    assert found["timestamp"].tolist() == wanted
    assert found.attrs == {"missing": (), "notes": (note,)}
    table = rig.reader.prices(*asked, session=exchange, format="arrow")
    assert json.loads(table.schema.metadata[b"notes"]) == [note]
    parts = list(rig.reader.stream("price", *asked, session=exchange))
    assert parts[0].attrs["notes"] == (note,)
    daily = rig.reader.prices(*asked, "1d", session=exchange)
    assert len(daily) == len({at.date() for at in wanted})
    assert daily.attrs["notes"] == (note,)
    assert rig.reader.prices("A", "2021-01-03", "2021-01-04", session="XSAU").attrs["notes"] == ()
    assert rig.reader.prices(*asked).attrs["notes"] == ()
    for form in ("table", "csv", "parquet"):
        line = ["query", "prices", "A", "--start", asked[1], "--end", asked[2], "--session", exchange, "--format", form]
        said = CliRunner().invoke(group, line)
        assert (said.exit_code, said.stderr) == (0, f"note: {note}\n"), said.output


def test_today_is_archived_whatever_the_calendar(
    rig: Rig, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CALENDAR, "XTAE")
    bars_of(rig, now().date() - DAY)
    assert run_archive(instance, today()).success
