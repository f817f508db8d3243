"""`trading-data status`.

Belongs here: printing. Does not: the figures (`trading_data.status`).
"""

import json
from dataclasses import replace

import click
from rich.console import Console
from rich.table import Table

from trading_data.archive.database import Archive
from trading_data.cli.servers import dagster_home, settings_of_running
from trading_data.errors import ServerError
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.settings import Settings
from trading_data.status import Status, gather, newest_age
from trading_data.times import now


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(as_json: bool) -> None:
    """Both tiers at a glance."""
    settings = settings_of_running()
    client = connect_for_archiver(settings.require_redis_url())
    found = gather(client, Archive(settings.require_timescale_url()), Intake(settings.intake_uri))
    found = replace(found, policy_drift=(*found.policy_drift, *_switched(settings)))
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        _print(found)


def _switched(settings: Settings) -> list[str]:
    """Schedules and sensors that are not switched as declared, where there is an instance of Dagster at hand."""
    home = dagster_home(settings)
    if home is None:
        return []
    from trading_data.orchestration.drift import instance_of, switched_otherwise

    try:
        with instance_of(home, settings) as instance:
            return switched_otherwise(instance)
    except ServerError as error:
        return [str(error)]


def _print(found: Status) -> None:
    console = Console()
    limit = (
        f"of {found.memory.limit / 1e6:,.0f} MB ({found.memory.ratio:.1%})"
        if found.memory.limit
        else "(no maxmemory set)"
    )
    console.print(f"trading_data {found.version}", highlight=False)
    console.print(
        f"live     {found.live}  {found.live_version}  {found.memory.used / 1e6:,.1f} MB {limit}", highlight=False
    )
    console.print(f"archive  {found.archive}  {found.archive_version}", highlight=False)
    table = Table()
    columns = (
        "dataset",
        "journals",
        "entries",
        "undrained",
        "not archived",
        "batches",
        "rows",
        "quarantined",
        "newest",
        "chunks",
        "ratio",
    )
    for name in columns:
        table.add_column(name, justify="left" if name in ("dataset", "newest") else "right")
    for one in found.datasets:
        age = newest_age(one, now())
        table.add_row(
            one.dataset,
            f"{one.journals:,}",
            f"{one.entries:,}",
            f"{one.undrained:,}",
            f"{one.unarchived:,}",
            f"{one.waiting_batches:,}",
            f"{one.account.inserted:,}",
            f"{one.quarantined:,}",
            "none"
            if age is None or one.account.newest is None
            else f"{one.account.newest:%Y-%m-%d %H:%M}Z ({_ago(age)})",
            f"{one.compressed_chunks}/{one.chunks}",
            "-" if one.compression_ratio is None else f"{one.compression_ratio:.1f}",
        )
    console.print(table)
    if found.waiting_refreshes:
        console.print(f"{found.waiting_refreshes} ranges wait for their aggregates to be refreshed", highlight=False)
    for line in found.policy_drift:
        console.print(f"drift: {line}", style="red", highlight=False)


def _ago(seconds: float) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= size:
            return f"{seconds / size:.0f} {name} ago"
    return f"{seconds:.0f} s ago"
