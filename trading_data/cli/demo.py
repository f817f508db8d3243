"""`trading-data demo`: the whole system in about two minutes, without questions.

Belongs here: printing and the exit code. Does not: the demo (`cli.demo_day`).
"""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from trading_data.cli.demo_day import Demo, Progress, Report
from trading_data.errors import ServerError
from trading_data.local.process import free_port
from trading_data.printable import counted
from trading_data.settings import Settings

_LINE_EVERY = 5.0


@click.command("demo")
@click.option(
    "--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write the report into this file."
)
def command(file: Path | None) -> None:
    """A simulated trading day through feed, memory pressure, archival, aggregates, compression and a combined query.

    Exits 0 only if nothing was lost.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything it started is stopped then, too
    with progress_on(Console(highlight=False, markup=False, emoji=False)) as (say, show):
        report = Demo(Settings.from_env(), say, show, port=free_port()).run()
    _print(report)
    if file is not None:
        file.write_text(json.dumps(report.as_json(), indent=2) + "\n")
    if not report.nothing_lost:
        raise ServerError(
            "entries were lost or aggregates differ; see the table above. This is a bug: please report it"
        )


@contextmanager
def progress_on(console: Console) -> Iterator[tuple[Callable[[str], None], Callable[[Progress], None]]]:
    """Two functions, one for lines and one for how far it is: a bar on a terminal, else a line every five seconds."""
    if not console.is_terminal:
        last: tuple[str, float] = ("", 0.0)

        def tell(progress: Progress) -> None:
            nonlocal last
            if progress.step != last[0] or time.monotonic() - last[1] >= _LINE_EVERY:
                last = (progress.step, time.monotonic())
                click.echo(f"  {progress}", file=console.file)

        yield lambda line: click.echo(line, file=console.file), tell
        return
    columns = [
        TextColumn("{task.description}"),
        BarColumn(30),
        TextColumn("{task.fields[numbers]}"),
        TimeElapsedColumn(),
    ]
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def draw(progress: Progress) -> None:
            if progress.step not in tasks:
                for done in tasks.values():
                    bars.remove_task(done)
                tasks.clear()
                tasks[progress.step] = bars.add_task(progress.step, numbers="")
            bars.update(
                tasks[progress.step], completed=progress.done, total=progress.total or 1, numbers=progress.numbers
            )

        yield console.print, draw


def _print(report: Report) -> None:
    names = ("accepted", "inserted", "replaced", "unchanged", "quarantined", "lost")
    click.echo("".join(f"{name:>12}" for name in ("", *names)))
    for dataset, counts in report.datasets.items():
        click.echo(f"{dataset:>12}" + "".join(f"{counts[name]:>12,}" for name in names))
    click.echo(
        f"{counted(report.archive_runs, 'archive run')}, {report.memory_pressure_runs} of them for memory pressure, "
        f"{report.failed_runs} failed; aggregates equal raw rows: {'yes' if report.aggregates_equal else 'NO'}; "
        f"compression {report.compression_ratio} : 1; {report.seconds:.0f} s"
    )
    click.echo("; ".join(f"{name} {version}" for name, version in report.versions.items()))
