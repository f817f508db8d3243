"""A year of minute bars with holes of every kind, and one night of the schedules: `python -m trading_data_tests.calendars.year`.

Belongs here: making the year, selling what is missing, the night, and the table of states before and after. Does not:
servers, which the environment names and which have to be empty; the tests' short version is `test_year`.
"""

import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click
import dagster as dg
import pyarrow as pa
import pytest

from trading_data.calendars import TradingCalendar
from trading_data.calendars.states import by_state, day_states
from trading_data.datasets import PRICE
from trading_data.intake.import_rows import import_rows
from trading_data.orchestration.build import build_defs
from trading_data.settings import Settings
from trading_data.sources.vendors.choose import VENDOR
from trading_data.times import DAY, day_start, now
from trading_data_tests.calendars.missing_days import NYSE, WHOLE, Seller, bars
from trading_data_tests.orchestration.ticks import schedule_tick
from trading_data_tests.rig import EARLIEST, Rig, local_instance
from trading_data_tests.sources.vendors.alpaca_history import KEY, SECRET, AlpacaHistory

STRANGE = "delisted"
"""A symbol that the vendor refuses: it is not in upper case."""


@dataclass
class Year:
    """What there is, what is for sale, and what became of it; `wrong` is empty when all is as it should be."""

    symbols: int
    sessions: int
    seed: int
    rows: int = 0
    holes: Counter[str] = field(default_factory=Counter)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    runs: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    compressed: int = 0
    wrong: list[str] = field(default_factory=list)


class Shop(AlpacaHistory):
    """Sells by day, so that a request looks at no other day's bars."""

    def __init__(self) -> None:
        super().__init__()
        self.by_day: dict[date, dict[str, list[dict[str, Any]]]] = {}

    def _page(self, path: str, headers: Any, asked: dict[str, str], kind: str) -> tuple[int, Any]:
        first, last = date.fromisoformat(asked["start"][:10]), date.fromisoformat(asked["end"][:10])
        self.bars = {}
        for day, on_sale in self.by_day.items():
            if first <= day <= last:
                for symbol, some in on_sale.items():
                    self.bars[symbol] = [*self.bars.get(symbol, ()), *some]
        return super()._page(path, headers, asked, kind)


class ShopSeller(Seller):
    """A seller whose bars lie by day."""

    def __init__(self) -> None:
        super().__init__()
        self.server.close()
        self.shop = Shop()
        self.server = self.shop

    def has(self, symbol: str, day: date, keep: slice = WHOLE) -> None:
        self.server.bars = self.shop.by_day.setdefault(day, {})
        super().has(symbol, day, keep)


def year(settings: Settings, *, symbols: int, sessions: int, seed: int) -> Year:
    """Make the year, look, let the night pass, look again."""
    out = Year(symbols, sessions, seed)
    rig, seller = Rig(settings), ShopSeller()
    try:
        days = _sessions(sessions)
        with _lap(out, "load"):
            _load(rig, seller, out, days)
        calendar = TradingCalendar.named(NYSE)
        with _lap(out, "states"):
            out.before = by_state(day_states(rig.archive, PRICE, calendar, days[0], days[-1] + DAY))
        _night(rig, seller, out)
        frame = day_states(rig.archive, PRICE, calendar, days[0], days[-1] + DAY)
        out.after = by_state(frame)
        _judge(rig, out)
    finally:
        seller.close()
        rig.close()
    return out


def _sessions(count: int) -> list[date]:
    end = now().date() - DAY
    found = TradingCalendar.named(NYSE).sessions(day_start(end - timedelta(days=count * 2)), day_start(end))
    return found["session"].tolist()[-count:]


def _load(rig: Rig, seller: ShopSeller, out: Year, days: list[date]) -> None:
    chance = random.Random(out.seed)
    names = [f"S{at:03d}" for at in range(out.symbols - 1)] + [STRANGE]
    outage = set(days[len(days) // 2 : len(days) // 2 + 5])
    for at, day in enumerate(days):
        tables = []
        for symbol in names:
            keep, sold, kind = _hole(chance, symbol, whole=at == 0, outage=day in outage)
            out.holes[kind] += 1
            if sold is not None:
                seller.has(symbol, day, sold)
            if keep is not None:
                tables.append(bars(symbol, day, keep))
        if tables:
            list(
                import_rows(
                    rig.intake, PRICE, f"year {day}", [pa.concat_tables(tables)], origin="file", earliest=EARLIEST
                )
            )
        for loaded in rig.load(PRICE):
            out.rows += loaded.inserted
    rig.refresh(PRICE)


def _hole(chance: random.Random, symbol: str, *, whole: bool, outage: bool) -> tuple[slice | None, slice | None, str]:
    """What of a day is there, what of it is for sale, and the name of the hole."""
    draw = chance.random()
    if whole or (draw > 0.05 and not outage):
        return WHOLE, None, "whole"
    if symbol == STRANGE:
        return None, None, "refused"
    if outage:
        return None, WHOLE, "outage"
    if draw < 0.02:
        return None, WHOLE, "day missing"
    if draw < 0.03:
        return slice(0, 100), WHOLE, "afternoon missing"
    if draw < 0.04:
        return None, None, "nothing traded"
    return slice(0, 200), slice(0, 201), "minutes without a trade"


def _night(rig: Rig, seller: ShopSeller, out: Year) -> None:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            VENDOR: "alpaca",
            "APCA_API_KEY_ID": KEY,
            "APCA_API_SECRET_KEY": SECRET,
            "TRADING_DATA_ALPACA_URL": seller.server.url,
            "TRADING_DATA_INTAKE_URI": rig.settings.intake_uri,
        }.items():
            environment.setenv(name, value)
        with tempfile.TemporaryDirectory() as folder, local_instance(Path(folder)) as instance:
            _schedules(out, instance)


def _schedules(out: Year, instance: dg.DagsterInstance) -> None:
    defs = build_defs()
    midnight = day_start(now().date())
    with _lap(out, "gap backfill"):
        for request in schedule_tick("gap_backfill_schedule", instance, midnight + timedelta(hours=1.5)).run_requests:
            job = defs.resolve_job_def("backfill_job")
            out.runs += 1
            if not job.execute_in_process(instance=instance, tags=dict(request.tags), raise_on_error=False).success:
                out.wrong.append(f"the run for {request.run_key} failed")
    for name in ("compression_job", "retention_job"):
        with _lap(out, name):
            if not defs.resolve_job_def(name).execute_in_process(instance=instance, raise_on_error=False).success:
                out.wrong.append(f"{name} failed")
    if schedule_tick("gap_backfill_schedule", instance, midnight + timedelta(hours=2)).run_requests:
        out.wrong.append("a second look asked again")


def _judge(rig: Rig, out: Year) -> None:
    refused, untraded = out.holes["refused"], out.holes["nothing traded"] + out.holes["minutes without a trade"]
    expected = {"missing": 0, "unrepairable": refused, "no trade": untraded}
    for state, number in expected.items():
        if out.after[state] != number:
            out.wrong.append(f"{out.after[state]} days are {state}, {number} should be")
    ((chunks, out.compressed),) = rig.query(
        "select count(*), count(*) filter (where is_compressed) from timescaledb_information.chunks "
        "where hypertable_name = 'price_data'"
    )
    old = rig.query("select count(distinct day) from archive_coverage where day < current_date - 8")[0][0]
    if out.compressed < old:
        out.wrong.append(f"{out.compressed} of {chunks} chunks are compressed, {old} are old enough")
    if rig.account(PRICE).accepted != rig.query("select sum(offered) from archive_ledger")[0][0]:
        out.wrong.append("the accounts do not balance")


class _lap:  # noqa: N801
    """Notes how long a part took."""

    def __init__(self, out: Year, name: str) -> None:
        self.out, self.name = out, name

    def __enter__(self) -> None:
        self.began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.out.seconds[self.name] = round(time.monotonic() - self.began, 1)
        print(f"{now():%H:%M:%S} {self.name} {self.out.seconds[self.name]} s", flush=True)


@click.command()
@click.option("--symbols", default=100, show_default=True)
@click.option("--sessions", default=252, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(symbols: int, sessions: int, seed: int) -> None:
    """Make a year, let a night pass; exit 1 if not all is as it should be."""
    out = year(Settings.from_env(), symbols=symbols, sessions=sessions, seed=seed)
    print(json.dumps(vars(out), indent=1))
    sys.exit(1 if out.wrong else 0)


if __name__ == "__main__":
    main()
