"""`trading-data retention [--dry-run]`.

Belongs here: options and printing. Does not: judging and dropping (`trading_data.operations.maintenance`).
"""

from collections.abc import Iterable, Iterator

import click

from trading_data.archive.database import Archive
from trading_data.archive.schema.migrate import check_schema
from trading_data.cli.servers import dagster_home, settings_of_running
from trading_data.datasets import DATASETS, PLURALS, dataset_named
from trading_data.intake.store import Intake
from trading_data.operations.backup.preconditions import covered_by_backups
from trading_data.operations.maintenance.cleanup import Leftover, leftovers
from trading_data.operations.maintenance.cold_storage import ColdStore
from trading_data.operations.maintenance.retention import DropVerdict, plan, retain
from trading_data.printable import counted, printable
from trading_data.settings import Settings
from trading_data.times import now


@click.command("retention")
@click.argument("dataset", type=click.Choice(PLURALS), required=False)
@click.option("--dry-run", is_flag=True, help="Only say what would go and what stays, and why.")
def command(dataset: str | None, dry_run: bool) -> None:
    """Each chunk, and why it goes or stays; without --dry-run what goes is dropped, as `retention_job` does every night.

    Without DATASET also files that a killed writer left, old states of the live tier, and old runs of jobs without assets.
    """
    settings = settings_of_running()
    archive, intake = Archive(settings.require_timescale_url()), Intake(settings.intake_uri)
    check_schema(archive)
    moment = now()
    cold, covered = ColdStore(settings.backup_uri), covered_by_backups(archive, settings.backup_uri)
    went = stayed = 0
    for one in [dataset_named(dataset)] if dataset else DATASETS.values():
        if dry_run:
            found = plan(archive, intake, one, moment, covered=covered)
        else:
            found = retain(archive, intake, one, moment, cold=cold, covered=covered)
        for verdict in found:
            went, stayed = went + verdict.goes, stayed + (not verdict.goes)
            click.echo(_line(verdict))
    if dataset is None:
        kept = _clear(leftovers(intake, settings.backup_uri, moment), dry_run) + _clear(_runs(settings), dry_run)
        if kept:
            click.echo(
                f"{counted(kept, 'state, file or run stays: it is', 'states, files and runs stay: they are')} younger than "
                f"their rule says"
            )
    verb = "would go" if dry_run else "went"
    click.echo(f"{counted(went, 'chunk')} {verb}, {counted(stayed, 'stays', 'stay')}")


def _line(verdict: DropVerdict) -> str:
    chunk = verdict.chunk
    said = "dropped" if verdict.dropped else "goes" if verdict.goes else "stays"
    line = f"{verdict.dataset.table}  {chunk.day}  {chunk.bytes_on_disk / 1e6:,.1f} MB  {said}: {printable(verdict.reason)}"
    gone = verdict.dropped
    if gone is None:
        return line
    kept = ", ".join(f"{counted(count, 'bucket')} of {name}" for name, count in gone.buckets.items())
    return f"{line}; {counted(gone.rows, 'row')} in {gone.seconds:.1f} s, kept: {kept}" + (
        f"; {gone.cold}" if gone.cold else ""
    )


def _clear(found: Iterable[Leftover], dry_run: bool) -> int:
    """Print what goes and remove it; returns how many stay."""
    kept = 0
    for one in found:
        kept += not one.goes
        if not one.goes:
            continue
        click.echo(f"{one.kind}  {printable(one.name)}  goes: {one.reason}")
        if not dry_run:
            one.remove()
    return kept


def _runs(settings: Settings) -> Iterator[Leftover]:
    """Old runs, if there is an instance of Dagster at hand; its library is heavy, so it is asked only then."""
    home = dagster_home(settings)
    if home is None:
        return
    from trading_data.orchestration.drift import instance_of
    from trading_data.orchestration.run_findings import job_names
    from trading_data.orchestration.runs import old_runs

    with instance_of(home, settings) as instance:
        yield from old_runs(instance, job_names(), now())
