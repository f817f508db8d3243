"""Holes of every kind: found, filled where they can be, marked where not, and not asked for again."""

from datetime import date, timedelta

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_data.calendars import TradingCalendar
from trading_data.calendars.states import MOST_ATTEMPTS, by_state, day_states, heat_map, to_fill
from trading_data.datasets import PRICE
from trading_data.errors import VendorError, VendorRefused
from trading_data.intake.import_rows import import_rows
from trading_data.sources.backfill import FillResult, fill_days
from trading_data.times import DAY
from trading_data_tests.calendars.missing_days import FIRST, LAST, NYSE, SOURCE, Seller, bars, days
from trading_data_tests.rig import EARLIEST, Rig

WEEK = FIRST, LAST + 3 * DAY
TUESDAY, WEDNESDAY, THURSDAY = FIRST + DAY, FIRST + 2 * DAY, FIRST + 3 * DAY


def archive(rig: Rig, *tables: pa.Table) -> None:
    list(import_rows(rig.intake, PRICE, "test", tables, origin="file", earliest=EARLIEST))
    rig.load(PRICE)
    rig.refresh(PRICE)


def states(rig: Rig, *symbols: str) -> dict[tuple[str, date], str]:
    frame = day_states(rig.archive, PRICE, TradingCalendar.named(NYSE), *WEEK, symbols or None)
    return {(row["subject"], row["day"]): row["state"] for row in frame.to_dict("records")}


def ask(rig: Rig, seller: Seller, *wanted: tuple[str, date]) -> list[FillResult]:
    """Ask for what is missing, or for what is named."""
    found: dict[date, list[str]] = {}
    for symbol, day in wanted or [key for key, state in states(rig).items() if state == "missing"]:
        found.setdefault(day, []).append(symbol)
    try:
        return list(fill_days(rig.archive, rig.intake, PRICE, seller.vendor, found, earliest=EARLIEST))
    finally:
        rig.load(PRICE)


def test_holes_of_every_kind(rig: Rig, seller: Seller) -> None:
    archive(rig, bars("A", FIRST), bars("A", WEDNESDAY, slice(0, 100)), bars("B", TUESDAY), bars("c", FIRST))
    before = states(rig)
    assert before["A", FIRST] == "complete"
    assert before["A", WEDNESDAY] == "missing"
    assert before["A", LAST + DAY] == "closed"
    assert ("B", FIRST) not in before
    for day in days(WEDNESDAY):
        seller.has("A", day)
        seller.has("B", day, slice(0, 389) if day == THURSDAY else slice(None))
    ask(rig, seller)
    after = states(rig)
    assert [after["A", day] for day in days()] == ["complete", "no trade", "complete", "complete", "complete"]
    assert after["B", THURSDAY] == "no trade"
    assert [after["c", day] for day in days()] == ["complete"] + 4 * ["unrepairable"]
    assert "missing" not in after.values()
    seller.server.requests.clear()
    ask(rig, seller)
    assert seller.asked == []


def test_only_what_is_missing_is_asked_for(rig: Rig, seller: Seller) -> None:
    archive(rig, *(bars("A", day) for day in days()), bars("B", FIRST))
    for day in days(TUESDAY):
        seller.has("B", day)
    ask(rig, seller)
    assert seller.asked == [(TUESDAY, ("B",))]
    assert set(states(rig).values()) == {"complete", "closed"}


def test_an_answer_before_the_close_is_not_final(rig: Rig, seller: Seller) -> None:
    archive(rig, bars("A", FIRST))
    ask(rig, seller)
    assert states(rig)["A", TUESDAY] == "no trade"
    rig.query("update archive_asked set asked_at = '2026-11-10T21:10Z' where day = '2026-11-10' returning 1")
    assert states(rig)["A", TUESDAY] == "missing"


def test_days_after_a_failure_are_asked_for_and_the_run_fails(rig: Rig, seller: Seller) -> None:
    archive(rig, bars("A", FIRST))
    seller.has("A", LAST)
    seller.fails("cats", "cats")
    with pytest.raises(VendorError, match=r"failed on 1 of 4 days, first on 2026-11-10: .*run the failed days again"):
        ask(rig, seller)
    after = states(rig)
    assert (after["A", TUESDAY], after["A", LAST]) == ("missing", "complete")


def test_what_fails_again_and_again_is_given_up_and_may_be_asked_for_by_hand(rig: Rig, seller: Seller) -> None:
    archive(rig, bars("A", FIRST))
    seller.has("A", TUESDAY)
    for _ in range(MOST_ATTEMPTS):
        seller.fails("cats")
        with pytest.raises(VendorError):
            ask(rig, seller, ("A", TUESDAY))
    assert states(rig)["A", TUESDAY] == "unrepairable"
    ask(rig, seller, ("A", TUESDAY))
    assert states(rig)["A", TUESDAY] == "complete"


def test_a_vendor_that_is_away_marks_nothing(rig: Rig, seller: Seller) -> None:
    archive(rig, bars("A", FIRST))
    seller.fails("well", "away")
    with pytest.raises(VendorError, match="failed on 1 of 2 days"):
        ask(rig, seller, ("A", TUESDAY), ("A", THURSDAY))
    seller.fails("away", "away")
    with pytest.raises(VendorError, match="in 1 attempt,"):
        ask(rig, seller, ("A", TUESDAY), ("A", THURSDAY), ("B", LAST))
    assert [day for day, _ in seller.asked[2:]] == [TUESDAY, THURSDAY]
    after = states(rig)
    assert [after["A", day] for day in days(TUESDAY)] == ["no trade", "missing", "missing", "missing"]


def test_a_page_about_cats_is_found_out_day_by_day(rig: Rig, seller: Seller) -> None:
    archive(rig, bars("A", FIRST))
    for day in days(TUESDAY):
        seller.has("A", day)
    seller.fails("cats", "well", "cats")
    with pytest.raises(VendorError, match="failed on 1 of 4 days, first on 2026-11-11"):
        ask(rig, seller)
    assert [day for day, _ in seller.asked] == [TUESDAY, *days(TUESDAY)]
    after = states(rig)
    assert [after["A", day] for day in days(TUESDAY)] == ["complete", "missing", "complete", "complete"]


def test_a_refusal_that_names_no_symbol_stops_at_once(rig: Rig, seller: Seller) -> None:
    archive(rig, bars("A", FIRST))
    seller.fails("key")
    with pytest.raises(VendorRefused, match="refuses this account"):
        ask(rig, seller)
    assert len(seller.asked) == 1
    assert states(rig)["A", TUESDAY] == "missing"


def test_a_better_source_of_the_day_stays(rig: Rig, seller: Seller) -> None:
    archive(rig, bars("A", FIRST), bars("A", TUESDAY, slice(0, 10), source="manual"))
    seller.has("A", TUESDAY)
    ask(rig, seller, ("A", TUESDAY))
    found = rig.query("select source, count(*) from price_data where timestamp >= '2026-11-10' group by 1 order by 1")
    assert found == [(SOURCE, 380), ("manual", 10)]
    assert states(rig)["A", TUESDAY] == "complete"
    assert rig.query("select count(*) from archive_revision where old->>'source' = %s", SOURCE) == [(10,)]


def test_the_picture(rig: Rig) -> None:
    archive(rig, bars("A", FIRST), bars("LONG", TUESDAY))
    frame = day_states(rig.archive, PRICE, TradingCalendar.named(NYSE), *WEEK)
    lines = heat_map(frame).splitlines()
    assert lines[1:3] == ["A     █····  ", "LONG   █···  "]
    assert by_state(frame) == {"closed": 4, "complete": 2, "no trade": 0, "missing": 7, "unrepairable": 0}
    assert to_fill(frame) == [(TUESDAY, LAST)]


@given(letters=st.text("mck", max_size=30))
def test_ranges_are_contiguous_and_closed_days_do_not_part_them(letters: str) -> None:
    names = {"m": "missing", "c": "closed", "k": "complete"}
    rows = [(FIRST + timedelta(days=at), names[letter]) for at, letter in enumerate(letters)]
    frame = pd.DataFrame(rows, columns=["day", "state"])
    found = to_fill(frame)
    assert len(found) == sum("m" in part for part in letters.split("k"))
    covered = {day for first, last in found for day in days(first, last)}
    assert covered >= set(frame.loc[frame["state"] == "missing", "day"])
    assert not covered & set(frame.loc[frame["state"] == "complete", "day"])
