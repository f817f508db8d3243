"""`trading-data bench`.

Belongs here: options, printing, exit codes. Does not: benches (`trading_data.bench`).
"""

import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from trading_data.bench.measure import BenchPlan
from trading_data.bench.registry import Entry, chosen, run
from trading_data.bench.report import page, read, save, show
from trading_data.errors import BadInput
from trading_data.printable import counted
from trading_data.settings import Settings

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("bench")
@click.argument("names", nargs=-1, metavar="[NAME…]")
@click.option("--json", "file", type=_FILE, help="Write the results into this file, after each bench.")
@click.option(
    "--scale", default=1.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Times the full size."
)
@click.option("--repeat", default=5, show_default=True, type=click.IntRange(1), help="Repetitions of each measurement.")
@click.option("--page", "page_file", type=_FILE, help="Run nothing: make this page from the reports named by --from.")
@click.option("--from", "reports", type=_FILE, multiple=True, help="A report of --json; may be given several times.")
def command(
    names: tuple[str, ...],
    file: Path | None,
    scale: float,
    repeat: int,
    page_file: Path | None,
    reports: tuple[Path, ...],
) -> None:
    """Measure the promises about speed, each as a ratio against a reference in the same run.

    NAMEs are benches; all of them without one. On the environment's servers nothing that is there is touched: a database
    is made beside the one named and dropped again, and the live tier has to name an empty one, which is emptied again. Where
    there is no URL, embedded servers run in a temporary home. Exits 1 if a bench could not be run; a missed target is a
    finding and no failure.
    """
    if bool(page_file) != bool(reports) or (page_file and (names or file)):
        raise click.UsageError("--page FILE and --from FILE go together, and with nothing else")
    if page_file:
        page_file.write_text(page([read(report) for report in reports]), encoding="utf-8")
        return
    try:
        benches = chosen(names)
    except BadInput as error:
        raise click.BadParameter(str(error), param_hint="NAME") from error
    console, progress = Console(), Console(stderr=True, highlight=False)
    entries: list[Entry] = []
    if file is not None:
        try:
            save(entries, file)
        except OSError as error:
            raise click.BadParameter(f"{file} cannot be written: {error}", param_hint="--json") from error
    failed = []
    plan = BenchPlan(scale, repeat)
    for one in run(benches, Settings.from_env(), replace(plan, say=lambda line: progress.print(line, markup=False))):
        entries += one.entries
        if one.failed:
            failed.append(one.bench.name)
            click.echo(f"{one.bench.name} could not be run: {one.failed}", err=True)
        if file is not None:
            save(entries, file)
    show(entries, console)
    if failed:
        click.echo(
            f"trading-data: {counted(len(failed), 'bench', 'benches')} could not be run: {', '.join(failed)}; see above",
            err=True,
        )
        sys.exit(1)
