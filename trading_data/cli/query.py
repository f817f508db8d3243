"""`trading-data query`: a combined recent and historical read.

Belongs here: options and formats. Does not: reading (`reader.market_data`).
"""

import sys

import click

from trading_data.archive.database import Archive
from trading_data.cli.servers import settings_of_running
from trading_data.datasets import dataset_named
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.reader.market_data import MarketData
from trading_data.times import day_start

_INTERVALS = ("raw", "5m", "1h", "1d")


@click.command("query")
@click.argument("dataset", type=click.Choice(["prices", "trades", "metrics"]))
@click.argument("subjects", nargs=-1)
@click.option("--start", required=True, help="ISO 8601 with a zone, or a day (midnight UTC); included.")
@click.option("--end", required=True, help="The same; not included.")
@click.option("--interval", type=click.Choice(_INTERVALS), default="raw", show_default=True)
@click.option("--format", "form", type=click.Choice(["table", "csv", "parquet"]), default="table", show_default=True)
def command(dataset: str, subjects: tuple[str, ...], start: str, end: str, interval: str, form: str) -> None:
    """Rows of SUBJECTS (symbols, or metric names; none for all), one a key, from both tiers.

    Tables and CSV are text on standard output; Parquet is bytes, to be sent into a file.
    """
    settings = settings_of_running()
    reader = MarketData(
        connect_for_archiver(settings.require_redis_url()),
        Archive(settings.require_timescale_url()),
        Intake(settings.intake_uri),
        day_start(settings.start),
    )
    frame = reader.read(dataset_named(dataset), subjects or None, start, end, interval)
    if form == "csv":
        frame.to_csv(sys.stdout, index=False)
    elif form == "parquet":
        if sys.stdout.isatty():
            raise click.UsageError("Parquet is bytes: send it into a file, `… --format parquet > rows.parquet`")
        frame.to_parquet(sys.stdout.buffer, index=False)
    else:
        click.echo(frame.to_string(index=False) if len(frame) else "no rows")
