"""SIGKILL in the middle of asking a vendor, and the next run carries on."""

import os
import signal
import subprocess
import sys

import pytest

from trading_data.datasets import PRICE
from trading_data.intake.import_rows import import_rows
from trading_data.kill_points import POINTS, VARIABLE
from trading_data.settings import Settings
from trading_data_tests.calendars.missing_days import FIRST, Seller, bars, days
from trading_data_tests.calendars.test_fill import states
from trading_data_tests.rig import EARLIEST, Rig
from trading_data_tests.sources.vendors.alpaca_history import KEY, SECRET

HISTORY_POINTS = [point for point in POINTS if point.startswith("history.")]


def one_run(settings: Settings, seller: Seller, point: str = "") -> int:
    """Fill the week in a process of its own; returns its exit code."""
    env = {
        **os.environ,
        "TRADING_DATA_VENDOR": "alpaca",
        "APCA_API_KEY_ID": KEY,
        "APCA_API_SECRET_KEY": SECRET,
        "TRADING_DATA_ALPACA_URL": seller.server.url,
        VARIABLE: point,
    }
    code = (
        "from trading_data_tests.calendars.test_kills import fill_the_week\n"
        f"fill_the_week({settings.require_timescale_url()!r}, {settings.intake_uri!r})"
    )
    return subprocess.run([sys.executable, "-c", code], env=env, timeout=120, check=False).returncode


def fill_the_week(timescale_url: str, intake_uri: str) -> None:
    """What a run does: ask for the missing days of A, then load."""
    from trading_data.archive.database import Archive
    from trading_data.archive.load import load_pending
    from trading_data.calendars import TradingCalendar
    from trading_data.calendars.states import MISSING, day_states
    from trading_data.intake.store import Intake
    from trading_data.sources.backfill import fill_days
    from trading_data.sources.vendors import vendor_from_env
    from trading_data.times import DAY

    archive, intake = Archive(timescale_url), Intake(intake_uri)
    frame = day_states(archive, PRICE, TradingCalendar.named("XNYS"), days()[0], days()[-1] + DAY)
    missing = frame.loc[frame["state"] == MISSING, "day"]
    list(fill_days(archive, intake, PRICE, vendor_from_env(), dict.fromkeys(missing, ("A",)), earliest=EARLIEST))
    list(load_pending(archive, intake, PRICE))


@pytest.mark.parametrize("point", HISTORY_POINTS)
def test_a_kill_and_the_next_run_carries_on(rig: Rig, seller: Seller, point: str) -> None:
    list(import_rows(rig.intake, PRICE, "test", [bars("A", FIRST)], origin="file", earliest=EARLIEST))
    rig.load(PRICE)
    for day in days():
        seller.has("A", day)
    assert one_run(rig.settings, seller, point) == -signal.SIGKILL
    assert one_run(rig.settings, seller) == 0
    assert {states(rig)["A", day] for day in days()} == {"complete"}
    assert rig.query("select count(*), count(distinct timestamp) from price_data") == [(1950, 1950)]
    account = rig.account(PRICE)
    assert account.accepted == account.inserted + account.unchanged
    assert account.inserted == 1950
    assert rig.intake.pending("price") == []
