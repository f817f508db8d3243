"""`trading-data services start|stop|env`: only the embedded servers.

Belongs here: printing. Does not: starting and stopping (`trading_data.services`).
"""

import shlex

import click

from trading_data.services.stack import Stack
from trading_data.settings import Settings


@click.group("services")
def command() -> None:
    """Start and stop the embedded servers; those that a URL variable points at are left alone."""


@command.command("start")
def start() -> None:
    """Start what no URL points at."""
    stack = Stack(Settings.from_env())
    stack.start(click.echo)
    for service in stack.services():
        click.echo(f"{service.name:<10} {service.url}")


@command.command("stop")
def stop() -> None:
    """Stop what this home's `start` or `up` started."""
    Stack(Settings.from_env()).stop()


@command.command("env")
def env() -> None:
    """Print `export NAME=value` lines for a shell."""
    for name, value in Stack(Settings.from_env()).env().items():
        click.echo(f"export {name}={shlex.quote(value)}")
