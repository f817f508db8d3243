"""`trading-data import`: files into the intake, so that they reach the archive the same way as live data.

Belongs here: options, progress, and what is said of rejected rows. Does not: reading files
(`trading_data.sources.files.read`) and taking them (`intake.import_rows`).
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import click

from trading_data.cli.servers import settings_of_running
from trading_data.datasets import DAILY, EVERY_PLURAL, PRICE, dataset_named
from trading_data.datasets.declaration import Dataset
from trading_data.datasets.rules import Reason
from trading_data.errors import BadInput
from trading_data.intake.import_rows import take
from trading_data.intake.store import Intake
from trading_data.printable import counted, noun, printable
from trading_data.settings import without_password
from trading_data.sources.files.bars import Others, days_table, no_days, no_minutes, without
from trading_data.sources.files.form import FileForm, WrongColumns, options_for
from trading_data.sources.files.form import command as import_command
from trading_data.sources.files.read import Rows, check_columns
from trading_data.sources.files.values import option_for
from trading_data.times import EPOCH, day_start

_HELD = 500_000
"""Rows that are kept between looking through them and taking them."""


class _Pair(click.ParamType[Any]):
    """`COLUMN=VALUE`, where COLUMN is one of the dataset's (looked at later, when the dataset is known)."""

    name = "COLUMN=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        column, mark, text = str(value).partition("=")
        return (column, text) if mark else self.fail(f"{value!r} is not {param.metavar if param else self.name}")


def _letter(_: click.Context, param: click.Parameter, value: str) -> str:
    value = "\t" if value == r"\t" else value
    if len(value) > 1 or not (value or param.name == "thousands"):
        raise click.BadParameter(f"must be one letter, not {value!r}", param=param)
    return value


def _zone(_: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        ZoneInfo(value or "UTC")
    except (ValueError, OSError, KeyError):
        raise click.BadParameter(
            f"there is no zone {value!r}: give an IANA name, such as America/New_York", param=param
        ) from None
    return value


@click.command("import")
@click.argument("dataset", type=click.Choice(EVERY_PLURAL))
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--column",
    "columns",
    multiple=True,
    type=_Pair(),
    metavar="COLUMN=NAME[+NAME]",
    help="The file calls COLUMN NAME; several are joined by a blank (timestamp=Date+Time). Repeatable.",
)
@click.option(
    "--set",
    "values",
    multiple=True,
    type=_Pair(),
    metavar="COLUMN=VALUE",
    help="All rows have VALUE; {stem} is the file's name without suffix (symbol={stem}). Repeatable.",
)
@click.option("--ignore", "ignored", multiple=True, metavar="NAME", help="Pass this column over. Repeatable.")
@click.option("--header", metavar="NAME,…", help="The columns of CSV files without a line of names.")
@click.option("--delimiter", default=",", callback=_letter, metavar="LETTER", help="Between the fields of a CSV file.")
@click.option(
    "--decimal", default=".", callback=_letter, metavar="LETTER", help="The decimal point of numbers as text."
)
@click.option("--thousands", default="", callback=_letter, metavar="LETTER", help="Between thousands; is taken out.")
@click.option(
    "--epoch",
    type=click.Choice(["s", "ms", "us", "ns", "excel"]),
    help="Times are numbers: these since 1970, UTC; or a spreadsheet's days.",
)
@click.option(
    "--zone", callback=_zone, metavar="NAME", help="Zone of times without one, and of days: America/New_York."
)
@click.option("--time-format", metavar="FORMAT", help="How times are written, as in strptime: '%d.%m.%Y %H:%M'.")
@click.option("--ends", is_flag=True, help="Prices are stamped with the end of their minute: 09:31, or 09:30:59.999.")
@click.option("--minutes", is_flag=True, help="Prices are one-minute bars, whatever their stamps look like.")
def command(dataset: str, files: tuple[str, ...], **options: Any) -> None:
    """Take CSV or Parquet FILES (paths or fsspec URIs) into the intake.

    The columns have to be the dataset's, or the options say which are; an export of `query` is taken as it is. All files are
    looked at before any is taken. A row that breaks a rule goes to quarantine with the reason, which is said at once, with
    the option that reads it where there is one. Exit code 1 if no row was good, unless only the unit of their times is open.

    Prices are one-minute bars: wider ones and ticks are left in the file, with what to do instead. Daily bars go to `daily`, one
    a symbol and day: `query prices … --interval 1d` shows them where there are no minutes.
    """
    declared = dataset_named(dataset)
    form = _form(declared, options)
    settings = settings_of_running()
    given = _given(click.get_current_context())
    said = _Said(declared, form, given)
    others: dict[str, list[Others]] = {}
    held = {file: Rows(declared, file, form, most=_HELD // len(files)) for file in files}
    for file in files:
        try:
            check_columns(declared, file, form)
        except WrongColumns as error:
            raise BadInput(f"{error}{said.advice([file], options_for(declared, form, error.names))}") from error
        others[file] = _others(held[file], given) if declared is DAILY or not options["minutes"] else []
    intake, earliest, rows, rejected = Intake(settings.intake_uri), day_start(settings.start), 0, 0
    for file in files:
        said.file, shown = file, without_password(file)
        tables = without(held[file], others[file]) if others[file] else iter(held[file])
        if declared is DAILY:
            tables = (days_table(table, form.zone) for table in tables)
        try:
            for done in take(intake, declared, file, tables, origin="file", earliest=earliest, on_reject=said.reject):
                rows, rejected = rows + done.rows, rejected + done.rejected
                click.echo(
                    f"{shown}: {counted(done.rows, 'row')} and {counted(done.rejected, 'rejected one')} wait in {done.file.name}"
                )
        except BadInput as error:
            said.print()
            raise BadInput(
                f"{error}; the {counted(rows, 'row before it waits', 'rows before it wait')}: correct it, and import it again"
            ) from error
    said.print()
    for other in itertools.chain.from_iterable(others.values()):
        click.echo(
            f"not taken, {other.kind}: {counted(len(other.rows), 'row')}, the first is row {other.rows[0] + 1:,}: {other.said}"
        )
    if not rows and not said.only_units_are_open():
        what = (
            f"{noun(rejected, 'the only row was', f'all {rejected:,} rows were')} rejected, see above"
            if rejected
            else "there is no row in them"
        )
        raise BadInput(f"nothing of {', '.join(map(without_password, files))} was good: {what}")
    if not rows:
        click.echo(
            f"nothing is imported yet: the times of {noun(rejected, 'the only row', f'all {rejected:,} rows')} are counts, and "
            "a count does not say its unit. The rows are kept, whole; the command above imports them"
        )
        return
    click.echo(
        f"{counted(rows, 'row')} and {counted(rejected, 'rejected one')} wait in the intake; the next archive run loads them"
    )


def _others(rows: Rows, given: Sequence[str]) -> list[Others]:
    """The rows of a file of bars that another dataset holds, or none. Raises BadInput where there are no others."""
    if rows.dataset not in (PRICE, DAILY):
        return []
    others = (no_minutes if rows.dataset is PRICE else no_days)(rows, given)
    if others and others[0].all:
        raise BadInput(" ".join(other.said for other in others))
    return others


@dataclass
class _Kind:
    """The rejected rows of one kind: how many, and the first of them."""

    first: str
    file: str
    count: int = 0


@dataclass
class _Said:
    """What is to be said of rejected rows: for each kind the number, the first example, and the option that would read it."""

    dataset: Dataset
    form: FileForm
    given: Sequence[str]
    """The options of this command, as they would be given again."""
    file: str = ""
    kinds: dict[tuple[str, tuple[str, ...]], _Kind] = field(default_factory=dict)

    def reject(self, row: int, reason: Reason, values: Mapping[str, object]) -> None:
        """Count a rejected row."""
        name = reason.text.partition(" ")[0]  # a reason begins with its column
        option = tuple(option_for(reason.kind, values[name], self.form)) if values.get(name) is not None else ()
        kind = self.kinds.get((reason.kind, option))
        if kind is None:
            first = f"{without_password(self.file)}, row {row}: {printable(reason.text)}"
            kind = self.kinds[reason.kind, option] = _Kind(first, self.file)
        kind.count += 1

    def print(self) -> None:
        """Say it."""
        several = len({option[1] for kind, option in self.kinds if kind == EPOCH and option}) > 1
        for (kind, option), found in self.kinds.items():
            reads = (
                f", which reads {noun(found.count, 'this one', f'these {found.count:,}')}" if several and option else ""
            )
            advice = self.advice([found.file], option)
            click.echo(
                f"rejected, {kind}: {found.count:,}, the first in {found.first}{advice}{reads if advice else ''}"
            )
        if several:
            click.echo(
                "times are counted in several units: run these commands one after the other, each takes its own rows"
            )

    def only_units_are_open(self) -> bool:
        """Whether all that was rejected are times that are counts: they wait, whole, for the unit that was proposed."""
        return bool(self.kinds) and all(kind == EPOCH and option for kind, option in self.kinds)

    def advice(self, files: Sequence[str], options: Sequence[str]) -> str:
        """The command that reads these files with more options; empty where none is known."""
        shown = [without_password(file) for file in files]
        return f"; try `{import_command(self.dataset, shown, _changed(self.given, options))}`" if options else ""


def _changed(given: Sequence[str], options: Sequence[str]) -> list[str]:
    """Options of before with others, which stand for those of their name that a command has once."""
    once = {param.opts[0] for param in command.params if isinstance(param, click.Option) and not param.multiple}
    new = {name for name in options if name in once}
    kept: list[str] = []
    flags = {param.opts[0] for param in command.params if isinstance(param, click.Option) and param.is_flag}
    words = iter(given)
    for name in words:
        pair = [name] if name in flags else [name, next(words)]
        kept += [] if name in new else pair
    return [*kept, *options]


def _given(ctx: click.Context) -> list[str]:
    out: list[str] = []
    for param in ctx.command.params:
        name = param.name or ""
        if not isinstance(param, click.Option) or ctx.params[name] in (None, param.default, (), False):
            continue
        value = ctx.params[name]
        if param.is_flag:
            out.append(param.opts[0])
            continue
        for one in value if param.multiple else [value]:
            out += [param.opts[0], "=".join(one) if isinstance(one, tuple) else str(one)]
    return out


def _form(dataset: Dataset, options: Mapping[str, Any]) -> FileForm:
    """The options as a form; columns that the dataset does not have are wrong usage."""
    columns = {column: tuple(text.split("+")) for column, text in options["columns"]}
    values = dict(options["values"])
    for name in (*columns, *values):
        if name not in dataset.column:
            raise click.UsageError(f"{dataset.title} have no column {name!r}, only {', '.join(dataset.names)}")
    return FileForm(
        columns=columns,
        values=values,
        ignored=frozenset(options["ignored"]),
        header=tuple(options["header"].split(",")) if options["header"] else (),
        delimiter=options["delimiter"],
        decimal=options["decimal"],
        thousands=options["thousands"],
        epoch=options["epoch"],
        zone=options["zone"],
        time_format=options["time_format"],
        ends=options["ends"],
    )
