"""The servers and the home that a command works on, and `trading-data services` and `logs`.

A server is the one that the environment names, else the embedded one of this home if it runs.

Belongs here: that choice, and refusing a home that is certainly wrong. Does not: starting and stopping (`trading_data.local`).
"""

import os
import shlex
import time
from dataclasses import replace
from pathlib import Path

import click

from trading_data.errors import ServerError, SettingError
from trading_data.local.servers import Stack, embedded_urls, home_with_urls, no_server_error, other_homes_advice
from trading_data.settings import BACKUP_URI, DAGSTER_URL, HOME, INTAKE_URI, REDIS_URL, TIMESCALE_URL, Settings


def settings_of_running(*, needed: bool = True) -> Settings:
    """The environment's settings, completed with the addresses of the embedded servers that run in this home.

    Args:
        needed: refuse a home without any tier; if false, the addresses stay unset instead.

    Raises:
        SettingError: a variable is malformed. Or no server of this home runs and no URL is set. Or the URLs belong to another
            home's servers: its intake would be missed, and new batches would go where nothing reads them.
    """
    settings = Settings.from_env()
    running = embedded_urls(settings)
    completed = replace(
        settings,
        redis_url=settings.redis_url or running.get(REDIS_URL),
        timescale_url=settings.timescale_url or running.get(TIMESCALE_URL),
        dagster_url=settings.dagster_url or running.get(DAGSTER_URL),
    )
    if needed and not (completed.redis_url or completed.timescale_url or completed.owner_url):
        raise no_server_error(settings)
    if needed and not running and not os.environ.get(INTAKE_URI) and (other := home_with_urls(settings)):
        raise SettingError(
            f"the server URLs belong to the home {other}, but {HOME} is {settings.home}, and nothing reads the intake there: "
            f"`export {HOME}={other}`, or name the intake with {INTAKE_URI}"
        )
    return completed


def dagster_home(settings: Settings) -> Path | None:
    """The folder with Dagster's `dagster.yaml`: DAGSTER_HOME, else the one in this home; None if there is none."""
    home = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster")
    return home if (home / "dagster.yaml").is_file() else None


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that give another process the settings of `settings_of_running`, DAGSTER_HOME included."""
    home = dagster_home(settings)
    variables = {
        HOME: str(settings.home),
        REDIS_URL: settings.redis_url,
        TIMESCALE_URL: settings.timescale_url,
        DAGSTER_URL: settings.dagster_url,
        INTAKE_URI: settings.intake_uri,
        BACKUP_URI: settings.backup_uri,
        "DAGSTER_HOME": str(home) if home else None,
    }
    return {name: value for name, value in variables.items() if value}


@click.group("services")
def services_command() -> None:
    """Start and stop the embedded servers; servers set by a URL variable are left alone."""


@services_command.command("start")
def start() -> None:
    """Start the servers that have no URL set."""
    settings = Settings.from_env()
    stack = Stack(settings)
    stack.start(click.echo)
    click.echo(f"{'home':<10} {settings.home}")
    for service in stack.services():
        click.echo(f"{service.name:<10} {service.url}")


@services_command.command("stop")
def stop() -> None:
    """Stop the servers that `start` or `up` started in this home."""
    settings = Settings.from_env()
    if not embedded_urls(settings):
        advice = other_homes_advice(settings).removesuffix("; or ")
        click.echo(f"no server runs in the home {settings.home}{': ' * bool(advice)}{advice}", err=True)
    Stack(settings).stop()


@services_command.command("env")
def env() -> None:
    """Print `export NAME=value` lines for a shell; prints none and exits 1 if no server runs in this home."""
    settings = Settings.from_env()
    if not embedded_urls(settings):
        raise no_server_error(settings)
    for name, value in Stack(settings).env().items():
        click.echo(f"export {name}={shlex.quote(value)}")


@click.command("logs")
@click.argument("service", required=False)
@click.option("--lines", "-n", default=20, show_default=True, type=click.IntRange(0), help="Lines from the end.")
@click.option("--follow", "-f", is_flag=True, help="Keep printing new lines, until Ctrl-C.")
def logs_command(service: str | None, lines: int, follow: bool) -> None:
    """Print the end of the log of SERVICE, or of every process of this home: servers, code location, web server, daemon, feed."""
    folder = Settings.from_env().home / "services"
    logs = {path.parent.name: path for path in sorted(folder.glob("*/log"))}
    if not logs:
        raise ServerError(f"nothing was started in {folder.parent} yet: start it with `trading-data up`")
    if service is not None and service not in logs:
        raise click.BadParameter(f"there is no log of {service!r}, only of {', '.join(logs)}", param_hint="SERVICE")
    chosen = {service: logs[service]} if service else logs
    offsets = {name: _print_end(name, log, lines) for name, log in chosen.items()}
    while follow:
        try:
            time.sleep(0.5)
        except KeyboardInterrupt:
            return
        for name, log in chosen.items():
            offsets[name] = _print_new(name, log, offsets[name])


def _print_end(name: str, log: Path, lines: int) -> int:
    """Print the last lines; returns the offset up to which the log was read."""
    data = log.read_bytes()
    for line in data.decode(errors="replace").splitlines()[-lines:] if lines else ():
        click.echo(f"{name:<10} {line}")
    return len(data)


def _print_new(name: str, log: Path, offset: int) -> int:
    """Print the complete lines after `offset` and return the new one; a log that became shorter is read from its start."""
    start = offset if log.stat().st_size >= offset else 0
    with log.open("rb") as file:
        file.seek(start)
        data = file.read()
    complete = data[: data.rfind(b"\n") + 1]
    for line in complete.decode(errors="replace").splitlines():
        click.echo(f"{name:<10} {line}")
    return start + len(complete)
