"""`trading-data`: the group of all commands. Exit codes: 0 done, 1 the work failed, 2 wrong usage.

Belongs here: finding commands and turning errors into one line. Does not: the commands.
"""

import importlib
import sys
from difflib import get_close_matches

import click

from trading_data.errors import TradingDataError

_COMMANDS = {
    "up": ("up", "Start everything that has no URL set, print a table of URLs, and stay up until Ctrl-C"),
    "demo": (
        "demo",
        "Run a simulated trading day: feed, memory pressure, archival, aggregates, compression and a combined query",
    ),
    "services": ("servers", "Start and stop the embedded servers; servers set by a URL variable are left alone"),
    "logs": (
        "servers",
        (
            "Print the end of the log of SERVICE, or of every process of this home: servers, code location, web server, "
            "daemon, feed"
        ),
    ),
    "psql": ("clients", "Run PostgreSQL's own client on the archive; ARGUMENTS are passed on, as in `-c 'select 1'`"),
    "redis-cli": ("clients", "Run the live tier's own client; ARGUMENTS are passed on, as in `info memory`"),
    "dagster": (
        "clients",
        "Run Dagster's own command on this home's instance; ARGUMENTS are passed on, as in `sensor list`",
    ),
    "migrate": ("schema", "Bring the database to the newest schema; running it again changes nothing"),
    "roles": (
        "schema",
        "Create the roles and databases, bring the schema up to date, and grant each role what it needs",
    ),
    "status": ("health", "Show both tiers at a glance"),
    "query": (
        "query",
        "Print rows of SUBJECTS (symbols, or metric names; default: all) from both tiers, one row per key",
    ),
    "import": ("import_files", "Import CSV or Parquet FILES (paths or fsspec URIs) into the intake"),
    "archive": (
        "jobs",
        "Run the archive job now, as its schedule does: drain, load, trim, and refresh the aggregates that are due",
    ),
    "run": (
        "jobs",
        "Run a job (such as compression_job) or assets (such as price_5m price_1h) now, and wait for the result",
    ),
    "verify": (
        "audit",
        "Check that the accounts balance: journals, intake, ledger, archived ranges and tables, by dataset and day",
    ),
    "quarantine": (
        "audit",
        "Rejected entries: list and show them, send them through validation again, or discard them",
    ),
    "state": (
        "state",
        "The live tier's state at an earlier time: positions, signals, watchlist, candidates, system state",
    ),
    "coverage": (
        "audit",
        "Show what the archive holds of SYMBOLS (default: all) per day, and what is missing; or where sources disagree",
    ),
    "retention": (
        "jobs",
        "Drop the chunks that are past retention, as `retention_job` does every night, and give the reason for each chunk",
    ),
    "backup": (
        "backup",
        "Back up both tiers and the intake, as `backup_job` does every night, and remove backups that have expired",
    ),
    "restore": (
        "backup",
        "Restore the backup NAME, or the newest with --latest, and compare everything restored with its manifest",
    ),
    "exporter": ("health", "Serve the metrics of both tiers to Prometheus, until Ctrl-C"),
    "doctor": ("health", "Report what is wrong, the most harmful first, with the command that fixes each"),
    "bench": (
        "bench",
        "Measure performance against its targets, each as a ratio to a reference measured in the same run",
    ),
}
"""The module of each command and the first sentence of its help, so that `--help` imports no command."""


class _LazyGroup(click.Group):
    """Imports a command on first use: `trading-data --help` imports neither pandas nor Dagster."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"trading_data.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table above."""
        limit = formatter.width - 6 - max(map(len, _COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl([(name, _shortened(summary, limit)) for name, (_, summary) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and (near := get_close_matches(args[0], _COMMANDS, 1)):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rsplit(" ", 1)[0].rstrip(",;:") + " …"


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trading_data")
def group() -> None:
    """The data backbone of a trading system: Redis live, TimescaleDB history, Dagster between them, nothing lost."""


def main() -> None:
    """Run the command line; a `TradingDataError` becomes one line on standard error and exit code 1."""
    try:
        group(standalone_mode=True)
    except TradingDataError as error:
        click.echo(f"trading-data: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
