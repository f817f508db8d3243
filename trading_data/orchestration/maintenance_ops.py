"""Maintenance that is not an asset, as jobs of ops: compression and retention, one op per dataset, and the restore drill.

What the ops did to chunks is reported twice: as metadata of the op, and as observations of the archive asset, which Dagster plots
over time: one a night for the table, and one for each chunk. Observations belong to no run, so they outlive the runs, which
retention deletes.
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
from trading_data.orchestration.resources import ArchiveTier, Environment, IntakeStore, as_dagster_failure
from trading_data.orchestration.runs import old_runs
from trading_data.orchestration.tags import AS_OWNER, MAX_RUNTIME, WORKLOAD
from trading_data.printable import counted, noun
from trading_data.times import now


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Restore the newest backup into scratch servers, compare every count, sum and hash with its manifest, and store "
    "recovery point and recovery time with the backup.",
)
def drill_newest_backup(
    context: dg.OpExecutionContext, archive: ArchiveTier, environment: dg.ResourceParam[Environment]
) -> None:
    """One drill."""
    settings = environment.settings
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
            description=f"{backup.name} does not restore correctly; the restore drill found: {'; '.join(done.differences[:5])}. "
            "Take another backup and drill it: `trading-data backup`",
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
    """`dry_run`: only report what would go and what stays, and why."""

    dry_run: bool = False


def compress_op(dataset: Dataset) -> dg.OpDefinition:
    """The op that compresses the chunks of one dataset."""

    @dg.op(
        name=f"compress_{dataset.name}",
        out=_NOTHING,
        pool=f"compress_{dataset.name}",
        description=f"Compress the chunks of `{dataset.table}` older than {dataset.compress_after.days} days into the "
        "columnstore, new ones and those that have new rows, one transaction each.",
    )
    def compress(context: dg.OpExecutionContext, archive: ArchiveTier) -> None:
        moment = now()
        with as_dagster_failure(), archive.connect_as_owner() as database:
            done: list[Compressed] = []
            packing = compress_aged(database, dataset, moment)
            while batch := list(islice(packing, AT_A_TIME)):
                # One log entry for all of them: it costs as much as compressing a small chunk.
                context.log.info("\n".join(map(compressed_line, batch)))
                for result in batch:
                    if result.outcome in ("compressed", "compressed again"):
                        _observe(context, dataset, str(result.chunk.day), chunk_figures(result))
                done += batch
            of_table = chunks(database, dataset)
            if dataset.name in HISTORY:
                of_days = list(compress_aged(database, HISTORY[dataset.name], moment))
                context.log.info(
                    "\n".join(map(compressed_line, of_days)) or f"{HISTORY[dataset.name].table}: nothing to do"
                )
                done += of_days
        figures = {**table_figures(of_table), **compression_metadata(done, of_table)}
        _observe(context, dataset, str(moment.date()), figures)
        context.add_output_metadata(figures)
        refused = [f"{result.chunk.day}: {result.reason}" for result in done if result.outcome == "refused"]
        if refused:
            raise dg.Failure(
                description=f"{counted(len(refused), 'chunk')} of {dataset.table} {noun(len(refused), 'was', 'were')} "
                f"refused: {'; '.join(refused[:5])}"
            )

    return compress


def retain_op(dataset: Dataset) -> dg.OpDefinition:
    """The op that drops the chunks of one dataset that are past their retention. It shares the pool of the dataset."""

    @dg.op(
        name=f"retain_{dataset.name}",
        out=_NOTHING,
        pool=dataset.name,
        description=f"Drop the chunks of `{dataset.table}` that are past their retention, each only once every proof holds.",
    )
    def keep_or_drop(
        context: dg.OpExecutionContext,
        config: RetentionConfig,
        archive: ArchiveTier,
        intake: IntakeStore,
        environment: dg.ResourceParam[Environment],
    ) -> None:
        moment, store, uri = now(), intake.open(), environment.settings.backup_uri
        judged = []
        with as_dagster_failure(), archive.connect_as_owner() as database:
            covered = covered_by_backups(database, uri)
            if config.dry_run:
                verdicts = plan(database, store, dataset, moment, covered=covered)
            else:
                cold = ColdStore(uri)
                verdicts = retain(database, store, dataset, moment, cold=cold, covered=covered, run_id=context.run_id)
            for verdict in verdicts:
                context.log.info(f"{verdict.chunk.day} {'goes' if verdict.goes else 'stays'}: {verdict.reason}")
                if verdict.dropped is not None:
                    _observe(context, dataset, str(verdict.chunk.day), dropped_figures(verdict))
                judged.append(verdict)
        context.add_output_metadata(retention_metadata(judged, config.dry_run))

    return keep_or_drop


@dg.op(
    out=_NOTHING,
    description="Delete files left by killed writers, old states of the live tier, and old records in Dagster's own storage: "
    "events that carry no status, superseded events, and runs without events of an asset.",
)
def clear_leftovers(
    context: dg.OpExecutionContext,
    config: RetentionConfig,
    intake: IntakeStore,
    environment: dg.ResourceParam[Environment],
) -> None:
    """Leftovers other than chunks. Dagster's events go first: a run can go once it has no event of an asset any more."""
    from trading_data.orchestration.old_events import prune_events, storage_bytes  # loads SQLAlchemy

    instance, before = context.instance, storage_bytes(context.instance)
    pruned = prune_events(instance, now(), dry_run=config.dry_run)
    with as_dagster_failure():
        remains = [
            *leftovers(intake.open(), environment.settings.backup_uri, now()),
            *old_runs(instance, ALL_JOBS, now()),
        ]
        for leftover in remains:
            if leftover.goes:
                context.log.info(f"{leftover.kind} {leftover.name} goes: {leftover.reason}")
            if leftover.goes and not config.dry_run:
                leftover.remove()
    context.add_output_metadata(
        {
            **leftover_metadata(remains, config.dry_run),
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
    description="Compare policy jobs, columnstore, chunk interval, schedules and sensors with what is declared.",
)
def see_drift(context: dg.OpExecutionContext, archive: ArchiveTier, environment: dg.ResourceParam[Environment]) -> None:
    """Evaluate the checks `declared_is_actual`. Archive runs do so too, but not while their schedule is switched off."""
    with as_dagster_failure(), archive.connect() as database:
        for dataset in DATASETS.values():
            verdict = check_drift(database, context.instance, dataset, environment.variables)
            if not verdict.passed:
                context.log.warning(f"{dataset.table}: {verdict.description}")
            context.instance.report_runless_asset_event(as_evaluation(verdict))


@dg.config_mapping(
    config_schema={
        "dry_run": dg.Field(bool, default_value=False, description="Only report what would go, and why the rest stays.")
    }
)
def _dry_run_everywhere(value: dict[str, Any]) -> dict[str, Any]:
    names = [f"retain_{name}" for name in DATASETS] + ["clear_leftovers"]
    return {"ops": {name: {"config": {"dry_run": value["dry_run"]}} for name in names}}


@dg.job(
    name=COMPRESSION_JOB,
    tags={WORKLOAD: "compression", MAX_RUNTIME: "7200", **AS_OWNER},
    description="Compress the chunks that are old enough, one transaction each, while writing goes on.",
)
def compression_job() -> None:
    """One op per dataset, and the comparison with what is declared."""
    for dataset in DATASETS.values():
        compress_op(dataset)()
    see_drift()


@dg.job(
    name=RETENTION_JOB,
    config=_dry_run_everywhere,
    tags={WORKLOAD: "retention", MAX_RUNTIME: "7200", **AS_OWNER},
    description="Drop the chunks that are past their retention once every proof holds, and delete other leftovers. "
    "`dry_run: true` only reports what would go and why the rest stays.",
)
def retention_job() -> None:
    """One op per dataset, and one for other leftovers."""
    for dataset in DATASETS.values():
        retain_op(dataset)()
    clear_leftovers()


def _observe(context: dg.OpExecutionContext, dataset: Dataset, day: str, figures: dict[str, Any]) -> None:
    observation = dg.AssetObservation(asset_key=dataset.table, partition=day, metadata=figures)
    context.instance.report_runless_asset_event(observation)
