"""`trading-data state show`: the newest state before a moment.

Belongs here: options and printing. Does not: finding it (`intake.state.files`) and its tables (`intake.state.tables`).
"""

import json
import sys
from datetime import datetime

import click
from rich import box
from rich.console import Console
from rich.table import Table

from trading_data.errors import IntakeError
from trading_data.intake.state.document import StateSnapshot, as_json
from trading_data.intake.state.files import newest_state, state_files
from trading_data.intake.state.tables import said, tables
from trading_data.intake.store import Intake
from trading_data.local.homes import others
from trading_data.printable import printable
from trading_data.settings import Settings
from trading_data.times import utc

_WIDE = 10_000
"""What goes into a file or a pipe is not folded to the width of a terminal."""


@click.group("state")
def command() -> None:
    """The live tier's state as it was: positions, signals, watchlist, candidates, system state."""


@command.command("show")
@click.option("--at", help="ISO 8601 with a zone, or a day (midnight UTC); not included. Without it: the newest.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def show_(at: str | None, form: str) -> None:
    """The newest state that was complete before a moment, whole; no server is asked.

    A file that cannot be read is named on standard error, and the state before it shown.
    """
    before = None if at is None else utc(at, "--at")
    settings = Settings.from_env()
    intake = Intake(settings.intake_uri)
    skipped: list[str] = []
    found = newest_state(intake, before, lambda error: skipped.append(" ".join(str(error).split())))
    if found is None:
        raise _none(settings, intake, before, skipped)
    for one in skipped:
        click.echo(f"skipped, a newer state that cannot be read: {one}", err=True)
    if form == "json":
        click.echo(json.dumps({**as_json(found), "skipped": skipped}, indent=2))
    else:
        _print(found)


def _none(settings: Settings, intake: Intake, before: datetime | None, skipped: list[str]) -> IntakeError:
    when = f" from before {before:%Y-%m-%d %H:%M:%S.%f}Z" if before else ""
    if skipped:
        return IntakeError(f"no state{when} can be read in the intake at {intake.uri}: {skipped[0]}")
    kept = state_files(intake)
    oldest = f"; the oldest is of {kept[0].ended:%Y-%m-%d %H:%M:%S.%f}Z" if kept else ""
    elsewhere = "" if kept else others(settings)
    return IntakeError(
        f"there is no state{when} in the intake at {intake.uri}{oldest}: {elsewhere}`state_snapshot` writes them"
    )


def _print(state: StateSnapshot) -> None:
    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False, emoji=False)
    ended = f"{state.ended:%Y-%m-%d %H:%M:%S.%f}Z"
    console.print(f"state of {ended}, begun {state.began:%H:%M:%S.%f}Z, run {printable(state.run_id) or '-'}")
    for table in tables(state):
        console.print(f"\n{table.pattern}: {len(table.rows):,}")
        if table.rows:
            drawn = Table(box=box.SIMPLE_HEAD)
            for column in table.columns:
                drawn.add_column(column, overflow="fold")
            for row in table.rows:
                drawn.add_row(*row)
            console.print(drawn)
    for problem in state.problems:
        console.print(f"not in it: {said(problem)}")
