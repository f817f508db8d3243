"""`trading-data quarantine list|show|retry|discard`: rejected entries.

Belongs here: options and printing; what is printed came from anybody, so nothing in it reaches the terminal raw.
Does not: what is done with entries (`archive.quarantine.queries`).
"""

from collections.abc import Mapping

import click

from trading_data.archive.database import Archive
from trading_data.archive.ledger import quarantine_waiting
from trading_data.archive.quarantine.queries import discard, listing, retry, show
from trading_data.archive.quarantine.resend import Quarantined
from trading_data.cli.servers import settings_of_running
from trading_data.datasets import EVERY_PLURAL, TABLES, dataset_named
from trading_data.intake.store import Intake
from trading_data.printable import counted, printable
from trading_data.times import day_start

_DATASETS = click.Choice(EVERY_PLURAL)
_ID = click.IntRange(1, 2**63 - 1)


@click.group("quarantine")
def command() -> None:
    """Rejected entries: look at them, send them through the same door again, give them up."""


@command.command("list")
@click.argument("dataset", type=_DATASETS, required=False)
@click.option("--kind", help="Only those of this kind.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Entries shown at most.")
def list_(dataset: str | None, kind: str | None, limit: int) -> None:
    """What waits: per kind how many and since when, then the entries, oldest first."""
    archive = _archive()
    declared = dataset_named(dataset) if dataset else None
    total = 0
    for one in [declared] if declared else TABLES.values():
        for found, (count, since) in quarantine_waiting(archive, one).items():
            if kind in (None, found):
                total += count
                click.echo(f"{one.name}: {count:,} {printable(found)} since {since:%Y-%m-%d %H:%M:%S}Z")
    shown = listing(archive, declared, kind, limit)
    for entry in shown:
        click.echo(_line(entry))
    if not shown:
        click.echo("no entry waits in quarantine")
    elif total > len(shown):
        click.echo(f"… and {total - len(shown):,} more: --limit shows them")


@command.command("show")
@click.argument("quarantine_id", metavar="ID", type=_ID)
def show_(quarantine_id: int) -> None:
    """One entry, whole. Bytes that are not UTF-8 and control characters are shown escaped."""
    entry = show(_archive(), quarantine_id)
    click.echo(_line(entry))
    if entry.settled and entry.settled_at:
        click.echo(f"{entry.settled} {entry.settled_at:%Y-%m-%d %H:%M:%S}Z")
    for name, value in entry.fields:
        click.echo(f"  {printable(name)}: {'(missing)' if value is None else printable(value)}")


@command.command("retry")
@click.argument("ids", metavar="[ID]...", nargs=-1, type=_ID)
@click.option("--dataset", type=_DATASETS, help="With --kind, instead of ids: all of them that wait.")
@click.option("--kind", help="With --dataset, instead of ids.")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Correct a field of each; repeatable.")
@click.option("--drop", "dropped", multiple=True, metavar="FIELD", help="Leave a field of each out; repeatable.")
def retry_(
    ids: tuple[int, ...], dataset: str | None, kind: str | None, settings: tuple[str, ...], dropped: tuple[str, ...]
) -> None:
    """Send entries through the same door again, corrected if need be; one that is rejected again goes on waiting.

    They wait until the next archive run has loaded them. Retrying an entry twice loads it once.
    """
    if bool(ids) == bool(dataset or kind) or bool(dataset) != bool(kind):
        raise click.UsageError("name the entries by their ids, or give --dataset and --kind")
    edits: dict[str, str | None] = {**dict.fromkeys(dropped), **_edits(settings)}
    where = settings_of_running()
    done = retry(
        Archive(where.require_timescale_url()),
        Intake(where.intake_uri),
        ids=ids,
        dataset=dataset_named(dataset) if dataset else None,
        kind=kind,
        earliest=day_start(where.start),
        edits=edits,
    )
    for number, how in done.settled.items():
        click.echo(f"{number} is {how} already: left alone")
    for batch in done.batches:
        click.echo(
            f"{batch.rows:,} good and {counted(batch.rejected, 'again rejected entry', 'again rejected entries')} wait in "
            f"{batch.file.name}"
        )
    total = sum(batch.rows + batch.rejected for batch in done.batches)
    click.echo(f"{counted(total, 'entry', 'entries')} sent" + ("; the next archive run loads them" if total else ""))


@command.command("discard")
@click.argument("ids", metavar="ID...", nargs=-1, required=True, type=_ID)
@click.option("--reason", required=True, help="Why; it is kept with the entries.")
def discard_(ids: tuple[int, ...], reason: str) -> None:
    """Give entries up, by their ids only: they stay in the archive's quarantine, whole, but wait no longer."""
    for number in discard(_archive(), ids, reason):
        click.echo(f"{number} is discarded; it stays in quarantine, whole, and waits no longer")


def _archive() -> Archive:
    return Archive(settings_of_running().require_timescale_url())


def _edits(settings: tuple[str, ...]) -> Mapping[str, str]:
    pairs = [setting.partition("=") for setting in settings]
    if any(not name or not equals for name, equals, _ in pairs):
        raise click.UsageError("--set takes FIELD=VALUE")
    return {name: value for name, _, value in pairs}


def _line(entry: Quarantined) -> str:
    where = f"{entry.dataset}  {printable(entry.journal)}  {printable(entry.entry_id)}"
    return f"{entry.quarantine_id}  {entry.since:%Y-%m-%d %H:%M:%S}Z  {where}  {printable(entry.kind)}: {printable(entry.reason)}"
