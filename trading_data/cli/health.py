"""`trading-data status`, `doctor` and `exporter`: how the system is.

Belongs here: printing, exit codes, and alerts about Dagster itself. Does not: measuring and judging (`operations`).
"""

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import click
import psycopg2
from rich.console import Console
from rich.table import Table

from trading_data.archive.database import Archive
from trading_data.cli.servers import dagster_home, settings_of_running
from trading_data.errors import IntakeError, ServerError
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.operations.alerts.channels import channels
from trading_data.operations.alerts.message import figures, hide_secrets
from trading_data.operations.alerts.notify import notify
from trading_data.operations.alerts.settings import AlertSettings
from trading_data.operations.alerts.state import FileMemory
from trading_data.operations.doctor.examine import PATIENCE, DoctorReport, Part, examine
from trading_data.operations.exporter.server import PORT, Exporter
from trading_data.operations.health.thresholds import Finding
from trading_data.operations.status import DatasetStatus, Status, gather, newest_age
from trading_data.printable import counted, printable
from trading_data.settings import Settings
from trading_data.times import now

WATCHED_FROM_OUTSIDE = ("daemon", "dagster_away", "switched")
"""The findings that stop Dagster's own alerts, so that another process has to send them."""


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def status_command(as_json: bool) -> None:
    """Show both tiers at a glance. Exit code 1 if a batch in the intake is damaged; everything else is still shown."""
    settings = settings_of_running()
    client = connect_for_archiver(settings.require_redis_url())
    status = gather(client, Archive(settings.require_timescale_url()), Intake(settings.intake_uri))
    status = replace(status, policy_drift=(*status.policy_drift, *_switched(settings)))
    if as_json:
        click.echo(json.dumps(status.as_json(), indent=2))
    else:
        _print_status(status)
    if errors := [error for dataset in status.datasets for error in dataset.damaged]:
        raise IntakeError(errors[0] + (f" ({len(errors):,} batches are damaged)" if len(errors) > 1 else ""))


def _switched(settings: Settings) -> list[str]:
    """Schedules and sensors that were switched on or off by hand, if there is a Dagster instance."""
    home = dagster_home(settings)
    if home is None or not _may_be_switched(settings.dagster_url):
        return []
    from trading_data.orchestration.drift import switched_otherwise
    from trading_data.orchestration.storage import instance_of

    try:
        with instance_of(home, settings) as instance:
            return switched_otherwise(instance)
    except ServerError as error:
        return [str(error)]


def _may_be_switched(url: str | None) -> bool:
    """Whether a schedule or sensor was ever switched by hand, according to Dagster's storage; true if that cannot be read.

    Dagster takes two seconds to import, and this query spares that in the usual case.
    """
    if url is None:
        return True
    query = "select exists (select from instigators where status <> 'DECLARED_IN_CODE')"
    try:
        with (
            closing(
                psycopg2.connect(url.replace("postgresql+psycopg2", "postgresql", 1), connect_timeout=5)
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(query)
            return bool((cursor.fetchone() or (True,))[0])
    except psycopg2.Error:
        return True


def _print_status(status: Status) -> None:
    console = Console(highlight=False)
    memory = status.memory
    limit = f"of {memory.limit / 1e6:,.0f} MB ({memory.ratio:.1%})" if memory.limit else "(maxmemory is not set)"
    for line in (
        f"trading_data {status.version}",
        f"live     {status.live}  {status.live_version}  {memory.used / 1e6:,.1f} MB {limit}",
        f"archive  {status.archive}  {status.archive_version}",
    ):
        console.print(line, soft_wrap=True)
    table = Table("")
    for dataset in status.datasets:
        table.add_column(dataset.dataset, justify="right")
    for name, cell in _ROWS.items():
        table.add_row(name, *map(cell, status.datasets))
    console.print(table)
    if status.waiting_refreshes:
        console.print(
            f"{counted(status.waiting_refreshes, 'aggregate range is', 'aggregate ranges are')} due to be refreshed"
        )
    for line in status.policy_drift:
        console.print(f"drift: {line}", style="red", soft_wrap=True)


def _newest(dataset: DatasetStatus) -> str:
    age = newest_age(dataset, now())
    return "none" if age is None else f"{dataset.account.newest:%Y-%m-%d %H:%M}Z, {_ago(age)}"


_ROWS: dict[str, Callable[[DatasetStatus], str]] = {
    "journals": lambda dataset: f"{dataset.journals:,}",
    "entries in journals": lambda dataset: f"{dataset.entries:,}",
    "not drained": lambda dataset: f"{dataset.undrained:,}",
    "not archived": lambda dataset: f"{dataset.unarchived:,}",
    "batches waiting": lambda dataset: f"{dataset.waiting_batches:,}",
    "batches damaged": lambda dataset: f"{len(dataset.damaged):,}",
    "rows archived": lambda dataset: f"{dataset.account.inserted:,}",
    "quarantined": lambda dataset: f"{dataset.quarantined:,}",
    "newest row": _newest,
    "chunks compressed": lambda dataset: f"{dataset.compressed_chunks:,} of {dataset.chunks:,}",
    "compression": lambda dataset: "-" if dataset.compression_ratio is None else f"{dataset.compression_ratio:.1f} : 1",
}


def _ago(seconds: float) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= size:
            return f"{seconds / size:.0f} {name} ago"
    return f"{seconds:.0f} s ago"


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--tell",
    "send",
    is_flag=True,
    help="Also alert the configured channels (webhook, e-mail, …) if Dagster itself does not run; run it from cron.",
)
def doctor_command(as_json: bool, send: bool) -> None:
    """Report what is wrong, the most harmful first, with the command that fixes each. Exit code 1 for any finding, warnings too."""
    logging.getLogger().addHandler(
        logging.NullHandler()
    )  # libraries log about servers that are down; the report has it
    settings = settings_of_running(needed=False)
    moment, home = now(), dagster_home(settings)
    report = examine(settings, moment, None if home is None else partial(_examine_dagster, settings, home, moment))
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        _print_report(report)
    if send:
        _send_alerts(report, settings)
    if report.findings:
        sys.exit(1)


def _examine_dagster(settings: Settings, home: Path, moment: datetime) -> Part:
    from trading_data.orchestration.examine import examine_instance  # Dagster takes two seconds to import

    os.environ.setdefault("PGCONNECT_TIMEOUT", str(PATIENCE))
    return examine_instance(settings, home, moment)


def _print_report(report: DoctorReport) -> None:
    for finding in report.findings:
        click.echo("\n  ".join(_finding_lines(finding)))
    if report.findings:
        errors = sum(finding.severity == "error" for finding in report.findings)
        warnings = len(report.findings) - errors
        click.echo(f"\n{counted(errors, 'error')}, {counted(warnings, 'warning')}; checked:")
    else:
        click.echo("nothing is wrong; checked:")
    for fact in report.facts:
        click.echo(f"  {printable(fact)}")


def _finding_lines(finding: Finding) -> list[str]:
    message = printable(" ".join(hide_secrets(finding.message).split()))
    return [
        f"{finding.severity.upper()} {finding.key}: {message}",
        *figures(finding),
        f"run: {printable(finding.command)}",
    ]


def _send_alerts(report: DoctorReport, settings: Settings) -> None:
    findings = [finding for finding in report.findings if finding.key in WATCHED_FROM_OUTSIDE]
    alerts = AlertSettings.from_env()
    receivers = [
        channel
        for channel in channels(alerts, logging.getLogger("trading_data.operations.alerts"))
        if channel.name != "log"
    ]
    result = notify(FileMemory(settings.home / "alerts.json"), receivers, findings, time.time(), alerts.every)
    for name, count in result.delivered.items():
        click.echo(f"{counted(count, 'alert')} sent by {name}", err=True)
    for name, error in result.failed.items():
        click.echo(f"alerts could not be sent by {name}; the next run tries again: {error}", err=True)


@click.command("exporter")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Port; 0 for any free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
def exporter_command(port: int, host: str) -> None:
    """Serve the metrics of both tiers to Prometheus, until Ctrl-C.

    Each scrape measures, at most every 15 seconds. While a tier does not answer, its `trading_data_up` is 0.
    """
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: stop.set())
    exporter = Exporter(settings_of_running(), host=host, port=port)
    try:
        click.echo(f"metrics at {exporter.url}; press Ctrl-C to stop")
        stop.wait()
    finally:
        exporter.close()
