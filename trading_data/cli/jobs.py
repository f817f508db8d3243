"""`trading-data archive`, `run` and `retention`: scheduled work, run now.

Belongs here: options, printing, exit codes. Does not: running (`orchestration.by_hand`), and choosing and dropping chunks
(`operations.maintenance`).
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import date, timedelta

import click

from trading_data.archive.database import Archive
from trading_data.archive.ledger import account
from trading_data.archive.schema.migrate import check_schema
from trading_data.cli.servers import dagster_home, environment_of, settings_of_running
from trading_data.datasets import DATASETS, PLURALS, dataset_named
from trading_data.errors import TradingDataError
from trading_data.intake.store import Intake
from trading_data.operations.backup.preconditions import covered_by_backups
from trading_data.operations.maintenance.cleanup import Leftover, leftovers
from trading_data.operations.maintenance.cold_storage import ColdStore
from trading_data.operations.maintenance.retention import DropVerdict, plan, retain
from trading_data.printable import counted, printable
from trading_data.settings import Settings
from trading_data.times import now, utc


@click.command("archive")
def archive_command() -> None:
    """Run the archive job now, as its schedule does: drain, load, trim, and refresh the aggregates that are due.

    Prints what was archived. Exit code 1 if a run failed; entries that it did not archive stay in place for the next run.
    """
    from trading_data.orchestration.by_hand import archive_now  # Dagster takes two seconds to import

    settings = _dagster_settings()
    with closing(Archive(settings.require_timescale_url())) as database:
        check_schema(database)
        batches = 0
        for run in archive_now(settings, dagster_home(settings), now(), database):
            for dataset in DATASETS.values():
                loaded = account(database, dataset, run=run.run_id)
                batches += loaded.batches
                if loaded.batches:
                    click.echo(
                        f"{dataset.table}: {counted(loaded.offered, 'entry', 'entries')} archived: {loaded.inserted:,} inserted, "
                        f"{loaded.replaced:,} replaced, {loaded.unchanged:,} unchanged, {loaded.quarantined:,} quarantined, "
                        f"{loaded.replayed:,} replayed"
                    )
            _print_run(run.description, run.failed)
    if not batches:
        click.echo("there was nothing to archive")


@click.command("run")
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@click.option("--day", help="The UTC day, for a job or asset with daily partitions. [default: today]")
@click.option("--start", help="First day, with --end.")
@click.option("--end", help="Day after the last, with --start.")
def run_command(names: tuple[str, ...], day: str | None, start: str | None, end: str | None) -> None:
    """Run a job (such as compression_job) or assets (such as price_5m price_1h) now, and wait for the result.

    The run appears in Dagster's list of runs, and waits for other runs of the same work. Exit code 1 if it failed.
    """
    if bool(start) != bool(end) or (day and start):
        raise click.UsageError("give --day, or both --start and --end, or none of them")
    from trading_data.orchestration.by_hand import run_now  # Dagster takes two seconds to import

    first, last = _days(day, start, end)
    settings = _dagster_settings()
    run = run_now(settings, dagster_home(settings), names, first, last)
    _print_run(run.description, run.failed)


def _days(day: str | None, start: str | None, end: str | None) -> tuple[date, date]:
    """The first and the last day."""
    if start and end:
        first, last = utc(start, "--start").date(), utc(end, "--end").date() - timedelta(days=1)
        if last < first:
            raise click.UsageError(f"--end must be after --start, and {end} is not after {start}")
        return first, last
    only = utc(day, "--day").date() if day else now().date()
    return only, only


def _dagster_settings() -> Settings:
    """The settings of what runs, exported to the environment for Dagster and its resources."""
    settings = settings_of_running()
    settings.require_redis_url()
    settings.require_timescale_url()
    os.environ.update(environment_of(settings))
    return settings


def _print_run(description: str, error: str | None) -> None:
    if error is not None:
        raise TradingDataError(f"{description} failed: {error}")
    click.echo(f"{description} succeeded")


@click.command("retention")
@click.argument("dataset", type=click.Choice(PLURALS), required=False)
@click.option("--dry-run", is_flag=True, help="Drop nothing; print what would be dropped or kept, and why.")
def retention_command(dataset: str | None, dry_run: bool) -> None:
    """Drop the chunks that are past retention, as `retention_job` does every night, and give the reason for each chunk.

    Without DATASET, also removes files left by a killed writer, old states of the live tier, and old runs of jobs without
    assets.
    """
    settings = settings_of_running()
    archive, intake = Archive(settings.require_timescale_url()), Intake(settings.intake_uri)
    check_schema(archive)
    moment = now()
    cold, covered = ColdStore(settings.backup_uri), covered_by_backups(archive, settings.backup_uri)
    dropped = kept = 0
    for declared in [dataset_named(dataset)] if dataset else DATASETS.values():
        if dry_run:
            verdicts = plan(archive, intake, declared, moment, covered=covered)
        else:
            verdicts = retain(archive, intake, declared, moment, cold=cold, covered=covered)
        for verdict in verdicts:
            dropped, kept = dropped + verdict.goes, kept + (not verdict.goes)
            click.echo(_chunk_line(verdict))
    if dataset is None:
        young = _clean_up(leftovers(intake, settings.backup_uri, moment), dry_run) + _clean_up(
            _old_runs(settings), dry_run
        )
        if young:
            click.echo(
                f"{counted(young, 'state, file or run is', 'states, files and runs are')} not old enough to be removed"
            )
    verb = "would be dropped" if dry_run else "dropped"
    click.echo(f"{counted(dropped, 'chunk')} {verb}, {counted(kept, 'stays', 'stay')}")


def _chunk_line(verdict: DropVerdict) -> str:
    chunk, drop = verdict.chunk, verdict.dropped
    outcome = "dropped" if drop else "goes" if verdict.goes else "stays"
    line = f"{verdict.dataset.table}  {chunk.day}  {chunk.bytes_on_disk / 1e6:,.1f} MB  {outcome}: {printable(verdict.reason)}"
    if drop is None:
        return line
    buckets = ", ".join(f"{counted(count, 'bucket')} of {name}" for name, count in drop.buckets.items())
    copy = f"; {drop.cold}" if drop.cold else ""
    return f"{line}; {counted(drop.rows, 'row')} in {drop.seconds:.1f} s, kept: {buckets}{copy}"


def _clean_up(candidates: Iterable[Leftover], dry_run: bool) -> int:
    """Print and remove what is old enough; returns how many are not."""
    young = 0
    for leftover in candidates:
        if not leftover.goes:
            young += 1
            continue
        click.echo(f"{leftover.kind}  {printable(leftover.name)}  goes: {leftover.reason}")
        if not dry_run:
            leftover.remove()
    return young


def _old_runs(settings: Settings) -> Iterator[Leftover]:
    """Old runs, if there is a Dagster instance. Only then is Dagster imported, which takes two seconds."""
    home = dagster_home(settings)
    if home is None:
        return
    from trading_data.orchestration.declared import ALL_JOBS
    from trading_data.orchestration.runs import old_runs
    from trading_data.orchestration.storage import instance_of

    with instance_of(home, settings) as instance:
        yield from old_runs(instance, ALL_JOBS, now())
