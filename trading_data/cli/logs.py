"""`trading-data logs`: what the processes of `up` say.

Belongs here: finding their logs, and printing. Does not: writing them (`local.process`).
"""

import time
from pathlib import Path

import click

from trading_data.errors import ServerError
from trading_data.settings import Settings


@click.command("logs")
@click.argument("service", required=False)
@click.option("--lines", "-n", default=20, show_default=True, type=click.IntRange(0), help="How many from the end.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
def command(service: str | None, lines: int, follow: bool) -> None:
    """The end of the logs of SERVICE, or of every process of this home: servers, code location, web server, daemon, feed."""
    folder = Settings.from_env().home / "services"
    logs = {path.parent.name: path for path in sorted(folder.glob("*/log"))}
    if not logs:
        raise ServerError(f"nothing was started in {folder.parent} yet: `trading-data up` does")
    if service is not None and service not in logs:
        raise click.BadParameter(f"{service!r} is none of {', '.join(logs)}", param_hint="SERVICE")
    chosen = {service: logs[service]} if service else logs
    read = {name: _print_end(name, log, lines) for name, log in chosen.items()}
    while follow:
        try:
            time.sleep(0.5)
        except KeyboardInterrupt:
            return
        for name, log in chosen.items():
            read[name] = _print_new(name, log, read[name])


def _print_end(name: str, log: Path, lines: int) -> int:
    """Print the last lines; returns how far the log was read."""
    data = log.read_bytes()
    for line in data.decode(errors="replace").splitlines()[-lines:] if lines else ():
        click.echo(f"{name:<10} {line}")
    return len(data)


def _print_new(name: str, log: Path, read: int) -> int:
    """Print what was added since; a log that was begun anew is read from its start."""
    size = log.stat().st_size
    with log.open("rb") as file:
        file.seek(read if size >= read else 0)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    for line in whole.decode(errors="replace").splitlines():
        click.echo(f"{name:<10} {line}")
    return (read if size >= read else 0) + len(whole)
