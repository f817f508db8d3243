"""`trading-data`: the group of all commands. Exit codes: 0 done, 1 the work failed, 2 wrong usage.

Belongs here: finding commands and turning errors into one line. Does not: the commands.
"""

import importlib
import sys
from difflib import get_close_matches

import click

from trading_data.errors import TradingDataError

_COMMANDS = {
    "up": (
        "trading_data.cli.up",
        "Start everything that no URL points at, print one table of URLs, stay up until Ctrl-C",
    ),
    "demo": (
        "trading_data.cli.demo",
        "A simulated trading day through feed, memory pressure, archival, aggregates, compression and a combined query",
    ),
    "services": (
        "trading_data.cli.services",
        "Start and stop the embedded servers; those that a URL variable points at are left alone",
    ),
    "logs": (
        "trading_data.cli.logs",
        "The end of the logs of SERVICE, or of every process of this home: servers, code location, web server, daemon, feed",
    ),
    "psql": (
        "trading_data.cli.clients:psql",
        "PostgreSQL's own client on the archive; ARGUMENTS are passed on, as in `-c 'select 1'`",
    ),
    "redis-cli": (
        "trading_data.cli.clients:redis_cli",
        "The live tier's own client; ARGUMENTS are passed on, as in `info memory`",
    ),
    "dagster": (
        "trading_data.cli.clients:dagster",
        "Dagster's own command on this home's instance; ARGUMENTS are passed on, as in `sensor list`",
    ),
    "migrate": (
        "trading_data.cli.migrate",
        "Bring the database to the newest schema; running it again changes nothing",
    ),
    "roles": (
        "trading_data.cli.roles",
        "Make roles and databases, bring the schema to the newest, and grant what each role needs",
    ),
    "status": ("trading_data.cli.status", "Both tiers at a glance"),
    "query": (
        "trading_data.cli.query",
        "Rows of SUBJECTS (symbols, or metric names; none for all), one a key, from both tiers",
    ),
    "import": ("trading_data.cli.import_files", "Take CSV or Parquet FILES (paths or fsspec URIs) into the intake"),
    "archive": (
        "trading_data.cli.run:archive",
        "An archive run now, as the schedule does it: drain, load, trim, and refresh what waits to be refreshed",
    ),
    "run": (
        "trading_data.cli.run:run",
        "Run a job, such as compression_job, or assets, such as price_5m price_1h, now, and wait for it",
    ),
    "verify": (
        "trading_data.cli.verify",
        "Do the accounts balance: journals, intake, ledger, archived ranges, tables, per dataset and day",
    ),
    "quarantine": (
        "trading_data.cli.quarantine",
        "Rejected entries: look at them, send them through the same door again, give them up",
    ),
    "state": (
        "trading_data.cli.state",
        "The live tier's state as it was: positions, signals, watchlist, candidates, system state",
    ),
    "coverage": (
        "trading_data.cli.coverage",
        "What the archive holds of SYMBOLS (none for all) per day, and what is missing; or where sources disagree",
    ),
    "retention": (
        "trading_data.cli.retention",
        "Each chunk, and why it goes or stays; without --dry-run what goes is dropped, as `retention_job` does every night",
    ),
    "backup": (
        "trading_data.cli.backup",
        "Back up both tiers and the intake, as `backup_job` does every night, and remove what the scheme does not keep",
    ),
    "restore": (
        "trading_data.cli.restore",
        "Restore a backup by NAME, or the newest with --latest, and compare all that came back with its manifest",
    ),
    "exporter": ("trading_data.cli.exporter", "Serve the figures of both tiers to Prometheus, until Ctrl-C"),
    "doctor": ("trading_data.cli.doctor", "What is wrong, in order of harm, with the command for each"),
    "bench": (
        "trading_data.cli.bench",
        "Measure the promises about speed, each as a ratio against a reference in the same run",
    ),
}
"""Where each command is, and the first sentence of its help: `--help` imports none of them."""


class _Lazy(click.Group):
    """Commands are imported when they are asked for: `trading-data --help` costs no pandas and no Dagster."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(module), name or "command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from what is declared here."""
        limit = formatter.width - 6 - max(map(len, _COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl([(name, _shortened(said, limit)) for name, (_, said) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and (near := get_close_matches(args[0], _COMMANDS, 1)):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)


def _shortened(said: str, limit: int) -> str:
    return said if len(said) <= limit else said[: limit - 1].rsplit(" ", 1)[0].rstrip(",;:") + " …"


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trading_data")
def group() -> None:
    """The data backbone of a trading system: Redis live, TimescaleDB history, Dagster between them, nothing lost."""


def main() -> None:
    """Run the command line; an error raised on purpose becomes one line and exit code 1."""
    try:
        group(standalone_mode=True)
    except TradingDataError as error:
        click.echo(f"trading-data: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
