"""What a day's materialization shows of the archive: rows, subjects, coverage, size, sources, a small chart."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from trading_data.archive.chunks import ArchivedDay, wide_bars
from trading_data.archive.database import Archive
from trading_data.calendars import TradingCalendar
from trading_data.calendars.states import MISSING, NO_CALENDAR, day_states
from trading_data.datasets.declaration import Dataset
from trading_data.datasets.widths import width_text
from trading_data.orchestration.metadata import SHOWN, bars, time_metadata
from trading_data.times import DAY, now


def day_figures(archived_day: ArchivedDay) -> dict[str, Any]:
    """The numbers of a day that change until it is over; Dagster plots them by partition."""
    return {"dagster/partition_row_count": archived_day.rows, "last timestamp": time_metadata([archived_day.last], max)}


def day_page(
    archive: Archive, dataset: Dataset, calendar: str, days: Mapping[date, ArchivedDay]
) -> dict[date, dict[str, Any]]:
    """The rest of each day's page: subjects, coverage, bytes before and after compression, a small chart."""
    over = [day for day in days if day < now().date()]
    covered, wide = _coverage(archive, dataset, calendar, over), _wide_bars(archive, dataset, over)
    return {
        day: _held_metadata(dataset, archived) | covered.get(day, {}) | wide.get(day, {})
        for day, archived in days.items()
    }


def _wide_bars(archive: Archive, dataset: Dataset, days: Sequence[date]) -> dict[date, dict[str, Any]]:
    """For finished days with bars that look wider than a minute: how many symbols have them, and which."""
    if dataset.sources is None or not days:
        return {}
    return {
        day: {
            f"{dataset.about}s with bars wider than a minute": len(widths),
            "wider than a minute": ", ".join(
                f"{name}: {width_text(width)}" for name, width in list(widths.items())[:SHOWN]
            ),
        }
        for day, widths in wide_bars(archive, dataset, days).items()
    }


def _coverage(archive: Archive, dataset: Dataset, calendar: str, over: Sequence[date]) -> dict[date, dict[str, Any]]:
    """For finished days: the share of the minutes expected by the exchange's calendar that have rows, or that no calendar covers
    the day. Nothing for days on which the exchange was closed.
    """
    if dataset.sources is None or not over:
        return {}
    exchange = TradingCalendar.configured(calendar)
    states = day_states(archive, dataset, exchange, min(over), max(over) + DAY, only=over)
    by_day = states.groupby("day")[["held", "expected"]].sum()
    shares = {day: held / expected for day, held, expected in by_day.itertuples() if expected}
    missing = states[states["state"] == MISSING].groupby("day").size()
    unknown = set(states.loc[states["state"] == NO_CALENDAR, "day"])
    return {day: {"calendar": f"{NO_CALENDAR}: {exchange.known}"} for day in unknown} | {
        day: {"coverage": round(float(share), 6), f"{dataset.about}s with missing minutes": int(missing.get(day, 0))}
        for day, share in shares.items()
    }


def _held_metadata(dataset: Dataset, archived_day: ArchivedDay) -> dict[str, Any]:
    """A day as metadata; numbers, so that Dagster plots them by partition."""
    figures: dict[str, Any] = {
        f"{dataset.about}s": archived_day.subjects,
        "first timestamp": time_metadata([archived_day.first], min),
        "minutes with a row": sum(archived_day.quarters),
        "bytes before compression": archived_day.bytes_before,
        "bytes after compression": archived_day.bytes_after,
        "day": dg.MetadataValue.md(_day_chart(dataset, archived_day)),
    }
    if dataset.sources is not None:
        figures["disagreements of sources"] = sum(pair.beyond for pair in archived_day.disagreements)
        records = [dg.TableRecord({**vars(pair), "day": str(pair.day)}) for pair in archived_day.disagreements[:SHOWN]]
        if records:
            figures["sources compared"] = dg.MetadataValue.table(records)
    return figures


def _day_chart(dataset: Dataset, archived_day: ArchivedDay) -> str:
    """The day in quarter hours, from the first with a row to the last."""
    filled = [quarter for quarter, number in enumerate(archived_day.quarters) if number]
    if not filled:
        return "no row"
    shown = archived_day.quarters[filled[0] : filled[-1] + 1]
    clock = [f"{quarter // 4:02}:{quarter % 4 * 15:02}" for quarter in (filled[0], filled[-1] + 1)]
    return f"`{bars(shown)}`\n\n{clock[0]}–{clock[1]} UTC, a bar for each quarter hour: {dataset.about}s times minutes with a row"
