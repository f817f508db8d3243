"""`trading-data verify`.

Belongs here: printing, and the exit code. Does not: looking (`archive.verify.run`).
"""

import json
import sys
from dataclasses import fields

import click

from trading_data.archive.database import Archive
from trading_data.archive.verify.losses import acknowledge
from trading_data.archive.verify.run import AuditResult, verify
from trading_data.archive.verify.totals import Totals, totals
from trading_data.cli.servers import settings_of_running
from trading_data.datasets import PLURALS, TABLES, dataset_named
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.printable import counted, printable
from trading_data.settings import Settings

_ADDED_UP = "offered = inserted + replaced + unchanged + quarantined + replayed; what is in journals and intake waits"


@click.command("verify")
@click.option(
    "--deep", is_flag=True, help="Compare aggregates with raw rows, look for double keys, read whole batches."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--acknowledge",
    "dataset",
    type=click.Choice(PLURALS),
    help="Look at nothing else, and note that the lost entries of this dataset were looked into.",
)
@click.option("--reason", help="With --acknowledge: why they are lost, or what became of them.")
def command(deep: bool, as_json: bool, dataset: str | None, reason: str | None) -> None:
    """Do the accounts balance: journals, intake, ledger, archived ranges, tables, per dataset and day. Exit code 1 if not.

    Entries that are lost are told by every look until they are back, or until they are acknowledged with a reason.
    """
    if dataset is None and reason is not None:
        raise click.UsageError("--reason goes with --acknowledge")
    if dataset is not None and (deep or as_json):
        raise click.UsageError("--acknowledge goes with --reason only")
    if dataset is not None and not (reason or "").strip():
        raise click.UsageError("--acknowledge needs a --reason: it is kept with what is acknowledged")
    settings = settings_of_running()
    if dataset is not None:
        _acknowledge(settings, dataset, printable(reason or ""))
        return
    client, archive = connect_for_archiver(settings.require_redis_url()), Archive(settings.require_timescale_url())
    intake = Intake(settings.intake_uri)
    found = verify(client, archive, intake, deep=deep)
    looked_at = [dataset for name, dataset in TABLES.items() if any(one.dataset == name for one in found)]
    accounts = {one.name: totals(client, archive, intake, one) for one in looked_at}
    balances = all(one.ok for one in found)
    if as_json:
        findings = [{**vars(one), "day": None if one.day is None else str(one.day)} for one in found]
        numbers = {name: vars(account) for name, account in accounts.items()}
        click.echo(json.dumps({"balances": balances, "accounts": numbers, "findings": findings}, indent=2))
    else:
        _print(accounts, found)
    if not balances:
        sys.exit(1)


def _acknowledge(settings: Settings, named: str, reason: str) -> None:
    """Acknowledge what a dataset has lost, and print it."""
    dataset = dataset_named(named)
    lost = acknowledge(
        connect_for_archiver(settings.require_redis_url()),
        Archive(settings.require_timescale_url()),
        Intake(settings.intake_uri),
        dataset,
        reason,
    )
    if lost.gaps or lost.missing:
        click.echo(f"{dataset.name}: acknowledged: {printable(lost.named)}")
        return
    still = f": {printable(next(said for _, said in lost.said()))}" if lost else ", nothing is lost"
    click.echo(f"there is nothing to acknowledge of {dataset.name}{still}", err=True)
    sys.exit(1)


def _print(accounts: dict[str, Totals], found: list[AuditResult]) -> None:
    """The table, then a line a fault, then a line a dataset."""
    names = [field.name for field in fields(Totals)]
    click.echo("".join(f"{name.replace('_', ' '):>12}" for name in ("", *names)))
    for name, account in accounts.items():
        click.echo(f"{name:>12}" + "".join(f"{getattr(account, name):>12,}" for name in names))
    click.echo(_ADDED_UP)
    for one in found:
        if not one.ok:
            where = one.dataset if one.day is None else f"{one.dataset} {one.day}"
            click.echo(f"{where}: {one.what}: {printable(one.said)} -> {one.command}")
    for name in accounts:
        mine = [one for one in found if one.dataset == name]
        faults = sum(not one.ok for one in mine)
        if faults:
            click.echo(f"{name} does not balance: {counted(faults, 'finding')}")
        else:
            click.echo(f"{name} balances: {'; '.join(one.said for one in mine)}")
