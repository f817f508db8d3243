"""`trading-data services start|stop|env`: only the embedded servers.

Belongs here: printing. Does not: starting and stopping (`trading_data.local`).
"""

import shlex

import click

from trading_data.local.homes import embedded, nothing_runs, others
from trading_data.local.servers import Stack
from trading_data.settings import Settings


@click.group("services")
def command() -> None:
    """Start and stop the embedded servers; those that a URL variable points at are left alone."""


@command.command("start")
def start() -> None:
    """Start what no URL points at."""
    settings = Settings.from_env()
    stack = Stack(settings)
    stack.start(click.echo)
    click.echo(f"{'home':<10} {settings.home}")
    for service in stack.services():
        click.echo(f"{service.name:<10} {service.url}")


@command.command("stop")
def stop() -> None:
    """Stop what this home's `start` or `up` started."""
    settings = Settings.from_env()
    if not embedded(settings):
        advice = others(settings).removesuffix("; or ")
        click.echo(f"no server runs in the home {settings.home}{': ' * bool(advice)}{advice}", err=True)
    Stack(settings).stop()


@command.command("env")
def env() -> None:
    """Print `export NAME=value` lines for a shell; exit code 1, and none of them, if no server runs in this home."""
    settings = Settings.from_env()
    if not embedded(settings):
        raise nothing_runs(settings)
    for name, value in Stack(settings).env().items():
        click.echo(f"export {name}={shlex.quote(value)}")
