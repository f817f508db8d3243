"""`trading-data`: the group of all commands. Exit codes: 0 done, 1 the work failed, 2 wrong usage.

Belongs here: finding commands and turning errors into one line. Does not: the commands.
"""

import importlib
import sys
from difflib import get_close_matches

import click

from trading_data.errors import TradingDataError

_COMMANDS = {
    "up": "trading_data.cli.up",
    "demo": "trading_data.cli.demo",
    "services": "trading_data.cli.services",
    "logs": "trading_data.cli.logs",
    "psql": "trading_data.cli.clients:psql",
    "redis-cli": "trading_data.cli.clients:redis_cli",
    "dagster": "trading_data.cli.clients:dagster",
    "migrate": "trading_data.cli.migrate",
    "roles": "trading_data.cli.roles",
    "status": "trading_data.cli.status",
    "query": "trading_data.cli.query",
    "import": "trading_data.cli.import_files",
    "archive": "trading_data.cli.run:archive",
    "run": "trading_data.cli.run:run",
    "verify": "trading_data.cli.verify",
    "quarantine": "trading_data.cli.quarantine",
    "state": "trading_data.cli.state",
    "coverage": "trading_data.cli.coverage",
    "retention": "trading_data.cli.retention",
    "backup": "trading_data.cli.backup",
    "restore": "trading_data.cli.restore",
    "exporter": "trading_data.cli.exporter",
    "doctor": "trading_data.cli.doctor",
    "bench": "trading_data.cli.bench",
}


class _Lazy(click.Group):
    """Commands are imported when they are asked for: `trading-data --help` costs no pandas and no Dagster."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        found: click.Command = getattr(importlib.import_module(module), name or "command")
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and (near := get_close_matches(args[0], _COMMANDS, 1)):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)


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
