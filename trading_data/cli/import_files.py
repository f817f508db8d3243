"""`trading-data import`: files into the intake, so that they reach the archive the same way as live data.

Belongs here: options and progress. Does not: reading files (`trading_data.files`) and taking them (`intake.take`).
"""

import click

from trading_data.cli.servers import settings_of_running
from trading_data.datasets import PLURALS, dataset_named
from trading_data.files import check_columns, read_table
from trading_data.intake.store import Intake
from trading_data.intake.take import take
from trading_data.times import day_start


@click.command("import")
@click.argument("dataset", type=click.Choice(PLURALS))
@click.argument("files", nargs=-1, required=True)
def command(dataset: str, files: tuple[str, ...]) -> None:
    """Take CSV or Parquet FILES (paths or fsspec URIs) into the intake.

    The columns have to be exactly the dataset's; all files are looked at before any is taken. Rows that break a rule go
    to quarantine with the reason.
    """
    settings = settings_of_running()
    declared = dataset_named(dataset)
    for file in files:
        check_columns(declared, file)
    intake, rows, rejected = Intake(settings.intake_uri), 0, 0
    for file in files:
        tables = read_table(declared, file)
        for done in take(intake, declared, file, tables, origin="file", earliest=day_start(settings.start)):
            rows, rejected = rows + done.rows, rejected + done.rejected
            click.echo(f"{file}: {done.rows:,} rows and {done.rejected:,} rejected ones wait in {done.file.name}")
    click.echo(f"{rows:,} rows and {rejected:,} rejected ones wait in the intake; the next archive run loads them")
