"""`trading-data import`: files into the intake, so that they reach the archive the same way as live data.

Belongs here: options, progress, and the report on rejected rows. Does not: reading files
(`trading_data.sources.files.read`) and writing batches (`intake.import_rows`).
"""

import codecs
import itertools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import click

from trading_data.cli.servers import settings_of_running
from trading_data.datasets import DAILY, EVERY_PLURAL, PRICE, dataset_named
from trading_data.datasets.declaration import Dataset
from trading_data.datasets.rules import Reason
from trading_data.errors import BadInput
from trading_data.intake.import_rows import CONTENT, import_rows
from trading_data.intake.store import Intake
from trading_data.printable import counted, noun, printable
from trading_data.settings import without_password
from trading_data.sources.files.bars import MisplacedRows, days_table, rows_not_days, rows_not_minutes, without_rows
from trading_data.sources.files.form import STEM, FileForm, WrongForm, command
from trading_data.sources.files.read import Rows, check_columns, digest_of
from trading_data.sources.files.values import formats_of, option_for
from trading_data.times import EPOCH, day_start

_FORMAT = ("--time-format",)
_HELD = 500_000
"""Rows kept in memory between the checks of a file and its import."""


class _Pair(click.ParamType[Any]):
    """`COLUMN=VALUE`; whether the dataset has such a column is checked later, when the dataset is known."""

    name = "COLUMN=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        column, mark, text = str(value).partition("=")
        return (column, text) if mark else self.fail(f"{value!r} is not {param.metavar if param else self.name}")


def _letter(_: click.Context, param: click.Parameter, value: str) -> str:
    value = "\t" if value == r"\t" else value
    if len(value) > 1 or not (value or param.name == "thousands"):
        raise click.BadParameter(f"must be one character, not {value!r}", param=param)
    return value


def _zone(_: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        ZoneInfo(value or "UTC")
    except (ValueError, OSError, KeyError):
        raise click.BadParameter(
            f"there is no time zone {value!r}: give an IANA name, such as America/New_York", param=param
        ) from None
    return value


def _day(_: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        return value if value in (None, STEM) else date.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise click.BadParameter(f"must be a day such as 2026-11-20, or {STEM}, not {value!r}", param=param) from None


def _encoding(_: click.Context, param: click.Parameter, value: str) -> str:
    try:
        return codecs.lookup(value).name
    except LookupError:
        raise click.BadParameter(f"there is no encoding {value!r}: try cp1252 or utf-16", param=param) from None


@click.command("import")
@click.argument("dataset", type=click.Choice(EVERY_PLURAL))
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--column",
    "columns",
    multiple=True,
    type=_Pair(),
    metavar="COLUMN=NAME[+NAME]",
    help="COLUMN is called NAME in the file; several are joined by a blank (timestamp=Date+Time). Repeatable.",
)
@click.option(
    "--set",
    "values",
    multiple=True,
    type=_Pair(),
    metavar="COLUMN=VALUE",
    help="COLUMN is VALUE in all rows; {stem} is the file name without suffix (symbol={stem}). Repeatable.",
)
@click.option("--ignore", "ignored", multiple=True, metavar="NAME", help="Ignore this column. Repeatable.")
@click.option("--header", metavar="NAME,…", help="Column names, for CSV files without a header line.")
@click.option("--delimiter", default=",", callback=_letter, metavar="CHARACTER", help="Field separator of CSV files.")
@click.option("--decimal", default=".", callback=_letter, metavar="CHARACTER", help="Decimal point of numbers as text.")
@click.option("--thousands", default="", callback=_letter, metavar="CHARACTER", help="Thousands separator; removed.")
@click.option(
    "--epoch",
    type=click.Choice(["s", "ms", "us", "ns", "excel"]),
    help="Times are numbers: in this unit since 1970, UTC; or the days of a spreadsheet.",
)
@click.option(
    "--day",
    callback=_day,
    metavar="DAY",
    help="--epoch counts since this day's midnight in --zone; {stem}: the day in the file's name.",
)
@click.option(
    "--zone", callback=_zone, metavar="NAME", help="Time zone of times without one, and of days: America/New_York."
)
@click.option("--time-format", metavar="FORMAT", help="Format of times, as in strptime: '%d.%m.%Y %H:%M'.")
@click.option("--ends", is_flag=True, help="Timestamps are the end of their minute: 09:31, or 09:30:59.999.")
@click.option("--scale", type=click.IntRange(1), default=1, metavar="N", help="Prices are integers, N times as large.")
@click.option("--abbreviated", is_flag=True, help="Volumes may end in K, M or B: thousands, millions, billions.")
@click.option(
    "--encoding", default="utf-8", callback=_encoding, metavar="NAME", help="Encoding of CSV files: cp1252, utf-16."
)
@click.option("--skip", type=click.IntRange(0), default=0, metavar="N", help="Skip N lines before the names.")
@click.option(
    "--skip-odd", is_flag=True, help="Skip lines with another number of fields, such as a footer; they are counted."
)
@click.option("--minutes", is_flag=True, help="Treat prices as one-minute bars, whatever their timestamps suggest.")
def import_command(dataset: str, files: tuple[str, ...], **options: Any) -> None:
    """Import CSV or Parquet FILES (paths or fsspec URIs) into the intake.

    The columns must be those of the dataset, or be mapped by options; an export of `query` needs none. All files are checked
    before the first is imported. A row that breaks a rule goes to quarantine with the reason, which is printed, with the option
    that would accept the row if there is one. Exit code 1 if no row was good, unless only the unit of their times is unknown.

    Prices are one-minute bars: wider bars and ticks are not imported, and the output says what to do instead. Daily bars go to
    `daily`, one per symbol and day: `query prices … --interval 1d` shows them where there are no minutes.
    """
    declared = dataset_named(dataset)
    form = _form(declared, options)
    settings = settings_of_running()
    given = _given_options(click.get_current_context())
    report = _RejectReport(declared, form, given)
    others: dict[str, list[MisplacedRows]] = {}
    rows_of = {file: Rows(declared, file, form, most=_HELD // len(files)) for file in files}
    for file in files:
        try:
            check_columns(declared, file, form)
            others[file] = _others(rows_of[file], given) if declared is DAILY or not options["minutes"] else []
        except WrongForm as error:
            raise BadInput(f"{error}{report.advice([file], error.options)}") from error
    intake, earliest, rows, rejected = Intake(settings.intake_uri), day_start(settings.start), 0, 0
    for file in files:
        report.file, shown = file, without_password(file)
        tables = without_rows(rows_of[file], others[file]) if others[file] else iter(rows_of[file])
        if declared is DAILY:
            tables = (days_table(table, form.zone) for table in tables)
        try:
            content = f"{CONTENT}{digest_of(file)}"
            for batch in import_rows(
                intake,
                declared,
                file,
                tables,
                origin="file",
                earliest=earliest,
                run_id=content,
                on_reject=report.reject,
            ):
                rows, rejected = rows + batch.rows, rejected + batch.rejected
                click.echo(
                    f"{shown}: {counted(batch.rows, 'row')} and {counted(batch.rejected, 'rejected one')} wait in {batch.file.name}"
                )
        except BadInput as error:
            report.print()
            advice = report.advice([file], error.options) if isinstance(error, WrongForm) else ""
            raise BadInput(
                f"{error}; the {counted(rows, 'row before it waits', 'rows before it wait')}: correct the file and import it "
                f"again{advice}"
            ) from error
        if odd := rows_of[file].odd:
            click.echo(
                f"skipped, another number of fields: {counted(len(odd), 'line')} of {shown}, the first is {odd[0]!r:.80}"
            )
    report.print()
    for other in itertools.chain.from_iterable(others.values()):
        click.echo(
            f"not imported, {other.kind}: {counted(len(other.rows), 'row')}, the first is row {other.rows[0] + 1:,}: "
            f"{other.message}"
        )
    if not rows and not report.only_units_unknown():
        what = (
            f"{noun(rejected, 'the only row was', f'all {rejected:,} rows were')} rejected, see above"
            if rejected
            else "it holds no row"
        )
        raise BadInput(f"no row of {', '.join(map(without_password, files))} was good: {what}")
    if not rows:
        click.echo(
            f"nothing is imported yet: the times of {noun(rejected, 'the only row', f'all {rejected:,} rows')} are numbers whose "
            "unit is unknown. The rows are kept in quarantine until the command above has imported them"
        )
        return
    click.echo(
        f"{counted(rows, 'row')} and {counted(rejected, 'rejected one')} wait in the intake; the next archive run loads them"
    )


def _others(rows: Rows, given: Sequence[str]) -> list[MisplacedRows]:
    """The rows of a file of bars that belong to another dataset. Raises BadInput if these are all rows."""
    if rows.dataset not in (PRICE, DAILY):
        return []
    others = (rows_not_minutes if rows.dataset is PRICE else rows_not_days)(rows, given)
    if others and others[0].all:
        raise BadInput(" ".join(other.message for other in others))
    return others


@dataclass
class _Kind:
    """The rejected rows of one kind: their number and the first of them."""

    first: str
    file: str
    count: int = 0


@dataclass
class _RejectReport:
    """The report on rejected rows: for each kind their number, the first example, and the option that would accept them."""

    dataset: Dataset
    form: FileForm
    given: Sequence[str]
    """The options of this run, as they would be typed again."""
    file: str = ""
    kinds: dict[tuple[str, tuple[str, ...]], _Kind] = field(default_factory=dict)
    formats: list[str] = field(default_factory=list)
    """The formats that fit all times in a format of their own so far."""

    def reject(self, row: int, reason: Reason, values: Mapping[str, object]) -> None:
        """Count a rejected row."""
        name = reason.text.partition(" ")[0]  # a reason begins with its column
        option = self._option(reason.kind, name, values.get(name))
        kind = self.kinds.get((reason.kind, option))
        if kind is None:
            first = f"{without_password(self.file)}, row {row}: {printable(reason.text)}"
            kind = self.kinds[reason.kind, option] = _Kind(first, self.file)
        kind.count += 1

    def _option(self, kind: str, name: str, value: object) -> tuple[str, ...]:
        if value is None:
            return ()
        if kind == "not a time" and (fitting := formats_of(str(value), self.formats) if self.formats else []):
            self.formats[:] = fitting  # 03/04 fits two formats; 25/04 says which one the file is in
            return _FORMAT
        option = tuple(option_for(kind, name, value, self.form))
        if option[:1] == _FORMAT and not self.formats:
            self.formats += formats_of(str(value))
            return _FORMAT
        return option

    def print(self) -> None:
        """Print it."""
        several = len({option[1] for kind, option in self.kinds if kind == EPOCH and option}) > 1
        for (kind, option), rejected in self.kinds.items():
            accepts = (
                f", which accepts {noun(rejected.count, 'this one', f'these {rejected.count:,}')}"
                if several and option
                else ""
            )
            advice = self.advice([rejected.file], (*option, self.formats[0]) if option == _FORMAT else option)
            if option == _FORMAT and len(self.formats) > 1:
                advice += f", or `--time-format {shlex.quote(self.formats[1])}` if that is the order of day and month"
            click.echo(
                f"rejected, {kind}: {rejected.count:,}, the first in {rejected.first}{advice}{accepts if advice else ''}"
            )
        if several:
            click.echo(
                "the times are in several units: run these commands one after the other, each imports its own rows"
            )

    def only_units_unknown(self) -> bool:
        """Whether every rejected row is only waiting for the unit of its time, and an option was proposed for it."""
        return bool(self.kinds) and all(kind == EPOCH and option for kind, option in self.kinds)

    def advice(self, files: Sequence[str], options: Sequence[str]) -> str:
        """Advice: the command for these files with further options; empty if there are none."""
        shown = [without_password(file) for file in files]
        return f"; try `{command(self.dataset, shown, _changed(self.given, options))}`" if options else ""


def _changed(given: Sequence[str], options: Sequence[str]) -> list[str]:
    """The given options with others added; an option that takes one value is replaced."""
    once = {param.opts[0] for param in import_command.params if isinstance(param, click.Option) and not param.multiple}
    new = {name for name in options if name in once}
    kept: list[str] = []
    flags = {param.opts[0] for param in import_command.params if isinstance(param, click.Option) and param.is_flag}
    words = iter(given)
    for name in words:
        pair = [name] if name in flags else [name, next(words)]
        kept += [] if name in new else pair
    return [*kept, *options]


def _given_options(ctx: click.Context) -> list[str]:
    out: list[str] = []
    for param in ctx.command.params:
        name = param.name or ""
        if not isinstance(param, click.Option) or ctx.params[name] in (None, param.default, (), False):
            continue
        value = ctx.params[name]
        if param.is_flag:
            out.append(param.opts[0])
            continue
        for part in value if param.multiple else [value]:
            out += [param.opts[0], "=".join(part) if isinstance(part, tuple) else str(part)]
    return out


def _form(dataset: Dataset, options: Mapping[str, Any]) -> FileForm:
    """The options as a form; a column that the dataset does not have is wrong usage."""
    if options["day"] and options["epoch"] in (None, "excel"):
        raise click.UsageError("--day needs the unit of the counts: --epoch s, ms, us or ns")
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
        **{name: options[name] for name in ("day", "scale", "abbreviated", "encoding", "skip", "skip_odd")},
    )
