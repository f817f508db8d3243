"""Group `archive`: from the intake into the hypertables, one asset for each dataset; a partition is a chunk."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

import dagster as dg

from trading_data.archive.chunks import ArchivedDay, archived_days
from trading_data.archive.database import Archive
from trading_data.archive.days import Handled, handled_days
from trading_data.archive.ledger import COUNTS, Loaded
from trading_data.archive.load import load_pending
from trading_data.archive.quarantine.queries import retry_no_longer_rejected
from trading_data.archive.trim import trim_archived
from trading_data.archive.verify.ledger import chunk_days
from trading_data.archive.verify.losses import find_confirmed_losses
from trading_data.datasets import HISTORY
from trading_data.datasets.declaration import Dataset
from trading_data.first_day import move_back
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.orchestration import plausible
from trading_data.orchestration.assets.sources import OWNER
from trading_data.orchestration.day_metadata import day_figures, day_page
from trading_data.orchestration.drift import check_drift
from trading_data.orchestration.health_checks import fresh_result
from trading_data.orchestration.metadata import load_figures, load_page, table_metadata
from trading_data.orchestration.reports import Event, Reports, emptied, handled, news, still_handled
from trading_data.orchestration.resources import Environment
from trading_data.orchestration.tags import MEMORY_PRESSURE, TRIGGER
from trading_data.orchestration.verdicts import (
    accounts_balance,
    balance_of,
    nothing_missing,
    nothing_quarantined,
)
from trading_data.times import now


def table_spec(dataset: Dataset, partitions: dg.PartitionsDefinition[str], vendor: str) -> dg.AssetSpec:
    """The asset of a dataset's hypertable. It depends on its history asset only if a vendor is named."""
    history = [f"{dataset.name}_history"] if dataset.sources and vendor else []
    return dg.AssetSpec(
        dataset.table,
        group_name="archive",
        deps=[dataset.snapshot, *history],
        partitions_def=partitions,
        kinds={"timescaledb", "postgres"},
        owners=[OWNER],
        skippable=True,
        metadata=table_metadata(dataset),
        description=f"The hypertable `{dataset.table}`: {dataset.title}, one chunk for each UTC day. A day is green when it has a "
        "row, everything accepted for it so far is in the table, and its accounts balance. A run drains and loads whatever waits, "
        "for all days, each batch in one transaction with its ledger row and archived ranges; then it trims the journals and "
        f"refreshes the aggregates of its own day. Comes from `{dataset.snapshot}`"
        + "".join(f" and `{name}`" for name in history)
        + "".join(f"; feeds `{aggregate.name}`" for aggregate in dataset.aggregates[:1])
        + ".",
    )


def load(
    context: dg.AssetExecutionContext,
    reports: Reports,
    client: Client,
    database: Archive,
    store: Intake,
    dataset: Dataset,
    environment: Environment,
) -> Iterator[Event]:
    """Load what waits, trim the journals, and report the handled days and the verdicts of the checks."""
    pressed = context.run.tags.get(TRIGGER) == MEMORY_PRESSURE
    hot_window = timedelta(0) if pressed else dataset.hot_window
    loaded: list[Loaded] = []
    for table in filter(None, (dataset, HISTORY.get(dataset.name))):
        retry_no_longer_rejected(database, store, table, earliest=environment.earliest)
    for batch in load_pending(database, store, dataset, run_id=context.run.run_id):
        loaded.append(batch)
        trim_archived(client, database, dataset, hot_window=hot_window)
    if not loaded:  # entries may have left the hot window since the last load
        trim_archived(client, database, dataset, hot_window=hot_window)
    yield from _load_history(context.run.run_id, database, store, dataset)
    brought = {day for batch in loaded for day in batch.days_with_rows}
    if brought and move_back(environment.settings.home, min(brought)):
        context.log.info(
            f"partitions will begin on {min(brought)} once the code location is reloaded: `up` does that now, elsewhere "
            "press Reload on the page Deployment"
        )
    days = {*reports.days, *brought, *reports.not_green(dataset.table, chunk_days(database, dataset))}
    archived = archived_days(database, dataset, sorted(days))
    verdicts = handled_days(database, dataset, archived, now().date(), [batch.batch_id for batch in loaded])
    sent = list(_days(reports, database, dataset, environment.settings.calendar, loaded, archived, verdicts))
    yield from sent
    every = reports.every_verdict(sent)
    yield from news(
        context.instance,
        [
            nothing_quarantined(database, dataset),
            nothing_missing(dataset, find_confirmed_losses(client, database, store, dataset)),
            accounts_balance(dataset, balance_of(dataset, verdicts)),
            check_drift(database, context.instance, dataset, environment.variables),
            *([plausible.after_load(context.instance, database, dataset, days)] if dataset.odd_values else []),
        ],
        every=every,
    )
    fresh = fresh_result(database, dataset, now(), environment.settings.calendar)
    yield from news(context.instance, [fresh], words=False, every=every)


def _load_history(run_id: str, database: Archive, store: Intake, dataset: Dataset) -> Iterator[Event]:
    """Load a dataset's daily rows, which come from files, and report how many.

    Their days are no partitions of the asset: a file has thousands of days, and they belong to another table.
    """
    history = HISTORY.get(dataset.name)
    loaded = list(load_pending(database, store, history, run_id=run_id)) if history else []
    if history and loaded:
        figures = {name: sum(getattr(batch, name) for batch in loaded) for name in COUNTS}
        description = f"{history.title} were loaded into `{history.table}`"
        yield dg.AssetObservation(dataset.table, metadata=figures, description=description)


def _days(
    reports: Reports,
    database: Archive,
    dataset: Dataset,
    calendar: str,
    loaded: list[Loaded],
    archived: Mapping[date, ArchivedDay],
    verdicts: Mapping[date, Handled],
) -> Iterator[Event]:
    """Report each day: a full page if it is over or was not reported in the last hour, else the numbers that change."""
    asset, today = dataset.table, now().date()
    unreported = reports.unreported(asset, archived)
    in_full = {
        day: archived[day] for day, verdict in verdicts.items() if verdict and (day in unreported or day < today)
    }
    pages = day_page(database, dataset, calendar, in_full)
    for day, verdict in verdicts.items():
        figures = {**day_figures(archived[day]), **load_figures(loaded, day)}
        if not verdict:
            left = not verdict.rows and any(batch.days.get(day, {}).get("moved", 0) < 0 for batch in loaded)
            if left and reports.is_green(asset, day):
                yield emptied(asset, day, figures)
            else:
                yield from reports.not_handled(asset, day, verdict.message, news=left)
            continue
        if day in pages:
            yield handled(asset, day, {**figures, **pages[day], **load_page(loaded, day)})
        else:  # today, reported in the last hour
            yield (still_handled if reports.by_clock else handled)(asset, day, figures)
