"""`trading-data bench`: run the benches of `trading_data.bench`, and make their page."""

import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from trading_data.bench.measure import BenchPlan
from trading_data.bench.registry import chosen, run
from trading_data.bench.report import Entry, page, read, save, show
from trading_data.errors import BadInput
from trading_data.printable import counted
from trading_data.settings import Settings

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("bench")
@click.argument("names", nargs=-1, metavar="[NAME…]")
@click.option("--json", "file", type=_FILE, help="Write the results to this file, after each bench.")
@click.option(
    "--scale",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Factor of the full size.",
)
@click.option("--repeat", default=5, show_default=True, type=click.IntRange(1), help="Repetitions of each measurement.")
@click.option("--page", "page_file", type=_FILE, help="Run nothing; write this page from the reports named by --from.")
@click.option("--from", "reports", type=_FILE, multiple=True, help="A report written by --json; repeatable.")
def bench_command(
    names: tuple[str, ...],
    file: Path | None,
    scale: float,
    repeat: int,
    page_file: Path | None,
    reports: tuple[Path, ...],
) -> None:
    """Measure performance against its targets, each as a ratio to a reference measured in the same run.

    NAMEs are benches; default: all. Existing data on the environment's servers is not touched: the archive gets a temporary
    database, and the live tier must be an empty database, which is emptied again. Without URLs, embedded servers run in a
    temporary home. Exit code 1 if a bench could not run; a missed target is a result, not a failure.
    """
    if bool(page_file) != bool(reports) or (page_file and (names or file)):
        raise click.UsageError("--page FILE and --from FILE go together, and take no NAME or --json")
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
    for result in run(benches, Settings.from_env(), replace(plan, say=lambda line: progress.print(line, markup=False))):
        entries += result.entries
        if result.failed:
            failed.append(result.bench.name)
            click.echo(f"{result.bench.name} could not run: {result.failed}", err=True)
        if file is not None:
            save(entries, file)
    show(entries, console)
    if failed:
        click.echo(
            f"trading-data: {counted(len(failed), 'bench', 'benches')} could not run: {', '.join(failed)}; see above",
            err=True,
        )
        sys.exit(1)
