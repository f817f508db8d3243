"""Group `live`: from the journals into the intake, one asset for each dataset."""

from collections.abc import Iterator

import dagster as dg

from trading_data.archive.database import Archive
from trading_data.archive.ledger import archived_ranges
from trading_data.archive.trim import trim_drained
from trading_data.datasets.declaration import Dataset
from trading_data.errors import ArchiveTierError
from trading_data.intake.accounted import Ranges
from trading_data.intake.poll_latest import poll_latest
from trading_data.intake.snapshot import snapshot
from trading_data.intake.store import Intake
from trading_data.live.connection import Client, read_memory
from trading_data.live.journal import find_journals
from trading_data.live.reads import keys_of, wrong_types
from trading_data.orchestration.assets.sources import OWNER, journal_key, latest_key
from trading_data.orchestration.metadata import snapshot_figures
from trading_data.orchestration.reports import Event, Reports, handled, news
from trading_data.orchestration.resources import Environment
from trading_data.orchestration.verdicts import keys_as_declared
from trading_data.printable import counted
from trading_data.times import now

EMERGENCY_RATIO = 0.9
"""Share of the memory limit above which journals are trimmed up to the intake, and only while the archive is away."""


def snapshot_spec(dataset: Dataset, partitions: dg.PartitionsDefinition[str]) -> dg.AssetSpec:
    """The asset of a dataset's batches between journals and archive."""
    return dg.AssetSpec(
        dataset.snapshot,
        group_name="live",
        deps=[journal_key(dataset), *([latest_key(dataset)] if dataset.latest else [])],
        partitions_def=partitions,
        kinds={"redis", "parquet"},
        owners=[OWNER],
        skippable=True,
        description=f"Drains `{dataset.journal}` into the intake and notes the position only once the batch is durable. A run "
        f"drains all that waits; the days of the drained entries turn green. Next, `{dataset.table}` loads the batches.",
    )


def drain(
    context: dg.AssetExecutionContext,
    reports: Reports,
    client: Client,
    database: Archive,
    store: Intake,
    dataset: Dataset,
    environment: Environment,
) -> Iterator[Event]:
    """Drain the journals, sample latest values that have no entry, and report the days of what was drained."""
    first, run_id = environment.earliest, context.run.run_id
    archived = _archived(context, client, database, dataset)
    drained = list(snapshot(client, store, dataset, earliest=first, archived=archived, run_id=run_id))
    if sampled := poll_latest(client, store, dataset, earliest=first, run_id=run_id):
        drained.append(sampled)
    checked = keys_as_declared(dataset, wrong_types(client, keys_of(dataset)))
    if not checked.passed:
        context.log.warning(checked.description)
    emergency = {"trimmed to the intake": _emergency(context, client, store, dataset)} if archived is None else {}
    days = {day for batch in drained for day in batch.days}
    unreported = reports.unreported(dataset.snapshot, days)
    sent = [
        handled(dataset.snapshot, day, snapshot_figures(drained, day) | emergency)
        for day in sorted(days)
        if emergency or reports.is_due(dataset.snapshot, day, unreported)
    ]
    yield from sent
    yield from news(context.instance, [checked], every=reports.every_verdict(sent))
    for day in sorted(set(reports.days) - days):
        yield from reports.not_handled(dataset.snapshot, day, "none of its rows waited in the journals")


def _archived(context: dg.AssetExecutionContext, client: Client, database: Archive, dataset: Dataset) -> Ranges | None:
    """The archived ranges of the journals; None while the archive is away: draining goes on without them."""
    try:
        return archived_ranges(database, dataset, find_journals(client, dataset))
    except ArchiveTierError as error:
        context.log.warning(f"draining without the archive's ranges: {error}")
        return None


def _emergency(context: dg.AssetExecutionContext, client: Client, intake: Intake, dataset: Dataset) -> int:
    """While the archive is away: if memory is critical too, trim what is durable in the intake, and log it."""
    memory = read_memory(client, now().timestamp())
    if memory.ratio < EMERGENCY_RATIO:
        return 0
    trimmed = trim_drained(client, intake, dataset)
    context.log.warning(
        f"emergency: memory at {memory.ratio:.0%} of its limit and the archive away, so "
        f"{counted(trimmed.removed, 'entry that is', 'entries that are')} durable in the intake left the journals "
        "before being archived"
    )
    return trimmed.removed
