"""`trading-data archive` and `trading-data run`: work that the clock does anyhow, now, and waited for.

Belongs here: options, printing, exit codes. Does not: running (`orchestration.by_hand`).
"""

import os
from contextlib import closing
from datetime import date, timedelta

import click

from trading_data.archive.database import Archive
from trading_data.archive.ledger import account
from trading_data.archive.schema.migrate import check_schema
from trading_data.cli.servers import dagster_home, environment_of, settings_of_running
from trading_data.datasets import DATASETS
from trading_data.errors import TradingDataError
from trading_data.printable import counted
from trading_data.settings import Settings
from trading_data.times import now, utc


@click.command("archive")
def archive() -> None:
    """An archive run now, as the schedule does it: drain, load, trim, and refresh what waits to be refreshed.

    Says what was archived. Exit code 1 if the run failed; what it had not archived waits, and the next run takes it.
    """
    from trading_data.orchestration.by_hand import archive_now

    settings = _ready()
    with closing(Archive(settings.require_timescale_url())) as database:
        check_schema(database)
        batches = 0
        for run in archive_now(settings, dagster_home(settings), now(), database):
            for dataset in DATASETS.values():
                found = account(database, dataset, run=run.run_id)
                batches += found.batches
                if found.batches:
                    click.echo(
                        f"{dataset.table}: {counted(found.offered, 'entry', 'entries')} archived: {found.inserted:,} inserted, "
                        f"{found.replaced:,} replaced, {found.unchanged:,} unchanged, {found.quarantined:,} quarantined, "
                        f"{found.replayed:,} replayed"
                    )
            _say(run.said, run.failed)
    if not batches:
        click.echo("nothing waited to be archived")


@click.command("run")
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@click.option("--day", help="The UTC day, where what runs has days. [default: today]")
@click.option("--start", help="First day, with --end.")
@click.option("--end", help="Day after the last, with --start.")
def run(names: tuple[str, ...], day: str | None, start: str | None, end: str | None) -> None:
    """Run a job, such as compression_job, or assets, such as price_5m price_1h, now, and wait for it.

    The run is Dagster's: it is in its list of runs, and waits for other runs that do the same. Exit code 1 if it failed.
    """
    if bool(start) != bool(end) or (day and start):
        raise click.UsageError("give --day, or both --start and --end, or none of them")
    from trading_data.orchestration.by_hand import run_now

    first, last = _days(day, start, end)
    settings = _ready()
    done = run_now(settings, dagster_home(settings), names, first, last)
    _say(done.said, done.failed)


def _days(day: str | None, start: str | None, end: str | None) -> tuple[date, date]:
    """The first and the last day."""
    if start and end:
        first, last = utc(start, "--start").date(), utc(end, "--end").date() - timedelta(days=1)
        if last < first:
            raise click.UsageError(f"--end has to be after --start, and {end} is not after {start}")
        return first, last
    only = utc(day, "--day").date() if day else now().date()
    return only, only


def _ready() -> Settings:
    """The settings of what runs, put into the environment, where Dagster and the resources look for them."""
    settings = settings_of_running()
    settings.require_redis_url()
    settings.require_timescale_url()
    os.environ.update(environment_of(settings))
    return settings


def _say(said: str, failed: str | None) -> None:
    if failed is not None:
        raise TradingDataError(f"{said} failed: {failed}")
    click.echo(said)
