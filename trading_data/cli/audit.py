"""`trading-data verify`, `coverage` and `quarantine`: whether everything is there, what is missing, what was rejected.

Belongs here: options, printing, exit codes. Values of rejected entries are untrusted: each is escaped before it is printed.
Does not: the checks (`archive.verify`), coverage states (`calendars.states`), work on entries (`archive.quarantine.queries`).
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import fields
from datetime import date, timedelta
from typing import Any

import click
import pandas as pd

from trading_data.archive.chunks import Disagreement, disagreements
from trading_data.archive.database import Archive
from trading_data.archive.ledger import account, quarantine_waiting
from trading_data.archive.quarantine.queries import Quarantined, discard, listing, retry, show
from trading_data.archive.schema.migrate import check_schema
from trading_data.archive.verify.losses import acknowledge
from trading_data.archive.verify.run import AuditResult, Totals, totals, verify
from trading_data.calendars import TradingCalendar
from trading_data.calendars.states import (
    MISSING,
    NO_CALENDAR,
    OPEN,
    by_state,
    day_states,
    heat_map,
    known_subjects,
    to_fill,
)
from trading_data.cli.query import frame_text
from trading_data.cli.servers import settings_of_running
from trading_data.datasets import EVERY_PLURAL, PLURALS, TABLES, dataset_named
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.printable import counted, noun, printable
from trading_data.settings import Settings
from trading_data.times import DAY, day_start, now, utc

_EQUATION = (
    "offered = inserted + replaced + unchanged + quarantined + replayed; entries in journals and intake are not loaded yet; "
    "the table is counted after the lines below, so rows of a load in between are only in the table"
)


@click.command("verify")
@click.option(
    "--deep",
    is_flag=True,
    help="Also compare aggregates with raw rows, look for duplicate keys, and read whole batches.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--acknowledge",
    "dataset",
    type=click.Choice(PLURALS),
    help="Check nothing; record that the lost entries of this dataset were investigated.",
)
@click.option("--reason", help="With --acknowledge: why they are lost, or what became of them.")
def verify_command(deep: bool, as_json: bool, dataset: str | None, reason: str | None) -> None:
    """Check that the accounts balance: journals, intake, ledger, archived ranges and tables, by dataset and day.

    Exit code 1 if they do not. Lost entries are reported every time until they are back or acknowledged with a reason.
    """
    if dataset is None and reason is not None:
        raise click.UsageError("--reason goes with --acknowledge")
    if dataset is not None and (deep or as_json):
        raise click.UsageError("--acknowledge takes no option but --reason")
    if dataset is not None and not (reason or "").strip():
        raise click.UsageError("--acknowledge needs a --reason: it is stored with the acknowledgement")
    settings = settings_of_running()
    if dataset is not None:
        _acknowledge(settings, dataset, printable(reason or ""))
        return
    results, accounts = _audit(settings, deep)
    balances = all(result.ok for result in results)
    if as_json:
        findings = [{**vars(result), "day": None if result.day is None else str(result.day)} for result in results]
        numbers = {name: vars(account) for name, account in accounts.items()}
        click.echo(json.dumps({"balances": balances, "accounts": numbers, "findings": findings}, indent=2))
    else:
        _print_accounts(accounts, results)
    if not balances:
        sys.exit(1)


def _audit(settings: Settings, deep: bool) -> tuple[list[AuditResult], dict[str, Totals]]:
    """The results and the totals; both once more if a load came in between, so that they agree. A deep audit is not repeated."""
    client, archive = connect_for_archiver(settings.require_redis_url()), Archive(settings.require_timescale_url())
    intake = Intake(settings.intake_uri)

    def batches() -> int:
        return sum(account(archive, declared).batches for declared in TABLES.values())

    check_schema(archive)
    for _ in range(1 if deep else 2):
        before = batches()
        results = verify(client, archive, intake, deep=deep)
        checked = [declared for name, declared in TABLES.items() if any(result.dataset == name for result in results)]
        accounts = {declared.name: totals(client, archive, intake, declared) for declared in checked}
        if batches() == before:
            break
    return results, accounts


def _acknowledge(settings: Settings, name: str, reason: str) -> None:
    """Acknowledge the lost entries of a dataset, and print them."""
    dataset = dataset_named(name)
    lost = acknowledge(
        connect_for_archiver(settings.require_redis_url()),
        Archive(settings.require_timescale_url()),
        Intake(settings.intake_uri),
        dataset,
        reason,
    )
    if lost.gaps or lost.missing:
        click.echo(f"{dataset.name}: acknowledged: {printable(lost.named)}")
        return
    rest = f": {printable(next(text for _, text in lost.messages()))}" if lost else ", nothing is lost"
    click.echo(f"there is nothing to acknowledge of {dataset.name}{rest}", err=True)
    sys.exit(1)


def _print_accounts(accounts: Mapping[str, Totals], results: list[AuditResult]) -> None:
    """The table of totals, then a line for each fault, then a line for each dataset."""
    names = [field.name for field in fields(Totals)]
    click.echo("".join(f"{name.replace('_', ' '):>12}" for name in ("", *names)))
    for dataset, counts in accounts.items():
        click.echo(f"{dataset:>12}" + "".join(f"{getattr(counts, name):>12,}" for name in names))
    click.echo(_EQUATION)
    for result in results:
        if not result.ok:
            where = result.dataset if result.day is None else f"{result.dataset} {result.day}"
            click.echo(f"{where}: {result.what}: {printable(result.message)} -> {result.command}")
    for dataset in accounts:
        own = [result for result in results if result.dataset == dataset]
        faults = sum(not result.ok for result in own)
        if faults:
            click.echo(f"{dataset} does not balance: {counted(faults, 'finding')}")
        else:
            click.echo(f"{dataset} balances: {'; '.join(result.message for result in own)}")


_DAYS = 92
_COLUMNS = [field.name for field in fields(Disagreement)]


@click.command("coverage")
@click.argument("symbols", nargs=-1)
@click.option("--dataset", default="prices", show_default=True, type=click.Choice(PLURALS))
@click.option("--start", help=f"First day; default {_DAYS} days ago, or the first with rows.")
@click.option("--end", help="Day after the last; default tomorrow.")
@click.option("--calendar", help="The exchange whose sessions are expected; default TRADING_DATA_CALENDAR, or XNYS.")
@click.option("--sources", is_flag=True, help="Show instead where sources disagree, by day and pair of sources.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def coverage_command(
    symbols: tuple[str, ...],
    dataset: str,
    start: str | None,
    end: str | None,
    calendar: str | None,
    form: str,
    *,
    sources: bool,
) -> None:
    """Show what the archive holds of SYMBOLS (default: all) per day, and what is missing; or where sources disagree.

    Each day is measured against the sessions of an exchange: the minutes with a row, out of those expected. Rows outside the
    sessions are reported, with the first one. A day whose session has not ended is open. Rows not archived yet do not count.
    Only bars are expected every minute: other datasets are refused, except with --sources.
    """
    declared = dataset_named(dataset)
    if not (sources or declared.odd_values):
        raise click.UsageError(
            f"{dataset} are not expected every minute, so no day of them can miss any. For what there is of each day: "
            f"`trading-data query {dataset} --start {now().date() - _DAYS * DAY} --interval {declared.aggregates[-1].interval}`; "
            "for whether all that was accepted is archived: `trading-data verify`"
        )
    settings = settings_of_running()
    last = utc(end, "end").date() if end else now().date() + DAY
    first = utc(start, "start").date() if start else last - timedelta(days=_DAYS)
    archive = Archive(settings.require_timescale_url())
    if sources:
        _print_sources(pd.DataFrame(disagreements(archive, declared, first, last - DAY), columns=_COLUMNS), form)
        return
    exchange = TradingCalendar.named(calendar) if calendar else TradingCalendar.configured(settings.calendar)
    known = known_subjects(archive, declared) if symbols else {}
    for symbol in sorted(set(symbols) - known.keys()):
        click.echo(f"{dataset}: the archive has no row of {printable(symbol)}", err=True)
    if symbols and not start:
        first = max(first, min(known.get(symbol, first) for symbol in symbols))
    states = day_states(archive, declared, exchange, first, last, symbols or None, unfinished=True)
    if (states["state"] == NO_CALENDAR).any():
        click.echo(f"{NO_CALENDAR}: {exchange.known}", err=True)
    if form == "csv":
        click.echo(states.to_csv(index=False), nl=False)
    elif form == "json":
        click.echo(json.dumps(_coverage_document(states), indent=1))
    else:
        _print_coverage(states, exchange.name)


def _print_sources(pairs: pd.DataFrame, form: str) -> None:
    if form == "csv":
        click.echo(pairs.to_csv(index=False), nl=False)
    elif form == "json":
        click.echo(json.dumps([{**row, "day": str(row["day"])} for row in pairs.to_dict("records")], indent=1))
    elif len(pairs):
        click.echo(frame_text(pairs))
        compared, beyond = int(pairs["compared"].sum()), int(pairs["beyond"].sum())
        click.echo(
            f"{beyond:,} of {counted(compared, 'row')} replaced by another source {noun(beyond, 'differs', 'differ')} by more "
            f"than the declared tolerance"
        )
    else:
        click.echo("no row of one source was replaced by another source in this range")


def _coverage_document(states: pd.DataFrame) -> dict[str, object]:
    return {
        "states": by_state(states),
        "to fill": [[str(first), str(last)] for first, last in to_fill(states)],
        "days": [
            {**row, "day": str(row["day"]), "first_outside": _minute(row["first_outside"])}
            for row in states.to_dict("records")
        ],
    }


def _minute(moment: Any) -> str | None:
    return None if pd.isna(moment) else f"{moment:%Y-%m-%dT%H:%MZ}"


def _print_coverage(states: pd.DataFrame, exchange: str) -> None:
    if not len(states):
        click.echo(
            "no rows are expected and none are archived: no symbol has an archived row before the end of the range"
        )
        return
    click.echo(heat_map(states))
    click.echo(", ".join(f"{number:,} {state}" for state, number in by_state(states).items()) + " (symbols by days)")
    for state, label in ((MISSING, "missing in part"), (OPEN, "open")):
        partial = states[(states["state"] == state) & (states["held"] > 0)]
        if len(partial):
            first = partial.iloc[0]
            click.echo(
                f"{label}: {counted(len(partial), 'day of a symbol', 'days of symbols')}, with {partial['held'].sum():,} of "
                f"{partial['expected'].sum():,} minutes; the first: {printable(first['subject'])} on {first['day']}, "
                f"{first['held']:,} of {first['expected']:,}"
            )
    outside = states[states["outside"] > 0]
    if len(outside):
        first = outside.sort_values("first_outside", kind="stable").iloc[0]
        minutes = int(outside["outside"].sum())
        click.echo(
            f"outside the sessions of {exchange}: {counted(minutes, 'minute')} with rows, of "
            f"{counted(outside['subject'].nunique(), 'symbol')}; the first: {printable(first['subject'])} at "
            f"{_minute(first['first_outside'])}; use `--calendar 24/7` for markets that never close"
        )
    ranges = [_days_text(first, last) for first, last in to_fill(states)]
    if ranges:
        click.echo(f"to fill: {'; '.join(ranges[:20])}{' …' if len(ranges) > 20 else ''}")


def _days_text(first: date, last: date) -> str:
    return str(first) if first == last else f"{first} to {last}"


_DATASETS = click.Choice(EVERY_PLURAL)
_ID = click.IntRange(1, 2**63 - 1)


@click.group("quarantine")
def quarantine_command() -> None:
    """Rejected entries: list and show them, send them through validation again, or discard them."""


@quarantine_command.command("list")
@click.argument("dataset", type=_DATASETS, required=False)
@click.option("--kind", help="Only entries of this kind.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Show at most this many entries.")
def list_(dataset: str | None, kind: str | None, limit: int) -> None:
    """Open entries: how many of each kind and since when, then the entries, the newest first."""
    archive = _archive()
    only = dataset_named(dataset) if dataset else None
    total = 0
    for declared in [only] if only else TABLES.values():
        for kind_of_entries, (count, since) in quarantine_waiting(archive, declared).items():
            if kind in (None, kind_of_entries):
                total += count
                click.echo(f"{declared.name}: {count:,} {printable(kind_of_entries)} since {since:%Y-%m-%d %H:%M:%S}Z")
    entries = listing(archive, only, kind, limit)
    for entry in entries:
        click.echo(_entry_line(entry))
    if not entries:
        click.echo("no entry waits in quarantine")
    elif total > len(entries):
        click.echo(f"… and {total - len(entries):,} older ones; raise --limit to see them")


@quarantine_command.command("show")
@click.argument("quarantine_id", metavar="ID", type=_ID)
def show_(quarantine_id: int) -> None:
    """One entry with all its fields. Control characters and bytes that are not UTF-8 are escaped."""
    entry = show(_archive(), quarantine_id)
    click.echo(_entry_line(entry))
    if entry.settled and entry.settled_at:
        click.echo(f"{entry.settled} {entry.settled_at:%Y-%m-%d %H:%M:%S}Z")
    for name, value in entry.fields:
        click.echo(f"  {printable(name)}: {'(missing)' if value is None else printable(value)}")


@quarantine_command.command("retry")
@click.argument("ids", metavar="[ID]...", nargs=-1, type=_ID)
@click.option("--dataset", type=_DATASETS, help="With --kind, instead of ids: all open entries of both.")
@click.option("--kind", help="With --dataset, instead of ids.")
@click.option("--set", "values", multiple=True, metavar="FIELD=VALUE", help="Set a field of each entry; repeatable.")
@click.option("--drop", "dropped", multiple=True, metavar="FIELD", help="Remove a field of each entry; repeatable.")
def retry_(
    ids: tuple[int, ...], dataset: str | None, kind: str | None, values: tuple[str, ...], dropped: tuple[str, ...]
) -> None:
    """Send entries through validation again, corrected if need be; an entry that is rejected again stays in quarantine.

    The next archive run loads them. Retrying an entry twice loads it once.
    """
    if bool(ids) == bool(dataset or kind) or bool(dataset) != bool(kind):
        raise click.UsageError("name the entries by their ids, or give --dataset and --kind")
    edits: dict[str, str | None] = {**dict.fromkeys(dropped), **_edits(values)}
    settings = settings_of_running()
    retried = retry(
        Archive(settings.require_timescale_url()),
        Intake(settings.intake_uri),
        ids=ids,
        dataset=dataset_named(dataset) if dataset else None,
        kind=kind,
        earliest=day_start(settings.start),
        edits=edits,
    )
    for number, outcome in retried.settled.items():
        click.echo(f"{number} is {outcome} already: left alone")
    for batch in retried.batches:
        click.echo(
            f"{batch.rows:,} good and {counted(batch.rejected, 'again rejected entry', 'again rejected entries')} wait in "
            f"{batch.file.name}"
        )
    total = sum(batch.rows + batch.rejected for batch in retried.batches)
    click.echo(f"{counted(total, 'entry', 'entries')} sent" + ("; the next archive run loads them" if total else ""))


@quarantine_command.command("discard")
@click.argument("ids", metavar="ID...", nargs=-1, required=True, type=_ID)
@click.option("--reason", required=True, help="Why; stored with the entries.")
def discard_(ids: tuple[int, ...], reason: str) -> None:
    """Close entries, by id only, without loading them: all their fields stay in the archive's quarantine."""
    for number in discard(_archive(), ids, reason):
        click.echo(f"{number} is discarded: it is closed, and kept in quarantine with all its fields")


def _archive() -> Archive:
    return Archive(settings_of_running().require_timescale_url())


def _edits(values: tuple[str, ...]) -> Mapping[str, str]:
    pairs = [value.partition("=") for value in values]
    if any(not name or not equals for name, equals, _ in pairs):
        raise click.UsageError("--set takes FIELD=VALUE")
    return {name: value for name, _, value in pairs}


def _entry_line(entry: Quarantined) -> str:
    where = f"{entry.dataset}  {printable(entry.journal)}  {printable(entry.entry_id)}"
    return f"{entry.quarantine_id}  {entry.since:%Y-%m-%d %H:%M:%S}Z  {where}  {printable(entry.kind)}: {printable(entry.reason)}"
