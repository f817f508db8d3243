"""`trading-data doctor`.

Belongs here: printing, the exit code, telling what Dagster cannot tell itself. Does not: looking (`doctor`).
"""

import json
import logging
import os
import sys
import time
from datetime import datetime
from functools import partial
from pathlib import Path

import click

from trading_data.cli.servers import dagster_home, settings_of_running
from trading_data.operations.alerts.channels import channels
from trading_data.operations.alerts.message import figures, hide_secrets
from trading_data.operations.alerts.notify import tell
from trading_data.operations.alerts.settings import AlertSettings
from trading_data.operations.alerts.store import FileMemory
from trading_data.operations.doctor.examine import PATIENCE, DoctorReport, Part, examine
from trading_data.operations.health.thresholds import Finding
from trading_data.printable import printable
from trading_data.settings import Settings
from trading_data.times import now

WATCHED_FROM_OUTSIDE = ("daemon", "dagster_away", "switched")
"""What silences Dagster's own alerts, and so has to be told by somebody else."""


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--tell",
    "telling",
    is_flag=True,
    help="Tell webhook, e-mail and other services that Dagster itself does not run; for a clock outside of it, such as cron.",
)
def command(as_json: bool, telling: bool) -> None:
    """What is wrong, in order of harm, with the command for each. Exit code 1 if anything is, a warning included."""
    logging.getLogger().addHandler(logging.NullHandler())  # what libraries say about servers away is said on the page
    settings = settings_of_running(needed=False)
    moment, home = now(), dagster_home(settings)
    page = examine(settings, moment, None if home is None else partial(_examine_dagster, settings, home, moment))
    if as_json:
        click.echo(json.dumps(page.as_json(), indent=2))
    else:
        _print(page)
    if telling:
        _tell(page, settings)
    if page.findings:
        sys.exit(1)


def _examine_dagster(settings: Settings, home: Path, moment: datetime) -> Part:
    from trading_data.orchestration.examine import examine_instance

    os.environ.setdefault("PGCONNECT_TIMEOUT", str(PATIENCE))
    return examine_instance(settings, home, moment)


def _print(page: DoctorReport) -> None:
    for finding in page.findings:
        click.echo("\n  ".join(_lines(finding)))
    if page.findings:
        errors = sum(finding.severity == "error" for finding in page.findings)
        count = len(page.findings)
        word = "thing is" if count == 1 else "things are"
        click.echo(f"\n{count} {word} wrong, {errors} of them errors; looked at:")
    else:
        click.echo("nothing is wrong; looked at:")
    for fact in page.facts:
        click.echo(f"  {printable(fact)}")


def _lines(finding: Finding) -> list[str]:
    said = printable(" ".join(hide_secrets(finding.message).split()))
    return [
        f"{finding.severity.upper()} {finding.key}: {said}",
        *figures(finding),
        f"run: {printable(finding.command)}",
    ]


def _tell(page: DoctorReport, settings: Settings) -> None:
    found = [finding for finding in page.findings if finding.key in WATCHED_FROM_OUTSIDE]
    alerts = AlertSettings.from_env()
    ways = [
        channel
        for channel in channels(alerts, logging.getLogger("trading_data.operations.alerts"))
        if channel.name != "log"
    ]
    done = tell(FileMemory(settings.home / "alerts.json"), ways, found, time.time(), alerts.every)
    for name, count in done.delivered.items():
        click.echo(f"told {count} by {name}", err=True)
    for name, why in done.failed.items():
        click.echo(f"not told by {name}, tried again the next time: {why}", err=True)
