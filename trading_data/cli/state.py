"""`trading-data state show`: the live tier at an earlier time.

Belongs here: options and formats. Does not: reading (`intake.state`).
"""

import json
import sys
from datetime import datetime

import click
from rich import box
from rich.console import Console
from rich.table import Table

from trading_data.errors import IntakeError
from trading_data.intake.state.document import StateSnapshot, as_json, problem_text, tables
from trading_data.intake.state.files import newest_state, state_files
from trading_data.intake.store import Intake
from trading_data.local.servers import other_homes_advice
from trading_data.printable import printable
from trading_data.settings import Settings
from trading_data.times import utc

_UNFOLDED = 10_000
"""Columns of a table that goes into a file or a pipe, so that no line is folded."""


@click.group("state")
def state_command() -> None:
    """The live tier's state at an earlier time: positions, signals, watchlist, candidates, system state."""


@state_command.command("show")
@click.option("--at", help="ISO 8601 with a zone, or a day (midnight UTC); exclusive. Default: the newest.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def show_(at: str | None, form: str) -> None:
    """Print the newest state that was complete before a moment. Needs no server.

    If a state file cannot be read, it is named on standard error, and the state before it is shown.
    """
    before = None if at is None else utc(at, "--at")
    settings = Settings.from_env()
    intake = Intake(settings.intake_uri)
    skipped: list[str] = []
    state = newest_state(intake, before, lambda error: skipped.append(" ".join(str(error).split())))
    if state is None:
        raise _no_state(settings, intake, before, skipped)
    for error in skipped:
        click.echo(f"skipped, a newer state that cannot be read: {error}", err=True)
    if form == "json":
        click.echo(json.dumps({**as_json(state), "skipped": skipped}, indent=2))
    else:
        _print_state(state)


def _no_state(settings: Settings, intake: Intake, before: datetime | None, skipped: list[str]) -> IntakeError:
    when = f" from before {before:%Y-%m-%d %H:%M:%S.%f}Z" if before else ""
    if skipped:
        return IntakeError(f"no state{when} can be read in the intake at {intake.uri}: {skipped[0]}")
    files = state_files(intake)
    oldest = f"; the oldest is of {files[0].ended:%Y-%m-%d %H:%M:%S.%f}Z" if files else ""
    elsewhere = "" if files else other_homes_advice(settings)
    return IntakeError(
        f"there is no state{when} in the intake at {intake.uri}{oldest}: {elsewhere}the asset `state_snapshot` writes them"
    )


def _print_state(state: StateSnapshot) -> None:
    console = Console(width=None if sys.stdout.isatty() else _UNFOLDED, highlight=False, markup=False, emoji=False)
    ended = f"{state.ended:%Y-%m-%d %H:%M:%S.%f}Z"
    console.print(f"state of {ended}, begun {state.began:%H:%M:%S.%f}Z, run {printable(state.run_id) or '-'}")
    for table in tables(state):
        console.print(f"\n{table.pattern}: {len(table.rows):,}")
        if table.rows:
            grid = Table(box=box.SIMPLE_HEAD)
            for column in table.columns:
                grid.add_column(column, overflow="fold")
            for row in table.rows:
                grid.add_row(*row)
            console.print(grid)
    for problem in state.problems:
        console.print(f"not in it: {problem_text(problem)}")
