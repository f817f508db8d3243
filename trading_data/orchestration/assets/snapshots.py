"""Group `live`: from the journals into the intake, one asset a dataset.

Belongs here: the asset, draining, and what is told of it. Does not: draining (`intake.snapshot`), and the step (`datasets`).
"""

from collections.abc import Iterator

import dagster as dg

from trading_data.archive.database import Archive
from trading_data.archive.ledger import archived_ranges
from trading_data.archive.trim import trim_drained
from trading_data.datasets.declaration import Dataset
from trading_data.errors import ArchiveTierError
from trading_data.intake.accounted import Ranges
from trading_data.intake.poll_latest import sample
from trading_data.intake.snapshot import snapshot
from trading_data.intake.store import Intake
from trading_data.live.connection import Client, read_memory
from trading_data.live.journal import find_journals
from trading_data.live.type_mismatch import keys_of, wrong_types
from trading_data.orchestration.assets.sources import OWNER, journal_key, latest_key
from trading_data.orchestration.metadata import snapshot_figures
from trading_data.orchestration.partitions import daily
from trading_data.orchestration.reports import Event, Reports, handled, news
from trading_data.orchestration.resources import earliest
from trading_data.orchestration.verdicts import keys_as_declared
from trading_data.printable import counted
from trading_data.times import now

EMERGENCY_RATIO = 0.9
"""Share of the memory limit above which, and only while the archive is away, journals are trimmed up to the intake."""


def snapshot_spec(dataset: Dataset) -> dg.AssetSpec:
    """The asset of a dataset's journals on their way."""
    return dg.AssetSpec(
        dataset.snapshot,
        group_name="live",
        deps=[journal_key(dataset), *([latest_key(dataset)] if dataset.latest else [])],
        partitions_def=daily(),
        kinds={"redis", "parquet"},
        owners=[OWNER],
        skippable=True,
        description=f"Drains `{dataset.journal}` into the intake, durably, and only then notes how far. A run drains all that "
        f"waits; its partitions are the days that it found there. Next: `{dataset.table}` loads what is there.",
    )


def drain(
    context: dg.AssetExecutionContext,
    reports: Reports,
    client: Client,
    database: Archive,
    store: Intake,
    dataset: Dataset,
) -> Iterator[Event]:
    """Drain what waits and sample what was only set, and tell the days that were found."""
    first, run_id = earliest(), context.run.run_id
    archived = _archived(context, client, database, dataset)
    drained = list(snapshot(client, store, dataset, earliest=first, archived=archived, run_id=run_id))
    if sampled := sample(client, store, dataset, earliest=first, run_id=run_id):
        drained.append(sampled)
    checked = keys_as_declared(dataset, wrong_types(client, keys_of(dataset)))
    if not checked.passed:
        context.log.warning(checked.description)
    emergency = {"trimmed to the intake": _emergency(context, client, store, dataset)} if archived is None else {}
    found = {day for one in drained for day in one.days}
    untold = reports.untold(dataset.snapshot, found)
    told = [
        handled(dataset.snapshot, day, snapshot_figures(drained, day) | emergency)
        for day in sorted(found)
        if emergency or reports.is_due(dataset.snapshot, day, untold)
    ]
    yield from told
    yield from news(context.instance, [checked], every=reports.every_verdict(told))
    for day in sorted(set(reports.days) - found):
        yield from reports.not_handled(dataset.snapshot, day, "no row of it waited in the journals")


def _archived(context: dg.AssetExecutionContext, client: Client, database: Archive, dataset: Dataset) -> Ranges | None:
    """What the archive holds of the journals; None while it is away, for draining goes on without it."""
    try:
        return archived_ranges(database, dataset, find_journals(client, dataset))
    except ArchiveTierError as error:
        context.log.warning(f"draining without the archive's ranges: {error}")
        return None


def _emergency(context: dg.AssetExecutionContext, client: Client, intake: Intake, dataset: Dataset) -> int:
    """The archive is away. If memory is critical too, trim what is durable in the intake, and say so."""
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
