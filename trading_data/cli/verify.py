"""`trading-data verify`.

Belongs here: printing, and the exit code. Does not: looking (`archive.verify`).
"""

import json
import sys

import click

from trading_data.archive.database import Archive
from trading_data.archive.verify import Finding, verify
from trading_data.cli.servers import settings_of_running
from trading_data.datasets import DATASETS
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver


@click.command("verify")
@click.option(
    "--deep", is_flag=True, help="Compare aggregates with raw rows, look for double keys, read whole batches."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(deep: bool, as_json: bool) -> None:
    """Do the accounts balance: journals, intake, ledger, watermarks, tables, per dataset and day. Exit code 1 if not."""
    settings = settings_of_running()
    found = verify(
        connect_for_archiver(settings.require_redis_url()),
        Archive(settings.require_timescale_url()),
        Intake(settings.intake_uri),
        deep=deep,
    )
    balances = all(one.ok for one in found)
    if as_json:
        findings = [{**vars(one), "day": None if one.day is None else str(one.day)} for one in found]
        click.echo(json.dumps({"balances": balances, "findings": findings}, indent=2))
    else:
        _print(found)
    if not balances:
        sys.exit(1)


def _print(found: list[Finding]) -> None:
    """A line a fault, then a line a dataset."""
    for one in found:
        if not one.ok:
            where = one.dataset if one.day is None else f"{one.dataset} {one.day}"
            click.echo(f"{where}: {one.what}: {one.said} -> {one.command}")
    for name in DATASETS:
        mine = [one for one in found if one.dataset == name]
        faults = sum(not one.ok for one in mine)
        if faults:
            click.echo(f"{name} does not balance: {faults:,} findings")
        else:
            click.echo(f"{name} balances: {'; '.join(one.said for one in mine)}")
