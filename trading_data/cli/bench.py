"""`trading-data bench`: run the benches of `trading_data.bench`, and make their page."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from trading_data.bench.measure import BenchPlan
from trading_data.bench.registry import chosen, promises, run
from trading_data.bench.report import Entry, merged, page, read, save, show
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
@click.option(
    "--page", "page_file", type=_FILE, help="Run nothing; write this page from the reports in the folder of its name."
)
def bench_command(names: tuple[str, ...], file: Path | None, scale: float, repeat: int, page_file: Path | None) -> None:
    """Measure performance against its targets, each as a ratio to a reference measured in the same run.

    NAMEs are benches; default: all. Existing data on the environment's servers is not touched: the archive gets temporary
    databases, and the live tier must be an empty database, which is emptied again. Without URLs, embedded servers run in a
    temporary home. With --json, figures of benches that do not run now stay in the file; all must have one scale. Exit code 1
    if a bench could not run; a missed target is a result, not a failure.
    """
    if page_file:
        if names or file:
            raise click.UsageError("--page runs nothing, and takes no NAME or --json")
        page_file.write_text(page_of(page_file), encoding="utf-8")
        return
    try:
        benches = chosen(names)
    except BadInput as error:
        raise click.BadParameter(str(error), param_hint="NAME") from error
    console, progress = Console(), Console(stderr=True, highlight=False)
    entries: list[Entry] = []
    before = read(file) if file is not None and file.exists() else []
    plan = BenchPlan(scale, repeat, lambda line: progress.print(line, markup=False))
    _save(before, entries, file, plan)
    failed = []
    for result in run(benches, Settings.from_env(), plan):
        entries += result.entries
        if result.failed:
            failed.append(result.bench.name)
            click.echo(f"{result.bench.name} could not run: {result.failed}", err=True)
        _save(before, entries, file, plan)
    show(entries, promises(), console)
    if failed:
        click.echo(
            f"trading-data: {counted(len(failed), 'bench', 'benches')} could not run: {', '.join(failed)}; see above",
            err=True,
        )
        sys.exit(1)


def page_of(file: Path) -> str:
    """The page that belongs into `file`, from the reports and earlier figures in the folder of its name."""
    folder = file.with_suffix("")
    reports = {report.stem: read(report) for report in sorted(folder.glob("*.json"), reverse=True)}
    if not reports:
        raise BadInput(f"{folder} has no report: `trading-data bench --json {folder / 'native.json'}` makes one")
    earlier = folder / "earlier.toml"
    return page(promises(), reports, earlier.read_text(encoding="utf-8") if earlier.exists() else "")


def _save(before: Sequence[Entry], entries: Sequence[Entry], file: Path | None, plan: BenchPlan) -> None:
    """Raise an error if the file cannot be written, or has figures of another scale."""
    if file is None:
        return
    if any(entry["conditions"]["scale"] != plan.scale for entry in before):
        raise click.BadParameter(f"{file} has figures of another scale: name a new file", param_hint="--json")
    try:
        save(merged(before, entries, promises()), file)
    except OSError as error:
        raise click.BadParameter(f"{file} cannot be written: {error}", param_hint="--json") from error
