"""Group `history`: bars that never reached the live tier, from a market-data vendor or files."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING, cast

import dagster as dg
from pydantic import Field

from trading_data.calendars.states import CLOSED, MISSING, NO_CALENDAR, by_state, day_states, heat_map, known_subjects
from trading_data.datasets import PRICE
from trading_data.errors import BadInput
from trading_data.orchestration.assets.sources import OWNER
from trading_data.orchestration.declared import HISTORY
from trading_data.orchestration.partitions import daily
from trading_data.orchestration.private import TURNS_NOTHING_GREEN
from trading_data.orchestration.reports import Event, Reports, handled
from trading_data.orchestration.resources import ArchiveTier, Environment, IntakeStore, as_dagster_failure
from trading_data.printable import counted
from trading_data.sources.backfill import FillResult, fill_days
from trading_data.sources.vendors import vendor_from_env
from trading_data.sources.vendors.choose import VENDOR
from trading_data.times import DAY

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 20


class HistoryConfig(dg.Config):
    """Which symbols, and whether to request days again that the vendor has answered or refused before."""

    symbols: list[str] = Field(default_factory=list, description="Empty for all that the archive knows.")
    again: bool = False


def history_assets(environment: Environment) -> list[dg.AssetsDefinition]:
    """The one asset of the group."""
    return [_price_history(environment)]


def _price_history(environment: Environment) -> dg.AssetsDefinition:
    @dg.asset(
        name=HISTORY,
        dagster_type=cast(dg.DagsterType, dg.Nothing),
        group_name="history",
        partitions_def=daily(environment),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool="history_price",
        kinds={"python", "parquet"},
        owners=[OWNER],
        description="Fetches bars from the vendor that `TRADING_DATA_VENDOR` names, for the symbols and days that the exchange's "
        "calendar expects and the archive lacks, into the intake, from which `price_data` loads them. While it is not set, "
        "a run requests nothing, says so for each day, and turns none green.",
    )
    def price_history(
        context: dg.AssetExecutionContext,
        config: HistoryConfig,
        archive: ArchiveTier,
        intake: IntakeStore,
        environment: dg.ResourceParam[Environment],
    ) -> Iterator[Event | dg.Output[None]]:
        with as_dagster_failure(), archive.connect() as database:
            if not (context.has_partition_key or context.has_partition_key_range):
                raise BadInput(
                    "name the days: `trading-data run backfill_job --day 2026-11-20`, or --start and --end; in the web page, "
                    "choose partitions"
                )
            days = [date.fromisoformat(key) for key in context.partition_keys]
            reports = Reports(context.instance, [HISTORY], days, context.run.tags)
            if not environment.vendor:
                for day in days:
                    yield from reports.not_handled(HISTORY, day, f"no vendor is named: set {VENDOR}")
                yield dg.Output(None, metadata={TURNS_NOTHING_GREEN: True})
                return
            vendor, calendar = vendor_from_env(environment.variables), environment.calendar
            symbols = config.symbols or sorted(known_subjects(database, PRICE))
            if not symbols:
                raise BadInput("the archive has no symbol yet: name some in the run's config (`symbols`)")
            states = day_states(database, PRICE, calendar, min(days), max(days) + DAY, symbols, only=days)
            wanted = _wanted(states, config.again)
            filled: dict[date, FillResult] = {}
            with closing(vendor):
                for answer in fill_days(
                    database,
                    intake.open(),
                    PRICE,
                    vendor,
                    wanted,
                    earliest=environment.earliest,
                    run_id=context.run.run_id,
                ):
                    filled |= dict.fromkeys(answer.days, answer)
                    bars = counted(answer.rows.total(), "bar")
                    context.log.info(f"{answer.days[0]} to {answer.days[-1]}: {bars} from {vendor.name}")
        for day in days:
            of_day = states[states["day"] == day]
            figures = _figures(vendor.name, of_day, day, filled.get(day))
            if f"before: {NO_CALENDAR}" in figures:
                figures["calendar"] = f"{NO_CALENDAR}: {calendar.known}"
            why = _not_green(vendor.name, of_day, day, filled.get(day))
            if why:
                yield from reports.not_handled(HISTORY, day, why, figures)
            else:
                yield handled(HISTORY, day, figures)
        # Without an output `price_data` would be skipped; a plain one would turn all days of the run green.
        yield dg.Output(None, metadata={TURNS_NOTHING_GREEN: True})

    return price_history


def _wanted(states: "pd.DataFrame", again: bool) -> dict[date, list[str]]:
    """The symbols to request by day: what is missing; on days without a calendar, symbols with no row and no answer yet."""
    unknown = (states["state"] == NO_CALENDAR) & (states["rows"] == 0) & (states["vendor"] == "")
    chosen = states[states["state"] != CLOSED] if again else states[(states["state"] == MISSING) | unknown]
    wanted: dict[date, list[str]] = {}
    for day, symbol in zip(chosen["day"], chosen["subject"], strict=True):
        wanted.setdefault(day, []).append(symbol)
    return wanted


def _not_green(vendor: str, states: "pd.DataFrame", day: date, filled: FillResult | None) -> str | None:
    """Why a day is not green: it was requested and has no bar, or there was nothing to request and the archive has no row."""
    if filled is not None and filled.asked:
        if filled.of_day(day):
            return None
        symbols = "1 symbol" if len(filled.asked) == 1 else f"{len(filled.asked):,} symbols"
        return f"no row: {vendor} gave no bar for {symbols}, {len(filled.refused)} of them refused"
    if states["rows"].sum():
        return None
    return "no row: nothing was requested" if len(states) else "no row: the session is not over"


def _figures(vendor: str, states: "pd.DataFrame", day: date, filled: FillResult | None) -> dict[str, object]:
    coverage = heat_map(states)
    bars = {} if filled is None else filled.of_day(day)
    asked, refused = (set(filled.asked), set(filled.refused)) if filled else (set(), set())
    names = [batch.file.name for batch in (filled.batches if filled else [])[:_SHOWN]]
    figures: dict[str, object] = {
        "vendor": vendor,
        "symbols requested": len(asked),
        "bars": sum(bars.values()),
        "symbols without a bar": len(asked - bars.keys() - refused),
        "symbols refused": len(refused),
        "batches": dg.MetadataValue.md("\n".join(f"- `{name}`" for name in names) or "none"),
        "before": dg.MetadataValue.md(f"```\n{coverage}\n```") if coverage else "the session is not over",
    }
    return figures | {f"before: {state}": number for state, number in by_state(states).items()}
