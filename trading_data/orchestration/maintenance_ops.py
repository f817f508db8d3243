"""The nightly duties on chunks that are no assets: compression and retention, as jobs of ops, one op a dataset.

What they did to chunks is said twice: as metadata of the op, and as observations of the archive asset, which Dagster
plots over time: one of the table a night, and one a chunk. Observations belong to no run, so that they
outlive the runs, which retention deletes.

Belongs here: the ops and their two jobs. Does not: what is done (`trading_data.operations.maintenance`), and when (`schedules`).
"""

from itertools import islice
from typing import Any

import dagster as dg

from trading_data.archive.chunks import chunks
from trading_data.datasets import DATASETS, HISTORY
from trading_data.datasets.declaration import Dataset
from trading_data.operations.backup.drill import restore_drill
from trading_data.operations.backup.manifest import chosen
from trading_data.operations.backup.preconditions import covered_by_backups
from trading_data.operations.maintenance.cleanup import leftovers
from trading_data.operations.maintenance.cold_storage import ColdStore
from trading_data.operations.maintenance.compression import AT_A_TIME, Compressed, compress_aged
from trading_data.operations.maintenance.retention import plan, retain
from trading_data.orchestration.declared import ALL_JOBS, COMPRESSION_JOB, DRILL_JOB, RETENTION_JOB
from trading_data.orchestration.drift import check_drift
from trading_data.orchestration.maintenance_metadata import (
    chunk_figures,
    compressed_line,
    compression_metadata,
    dropped_figures,
    leftover_metadata,
    retention_metadata,
    table_figures,
)
from trading_data.orchestration.reports import as_evaluation
from trading_data.orchestration.resources import ArchiveTier, IntakeStore, as_dagster_failure
from trading_data.orchestration.runs import old_runs
from trading_data.orchestration.tags import AS_OWNER, MAX_RUNTIME, WORKLOAD
from trading_data.printable import counted, noun
from trading_data.settings import Settings
from trading_data.times import now


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Restore the newest backup into scratch servers, compare every count, sum and hash with its manifest, and note "
    "recovery point and recovery time beside it.",
)
def drill_newest_backup(context: dg.OpExecutionContext, archive: ArchiveTier) -> None:
    """One drill."""
    settings = Settings.from_env()
    with as_dagster_failure(), archive.connect_as_owner() as database:
        backup = chosen(settings.backup_uri, None)
        done = restore_drill(backup, settings.drill_url or database.url, context.log.info)
    point, spent = done.recovery_point.total_seconds(), done.recovery_time.total_seconds()
    context.add_output_metadata(
        {
            "backup": backup.name,
            "restored and equal": done.ok,
            "recovery point seconds": round(point, 1),
            "recovery time seconds": round(spent, 3),
            "differences": "\n".join(done.differences) or "none",
        }
    )
    if not done.ok:
        raise dg.Failure(
            description=f"{backup.name} cannot be relied on, its restore drill found: {'; '.join(done.differences[:5])}. Take "
            "another backup and drill that: `trading-data backup`",
            allow_retries=False,
        )


@dg.job(
    name=DRILL_JOB,
    tags={WORKLOAD: "drill", MAX_RUNTIME: "14400", **AS_OWNER},
    description="Restore the newest backup into scratch servers and compare it with its manifest.",
)
def restore_drill_job() -> None:
    """One op."""
    drill_newest_backup()


_NOTHING = dg.Out(dg.Nothing)


class RetentionConfig(dg.Config):
    """`dry_run`: only say what would go and what stays, and why."""

    dry_run: bool = False


def compress_op(dataset: Dataset) -> dg.OpDefinition:
    """The op that compresses the chunks of one dataset."""

    @dg.op(
        name=f"compress_{dataset.name}",
        out=_NOTHING,
        pool=f"compress_{dataset.name}",
        description=f"Pack the chunks of `{dataset.table}` that are older than {dataset.compress_after.days} days into the "
        "columnstore, new ones and those that were added to, one transaction each.",
    )
    def compress(context: dg.OpExecutionContext, archive: ArchiveTier) -> None:
        moment = now()
        with as_dagster_failure(), archive.connect_as_owner() as database:
            done: list[Compressed] = []
            packing = compress_aged(database, dataset, moment)
            while some := list(islice(packing, AT_A_TIME)):
                # One entry for all of them: an entry in Dagster's log costs as much as packing a small chunk.
                context.log.info("\n".join(map(compressed_line, some)))
                for one in some:
                    if one.outcome in ("compressed", "compressed again"):
                        _observe(context, dataset, str(one.chunk.day), chunk_figures(one))
                done += some
            every = chunks(database, dataset)
            if dataset.name in HISTORY:
                of_days = list(compress_aged(database, HISTORY[dataset.name], moment))
                context.log.info(
                    "\n".join(map(compressed_line, of_days)) or f"{HISTORY[dataset.name].table}: nothing to do"
                )
                done += of_days
        figures = {**table_figures(every), **compression_metadata(done, every)}
        _observe(context, dataset, str(moment.date()), figures)
        context.add_output_metadata(figures)
        refused = [f"{one.chunk.day}: {one.said}" for one in done if one.outcome == "refused"]
        if refused:
            raise dg.Failure(
                description=f"{counted(len(refused), 'chunk')} of {dataset.table} {noun(len(refused), 'was', 'were')} "
                f"refused: {'; '.join(refused[:5])}"
            )

    return compress


def retain_op(dataset: Dataset) -> dg.OpDefinition:
    """The op that drops what has had its time of one dataset. It shares the pool of the dataset."""

    @dg.op(
        name=f"retain_{dataset.name}",
        out=_NOTHING,
        pool=dataset.name,
        description=f"Drop the chunks of `{dataset.table}` that are older than declared and for which everything is proven.",
    )
    def keep_or_drop(
        context: dg.OpExecutionContext, config: RetentionConfig, archive: ArchiveTier, intake: IntakeStore
    ) -> None:
        moment, store, uri = now(), intake.open(), Settings.from_env().backup_uri
        verdicts = []
        with as_dagster_failure(), archive.connect_as_owner() as database:
            covered = covered_by_backups(database, uri)
            if config.dry_run:
                found = plan(database, store, dataset, moment, covered=covered)
            else:
                cold = ColdStore(uri)
                found = retain(database, store, dataset, moment, cold=cold, covered=covered, run_id=context.run_id)
            for one in found:
                context.log.info(f"{one.chunk.day} {'goes' if one.goes else 'stays'}: {one.reason}")
                if one.dropped is not None:
                    _observe(context, dataset, str(one.chunk.day), dropped_figures(one))
                verdicts.append(one)
        context.add_output_metadata(retention_metadata(verdicts, config.dry_run))

    return keep_or_drop


@dg.op(
    out=_NOTHING,
    description="Remove files that a killed writer left, old states of the live tier, and of Dagster's own storage what has had "
    "its time: events that say nothing of a status, superseded ones, and runs of which nothing is left to know.",
)
def clear_leftovers(context: dg.OpExecutionContext, config: RetentionConfig, intake: IntakeStore) -> None:
    """Old things that are no chunks; Dagster's own events first, for a run goes when none of an asset is left of it."""
    from trading_data.orchestration.old_events import prune_events, storage_bytes

    instance, before = context.instance, storage_bytes(context.instance)
    pruned = prune_events(instance, now(), dry_run=config.dry_run)
    with as_dagster_failure():
        found = [
            *leftovers(intake.open(), Settings.from_env().backup_uri, now()),
            *old_runs(instance, ALL_JOBS, now()),
        ]
        for one in found:
            if one.goes:
                context.log.info(f"{one.kind} {one.name} goes: {one.reason}")
            if one.goes and not config.dry_run:
                one.remove()
    context.add_output_metadata(
        {
            **leftover_metadata(found, config.dry_run),
            **{f"Dagster: {kind}": count for kind, count in pruned.items()},
            **(
                {}
                if before is None
                else {"Dagster: bytes before": before, "Dagster: bytes": storage_bytes(instance) or 0}
            ),
        }
    )


@dg.op(
    out=_NOTHING,
    description="Compare what is declared with what is: policy jobs, columnstore, chunk interval, schedules and sensors.",
)
def see_drift(context: dg.OpExecutionContext, archive: ArchiveTier) -> None:
    """The checks `declared_is_actual` anew: archive runs make them too, but not while their schedule is switched off."""
    with as_dagster_failure(), archive.connect() as database:
        for dataset in DATASETS.values():
            found = check_drift(database, context.instance, dataset)
            if not found.passed:
                context.log.warning(f"{dataset.table}: {found.description}")
            context.instance.report_runless_asset_event(as_evaluation(found))


@dg.config_mapping(
    config_schema={
        "dry_run": dg.Field(bool, default_value=False, description="Only say what would go, and why the rest stays.")
    }
)
def _one_switch(value: dict[str, Any]) -> dict[str, Any]:
    names = [f"retain_{name}" for name in DATASETS] + ["clear_leftovers"]
    return {"ops": {name: {"config": {"dry_run": value["dry_run"]}} for name in names}}


@dg.job(
    name=COMPRESSION_JOB,
    tags={WORKLOAD: "compression", MAX_RUNTIME: "7200", **AS_OWNER},
    description="Compress the chunks that have reached their age, one transaction each, beside live writing.",
)
def compression_job() -> None:
    """One op a dataset, and the comparison with what is declared."""
    for dataset in DATASETS.values():
        compress_op(dataset)()
    see_drift()


@dg.job(
    name=RETENTION_JOB,
    config=_one_switch,
    tags={WORKLOAD: "retention", MAX_RUNTIME: "7200", **AS_OWNER},
    description="Drop the chunks that have had their time and for which everything is proven; clear what is left over. "
    "`dry_run: true` only says what would go and why the rest stays.",
)
def retention_job() -> None:
    """One op a dataset, and what is left over elsewhere."""
    for dataset in DATASETS.values():
        retain_op(dataset)()
    clear_leftovers()


def _observe(context: dg.OpExecutionContext, dataset: Dataset, day: str, figures: dict[str, Any]) -> None:
    observation = dg.AssetObservation(asset_key=dataset.table, partition=day, metadata=figures)
    context.instance.report_runless_asset_event(observation)
