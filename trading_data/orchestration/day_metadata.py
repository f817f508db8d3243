"""What a day's materialization shows of the archive: rows, subjects, coverage, weight, sources, a small chart.

Belongs here: a day as metadata. Does not: what a run did (`metadata`), and the books it is asked from (`archive.chunks`).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from trading_data.archive.chunks import ArchivedDay, wide_bars
from trading_data.archive.database import Archive
from trading_data.calendars import TradingCalendar
from trading_data.calendars.states import MISSING, NO_CALENDAR, day_states
from trading_data.datasets.declaration import Dataset
from trading_data.datasets.widths import said
from trading_data.orchestration.metadata import SHOWN, bars, when
from trading_data.settings import Settings
from trading_data.times import DAY, now


def day_figures(archived_day: ArchivedDay) -> dict[str, Any]:
    """The numbers of a day that change while it lasts; Dagster plots them by partition."""
    return {"dagster/partition_row_count": archived_day.rows, "last timestamp": when([archived_day.last], max)}


def day_page(archive: Archive, dataset: Dataset, found: Mapping[date, ArchivedDay]) -> dict[date, dict[str, Any]]:
    """What else there is to know of each day: subjects, coverage, bytes before and after compression, a small chart."""
    over = [day for day in found if day < now().date()]
    covered, wide = _coverage(archive, dataset, over), _wide_bars(archive, dataset, over)
    return {day: _held_metadata(dataset, one) | covered.get(day, {}) | wide.get(day, {}) for day, one in found.items()}


def _wide_bars(archive: Archive, dataset: Dataset, days: Sequence[date]) -> dict[date, dict[str, Any]]:
    """Of days that are over, and on which bars look wider than a minute: of how many symbols, and of which."""
    if dataset.sources is None or not days:
        return {}
    return {
        day: {
            f"{dataset.about}s with bars wider than a minute": len(widths),
            "wider than a minute": ", ".join(f"{name}: {said(width)}" for name, width in list(widths.items())[:SHOWN]),
        }
        for day, widths in wide_bars(archive, dataset, days).items()
    }


def _coverage(archive: Archive, dataset: Dataset, over: Sequence[date]) -> dict[date, dict[str, Any]]:
    """Of days that are over: which share of the minutes that the exchange's calendar expects is there, or that there is no
    calendar for the day. Of closed days nothing.
    """
    if dataset.sources is None or not over:
        return {}
    calendar = TradingCalendar.configured(Settings.from_env().calendar)
    states = day_states(archive, dataset, calendar, min(over), max(over) + DAY, only=over)
    by_day = states.groupby("day")[["held", "expected"]].sum()
    shares = {day: held / expected for day, held, expected in by_day.itertuples() if expected}
    missing = states[states["state"] == MISSING].groupby("day").size()
    unknown = set(states.loc[states["state"] == NO_CALENDAR, "day"])
    return {day: {"calendar": f"{NO_CALENDAR}: {calendar.known}"} for day in unknown} | {
        day: {"coverage": round(float(share), 6), f"{dataset.about}s with missing minutes": int(missing.get(day, 0))}
        for day, share in shares.items()
    }


def _held_metadata(dataset: Dataset, archived_day: ArchivedDay) -> dict[str, Any]:
    """A day as metadata; numbers, so that Dagster plots them by partition."""
    figures: dict[str, Any] = {
        f"{dataset.about}s": archived_day.subjects,
        "first timestamp": when([archived_day.first], min),
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
    """The day in quarter hours, from the first that has a row to the last."""
    there = [at for at, number in enumerate(archived_day.quarters) if number]
    if not there:
        return "no row"
    shown = archived_day.quarters[there[0] : there[-1] + 1]
    clock = [f"{at // 4:02}:{at % 4 * 15:02}" for at in (there[0], there[-1] + 1)]
    return f"`{bars(shown)}`\n\n{clock[0]}–{clock[1]} UTC, a bar a quarter hour: {dataset.about}s by minutes that have a row"
