"""`redis_backup` and `timescale_backup`: the two halves of a backup, in the order that loses nothing."""

import time
from typing import Any

import dagster as dg

from trading_data.datasets import DATASETS
from trading_data.errors import Refused
from trading_data.operations.backup.check import check_files
from trading_data.operations.backup.create import create_redis_backup, create_timescale_backup
from trading_data.operations.backup.keys import keys_of
from trading_data.operations.backup.manifest import DUMP, Manifest, chosen
from trading_data.operations.backup.retention import BackupVerdict, prune
from trading_data.operations.backup.tables import rows_of
from trading_data.orchestration.assets.sources import OWNER, journal_key, state_keys
from trading_data.orchestration.declared import DURABLE, READS_BACK, REDIS_BACKUP, TIMESCALE_BACKUP
from trading_data.orchestration.resources import ArchiveTier, Environment, IntakeStore, LiveTier, as_dagster_failure
from trading_data.printable import counted
from trading_data.times import now

_ROWS = 200


def backup_assets() -> list[dg.AssetsDefinition]:
    """Both."""
    return [redis_backup, timescale_backup]


@dg.asset(
    key=REDIS_BACKUP,
    group_name="operations",
    deps=[*(journal_key(dataset) for dataset in DATASETS.values()), *state_keys().values()],
    kinds={"redis"},
    owners=[OWNER],
    check_specs=[
        dg.AssetCheckSpec(
            DURABLE,
            asset=REDIS_BACKUP,
            description="Every live server keeps an append-only file, and its last write to it succeeded.",
        )
    ],
    description="The first half of a backup: the live tier's snapshot, read as a replica reads it, and the batches that wait in "
    "the intake. `timescale_backup` in the same run completes it. A backup by `trading-data backup` is not shown here: "
    "`trading-data backup --list` lists every backup.",
)
def redis_backup(
    context: dg.AssetExecutionContext, live: LiveTier, intake: IntakeStore, environment: dg.ResourceParam[Environment]
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Take the first half."""
    began = time.monotonic()
    with as_dagster_failure(), live.for_archiver() as client, live.for_copying() as copier:
        half = create_redis_backup(
            environment.settings.backup_uri, client, intake.open(), context.run.run_id, copier=copier
        )
    account = half.redis["account"]
    kinds = [{"kind": kind, "keys": counts[0], "expire": "no"} for kind, counts in account["kinds"].items()]
    for kind, hours in account["expiring"].items():
        kinds.append({"kind": kind, "keys": sum(hour[0] for hour in hours.values()), "expire": "yes"})
    return dg.MaterializeResult(
        metadata={
            "backup": half.name,
            "bytes": half.size,
            "keys": keys_of(account),
            "journal entries": sum(journal["length"] for journal in account["journals"].values()),
            "batches": sum(map(len, half.intake.values())),
            "encrypted": half.encrypted,
            "seconds": round(time.monotonic() - began, 3),
            "by kind": _table(kinds),
        },
        check_results=[_durable(half)],
    )


@dg.asset(
    key=TIMESCALE_BACKUP,
    group_name="operations",
    deps=[REDIS_BACKUP, *(dataset.table for dataset in DATASETS.values())],
    kinds={"timescaledb"},
    owners=[OWNER],
    check_specs=[
        dg.AssetCheckSpec(
            READS_BACK, asset=TIMESCALE_BACKUP, description="Every file of the backup reads back as it was written."
        )
    ],
    description="The second half: the archive by `pg_dump`, its rows counted by table and chunk in the same snapshot, and the "
    "manifest that completes the backup. Old backups are deleted by the retention scheme. A backup by `trading-data backup` is "
    "not shown here: `trading-data backup --list` lists every backup, `--verify NAME` reads one back.",
)
def timescale_backup(
    context: dg.AssetExecutionContext, archive: ArchiveTier, environment: dg.ResourceParam[Environment]
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Complete the backup that `redis_backup` of this run began."""
    began, uri = time.monotonic(), environment.settings.backup_uri
    with as_dagster_failure(), archive.connect_as_owner() as database:
        made = create_timescale_backup(uri, database, context.run.run_id)
        seconds = round(time.monotonic() - began, 3)
        check = _reads_back(uri, made)
        verdicts = prune(uri, now()) if check.passed else []
    chunks = [
        {"table": table, "chunks": len(counts), "rows": sum(chunk["rows"] for chunk in counts)}
        for table, counts in made.timescale["chunks"].items()
    ]
    others = [{"table": table, "chunks": 0, "rows": counts[0]} for table, counts in made.timescale["tables"].items()]
    return dg.MaterializeResult(
        metadata={
            "backup": made.name,
            "bytes": made.size,
            "dump bytes": made.file(DUMP).size,
            "dagster/row_count": rows_of(made.timescale),
            "recovery point": dg.MetadataValue.timestamp(made.began),
            "seconds": seconds,
            "tables": _table([*chunks, *others]),
            "backups": _table([_verdict_row(verdict) for verdict in verdicts]),
        },
        check_results=[check],
    )


def _durable(half: Manifest) -> dg.AssetCheckResult:
    faults = []
    for node in half.redis["nodes"]:
        state = node["persistence"]
        if not state.get("aof_enabled"):
            faults.append(
                f"{node['file']}: the server keeps no append-only file; if it fails, what was accepted since the backup is lost"
            )
        elif state.get("aof_last_write_status") != "ok":
            faults.append(f"{node['file']}: the server's last write to its append-only file failed: check its disk")
    return dg.AssetCheckResult(
        check_name=DURABLE,
        passed=not faults,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(faults)
        or "Every live server keeps an append-only file, and its last write to it succeeded.",
        metadata={"faults": len(faults)},
    )


def _reads_back(uri: str, made: Manifest) -> dg.AssetCheckResult:
    fault = ""
    try:
        check_files(chosen(uri, made.name), inside=False)
    except Refused as error:
        fault = str(error)
    return dg.AssetCheckResult(
        check_name=READS_BACK,
        passed=not fault,
        severity=dg.AssetCheckSeverity.ERROR,
        description=fault
        or f"{counted(len(made.files), 'file')}, {counted(made.size, 'byte')} read back as they were written.",
        metadata={"files": len(made.files)},
    )


def _verdict_row(verdict: BackupVerdict) -> dict[str, Any]:
    return {
        "backup": verdict.backup.name,
        "verdict": "went" if verdict.goes else "kept",
        "reason": verdict.reason,
    }


def _table(rows: list[dict[str, Any]]) -> dg.MetadataValue[Any] | str:
    shown = [dg.TableRecord(row) for row in rows[:_ROWS]]
    return dg.MetadataValue.table(shown) if shown else "nothing"
