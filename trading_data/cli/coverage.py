"""`trading-data coverage`: what the archive holds per symbol and day, and what is missing.

Belongs here: options and printing. Does not: states (`calendars.states`).
"""

import json
from dataclasses import fields
from datetime import date, timedelta
from typing import Any

import click
import pandas as pd

from trading_data.archive.chunks import Disagreement, disagreements
from trading_data.archive.database import Archive
from trading_data.calendars import TradingCalendar
from trading_data.calendars.gap_plot import by_state, heat_map
from trading_data.calendars.states import MISSING, NO_CALENDAR, OPEN, day_states, known_subjects, to_fill
from trading_data.cli.frame_text import frame_text
from trading_data.cli.servers import settings_of_running
from trading_data.datasets import PLURALS, dataset_named
from trading_data.printable import counted, noun, printable
from trading_data.times import DAY, now, utc

_DAYS = 92
_PAIR = [field.name for field in fields(Disagreement)]


@click.command("coverage")
@click.argument("symbols", nargs=-1)
@click.option("--dataset", default="prices", show_default=True, type=click.Choice(PLURALS))
@click.option("--start", help=f"First day; default {_DAYS} days ago, or the first with rows.")
@click.option("--end", help="Day after the last; default tomorrow.")
@click.option("--calendar", help="Exchange whose sessions are expected; default TRADING_DATA_CALENDAR, or XNYS.")
@click.option("--sources", is_flag=True, help="Where sources disagree instead, by day and pair.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def command(
    symbols: tuple[str, ...],
    dataset: str,
    start: str | None,
    end: str | None,
    calendar: str | None,
    form: str,
    *,
    sources: bool,
) -> None:
    """What the archive holds of SYMBOLS (none for all) per day, and what is missing; or where sources disagree.

    A day is measured against an exchange's sessions: minutes that have a row, of those that should. Rows outside of sessions
    are named, with the first of them. A day whose session goes on is open. What waits to be archived is not counted.
    """
    settings = settings_of_running()
    last = utc(end, "end").date() if end else now().date() + DAY
    first = utc(start, "start").date() if start else last - timedelta(days=_DAYS)
    archive = Archive(settings.require_timescale_url())
    if sources:
        _print_sources(
            pd.DataFrame(disagreements(archive, dataset_named(dataset), first, last - DAY), columns=_PAIR), form
        )
        return
    exchange = TradingCalendar.named(calendar) if calendar else TradingCalendar.configured(settings.calendar)
    known = known_subjects(archive, dataset_named(dataset)) if symbols else {}
    for name in sorted(set(symbols) - known.keys()):
        click.echo(f"{dataset}: the archive has no row of {printable(name)}", err=True)
    if symbols and not start:
        first = max(first, min(known.get(name, first) for name in symbols))
    states = day_states(archive, dataset_named(dataset), exchange, first, last, symbols or None, unfinished=True)
    if (states["state"] == NO_CALENDAR).any():
        click.echo(f"{NO_CALENDAR}: {exchange.known}", err=True)
    if form == "csv":
        click.echo(states.to_csv(index=False), nl=False)
    elif form == "json":
        click.echo(json.dumps(_document(states), indent=1))
    else:
        _print(states, exchange.name)


def _print_sources(pairs: pd.DataFrame, form: str) -> None:
    if form == "csv":
        click.echo(pairs.to_csv(index=False), nl=False)
    elif form == "json":
        click.echo(json.dumps([{**row, "day": str(row["day"])} for row in pairs.to_dict("records")], indent=1))
    elif len(pairs):
        click.echo(frame_text(pairs))
        compared, beyond = int(pairs["compared"].sum()), int(pairs["beyond"].sum())
        click.echo(
            f"{beyond:,} of {counted(compared, 'row')} that gave way to another source {noun(beyond, 'differs', 'differ')} "
            f"beyond the declared tolerance"
        )
    else:
        click.echo("no row of one source gave way to another's in this range")


def _document(states: pd.DataFrame) -> dict[str, object]:
    return {
        "states": by_state(states),
        "to fill": [[str(first), str(last)] for first, last in to_fill(states)],
        "days": [
            {**row, "day": str(row["day"]), "first_outside": _moment(row["first_outside"])}
            for row in states.to_dict("records")
        ],
    }


def _moment(moment: Any) -> str | None:
    return None if pd.isna(moment) else f"{moment:%Y-%m-%dT%H:%MZ}"


def _print(states: pd.DataFrame, exchange: str) -> None:
    if not len(states):
        click.echo(
            "nothing is expected and nothing is held: no symbol has an archived row yet, or none by the end of the range"
        )
        return
    click.echo(heat_map(states))
    click.echo(", ".join(f"{number:,} {state}" for state, number in by_state(states).items()) + " (symbols by days)")
    for state, said in ((MISSING, "missing in part"), (OPEN, "open")):
        some = states[(states["state"] == state) & (states["held"] > 0)]
        if len(some):
            first = some.iloc[0]
            click.echo(
                f"{said}: {counted(len(some), 'day of a symbol', 'days of symbols')}, with {some['held'].sum():,} of "
                f"{some['expected'].sum():,} minutes; the first: {printable(first['subject'])} on {first['day']}, "
                f"{first['held']:,} of {first['expected']:,}"
            )
    outside = states[states["outside"] > 0]
    if len(outside):
        first = outside.sort_values("first_outside", kind="stable").iloc[0]
        number = int(outside["outside"].sum())
        click.echo(
            f"outside the sessions of {exchange}: {counted(number, 'minute')} with rows, of "
            f"{counted(outside['subject'].nunique(), 'symbol')}; the first: {printable(first['subject'])} at "
            f"{_moment(first['first_outside'])}; `--calendar 24/7` is for markets that never close"
        )
    ranges = [_said(first, last) for first, last in to_fill(states)]
    if ranges:
        click.echo(f"to fill: {'; '.join(ranges[:20])}{' …' if len(ranges) > 20 else ''}")


def _said(first: date, last: date) -> str:
    return str(first) if first == last else f"{first} to {last}"
