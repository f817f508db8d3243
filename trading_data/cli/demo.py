"""`trading-data demo`: the whole system in about two minutes, without questions.

Belongs here: printing and the exit code. Does not: the demo (`system.demo`).
"""

import json
import signal
import sys
from pathlib import Path

import click

from trading_data.errors import ServerError
from trading_data.services.process import free_port
from trading_data.settings import Settings
from trading_data.system.demo import Demo, Report


@click.command("demo")
@click.option(
    "--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write the report into this file."
)
def command(file: Path | None) -> None:
    """A simulated trading day through feed, memory pressure, archival, aggregates, compression and a combined query.

    Exits 0 only if nothing was lost.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything it started is stopped then, too
    report = Demo(Settings.from_env(), click.echo, port=free_port()).run()
    _print(report)
    if file is not None:
        file.write_text(json.dumps(report.as_json(), indent=2) + "\n")
    if not report.nothing_lost:
        raise ServerError(
            "entries were lost or aggregates differ; see the table above. This is a bug: please report it"
        )


def _print(report: Report) -> None:
    names = ("accepted", "inserted", "replaced", "unchanged", "quarantined", "lost")
    click.echo("".join(f"{name:>12}" for name in ("", *names)))
    for dataset, counts in report.datasets.items():
        click.echo(f"{dataset:>12}" + "".join(f"{counts[name]:>12,}" for name in names))
    click.echo(
        f"{report.archive_runs} archive runs, {report.memory_pressure_runs} of them for memory pressure, "
        f"{report.failed_runs} failed; aggregates equal raw rows: {'yes' if report.aggregates_equal else 'NO'}; "
        f"compression {report.compression_ratio} : 1; {report.seconds:.0f} s"
    )
    click.echo("; ".join(f"{name} {version}" for name, version in report.versions.items()))
