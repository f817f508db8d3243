"""`trading-data status`.

Belongs here: printing. Does not: the figures (`trading_data.operations.status`).
"""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import click
import psycopg2
from rich.console import Console
from rich.table import Table

from trading_data.archive.database import Archive
from trading_data.cli.servers import dagster_home, settings_of_running
from trading_data.errors import IntakeError, ServerError
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.operations.status import DatasetStatus, Status, gather, newest_age
from trading_data.printable import counted
from trading_data.settings import Settings
from trading_data.times import now


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(as_json: bool) -> None:
    """Both tiers at a glance. Ends with 1 if a batch in the intake is damaged, after everything else."""
    settings = settings_of_running()
    client = connect_for_archiver(settings.require_redis_url())
    found = gather(client, Archive(settings.require_timescale_url()), Intake(settings.intake_uri))
    found = replace(found, policy_drift=(*found.policy_drift, *_switched(settings)))
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        _print(found)
    if damaged := [one for dataset in found.datasets for one in dataset.damaged]:
        more = f" ({counted(len(damaged), 'batch is', 'batches are')} damaged)" if len(damaged) > 1 else ""
        raise IntakeError(damaged[0] + more)


def _switched(settings: Settings) -> list[str]:
    """Schedules and sensors that are not switched as declared, where there is an instance of Dagster at hand."""
    home = dagster_home(settings)
    if home is None or not _somebody_switched(settings.dagster_url):
        return []
    from trading_data.orchestration.drift import instance_of, switched_otherwise

    try:
        with instance_of(home, settings) as instance:
            return switched_otherwise(instance)
    except ServerError as error:
        return [str(error)]


def _somebody_switched(url: str | None) -> bool:
    """Whether Dagster's storage has a schedule or sensor that was ever switched by hand; also where it cannot be asked.

    Dagster's own library takes two seconds to import, so it is asked only then.
    """
    if url is None:
        return True
    asked = "select exists (select from instigators where status <> 'DECLARED_IN_CODE')"
    try:
        with (
            closing(
                psycopg2.connect(url.replace("postgresql+psycopg2", "postgresql", 1), connect_timeout=5)
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(asked)
            return bool((cursor.fetchone() or (True,))[0])
    except psycopg2.Error:
        return True


def _print(status: Status) -> None:
    console = Console()
    limit = (
        f"of {status.memory.limit / 1e6:,.0f} MB ({status.memory.ratio:.1%})"
        if status.memory.limit
        else "(no maxmemory set)"
    )
    console.print(f"trading_data {status.version}", highlight=False)
    console.print(
        f"live     {status.live}  {status.live_version}  {status.memory.used / 1e6:,.1f} MB {limit}", highlight=False
    )
    console.print(f"archive  {status.archive}  {status.archive_version}", highlight=False)
    table = Table("")
    for one in status.datasets:
        table.add_column(one.dataset, justify="right")
    for name, figure in _FIGURES.items():
        table.add_row(name, *map(figure, status.datasets))
    console.print(table)
    if status.waiting_refreshes:
        console.print(
            f"{counted(status.waiting_refreshes, 'range waits', 'ranges wait')} for aggregates to be refreshed",
            highlight=False,
        )
    for line in status.policy_drift:
        console.print(f"drift: {line}", style="red", highlight=False)


def _newest(dataset_status: DatasetStatus) -> str:
    age = newest_age(dataset_status, now())
    return "none" if age is None else f"{dataset_status.account.newest:%Y-%m-%d %H:%M}Z, {_ago(age)}"


_FIGURES: dict[str, Callable[[DatasetStatus], str]] = {
    "journals": lambda one: f"{one.journals:,}",
    "entries in them": lambda one: f"{one.entries:,}",
    "not drained": lambda one: f"{one.undrained:,}",
    "not archived": lambda one: f"{one.unarchived:,}",
    "batches waiting": lambda one: f"{one.waiting_batches:,}",
    "batches damaged": lambda one: f"{len(one.damaged):,}",
    "rows archived": lambda one: f"{one.account.inserted:,}",
    "quarantined": lambda one: f"{one.quarantined:,}",
    "newest row": _newest,
    "chunks compressed": lambda one: f"{one.compressed_chunks:,} of {one.chunks:,}",
    "compression": lambda one: "-" if one.compression_ratio is None else f"{one.compression_ratio:.1f} : 1",
}


def _ago(seconds: float) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= size:
            return f"{seconds / size:.0f} {name} ago"
    return f"{seconds:.0f} s ago"
