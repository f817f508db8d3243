"""Pruning of Dagster's own storage: the event types that Dagster's guide lists, and superseded events, once they are old.

Green partitions stay green: the newest event of each partition, the newest verdict of each check, failures, and runs that still
have one of these are kept. Dagster itself prunes only ticks. Old runs are deleted by `runs.old_runs`.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import sqlalchemy as sa

from trading_data.orchestration.private import VERDICTS, event_tables

DEBUG_FOR = timedelta(days=7)
"""How long debug lines stay."""
EVENTS_FOR = timedelta(days=30)
"""How long every other event that can go stays."""
LISTED = (
    "ASSET_MATERIALIZATION_PLANNED",
    "ENGINE_EVENT",
    "HANDLED_OUTPUT",
    "LOADED_INPUT",
    "LOGS_CAPTURED",
    "PIPELINE_ENQUEUED",
    "PIPELINE_DEQUEUED",
    "PIPELINE_STARTING",
    "RESOURCE_INIT_FAILURE",
    "RESOURCE_INIT_STARTED",
    "RESOURCE_INIT_SUCCESS",
    "STEP_INPUT",
    "STEP_OUTPUT",
    "STEP_START",
    "STEP_SUCCESS",
    "STEP_WORKER_STARTED",
    "STEP_WORKER_STARTING",
)
"""The list of https://docs.dagster.io/deployment/troubleshooting/database-tuning, and other events of a step that succeeded."""
_DAY_EVENTS = ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION")
_CHECK_EVENTS = ("ASSET_CHECK_EVALUATION", "ASSET_CHECK_EVALUATION_PLANNED")
_VERDICTS = [status.value for status in VERDICTS]
_STORAGE, _EVENTS, _CHECKS, _TAGS = event_tables()
_AT_ONCE = 20_000


def prune_events(instance: dg.DagsterInstance, moment: datetime, *, dry_run: bool = False) -> dict[str, int]:
    """Delete old events in batches. Returns the number of deleted rows by kind; with `dry_run`, of rows that would go."""
    storage = instance.event_log_storage
    if not isinstance(storage, _STORAGE):
        return {}
    counts = {}
    for kind, table, condition in _rules(moment):
        with storage.index_connection() as connection:
            if dry_run:
                counted = sa.select(sa.func.count()).select_from(table).where(condition)
                counts[kind] = int(connection.execute(counted).scalar() or 0)
                continue
            counts[kind] = 0
            batch = sa.delete(table).where(table.c.id.in_(sa.select(table.c.id).where(condition).limit(_AT_ONCE)))
            while deleted := connection.execute(batch).rowcount:
                counts[kind] += deleted
    return counts


def storage_bytes(instance: dg.DagsterInstance) -> int | None:
    """The size of Dagster's database on disk in bytes; None if it is not PostgreSQL."""
    storage = instance.event_log_storage
    if not isinstance(storage, _STORAGE):
        return None
    with storage.index_connection() as connection:
        if connection.dialect.name != "postgresql":
            return None
        size = sa.select(sa.func.pg_database_size(sa.func.current_database()))
        return int(connection.execute(size).scalar() or 0)


def _rules(moment: datetime) -> Iterator[tuple[str, sa.Table, sa.ColumnElement[bool]]]:
    """Each kind of rows that go: its name, the table, and the condition. The storage's times are UTC without a zone."""
    debug, old = (moment.replace(tzinfo=None) - age for age in (DEBUG_FOR, EVENTS_FOR))
    kind: Any = _EVENTS.c.dagster_event_type
    at = _EVENTS.c.timestamp
    yield "debug lines", _EVENTS, kind.is_(None) & (at < debug) & _EVENTS.c.event.like('%"level": 10,%')
    yield "log lines", _EVENTS, kind.is_(None) & (at < old)
    yield "events", _EVENTS, kind.in_(LISTED) & (at < old)
    yield "superseded days", _EVENTS, kind.in_(_DAY_EVENTS) & (at < old) & _has_newer_event()
    yield "superseded verdicts", _CHECKS, (_CHECKS.c.create_timestamp < old) & _has_newer_verdict()
    kept = sa.select(_CHECKS.c.id).where(_CHECKS.c.evaluation_event_storage_id == _EVENTS.c.id)
    yield "verdicts' events", _EVENTS, kind.in_(_CHECK_EVENTS) & (at < old) & ~kept.exists()
    events = sa.select(_EVENTS.c.id).where(_EVENTS.c.id == _TAGS.c.event_id)
    yield "tags", _TAGS, (_TAGS.c.event_timestamp < old) & ~events.exists()


def _has_newer_event() -> sa.ColumnElement[bool]:
    """Whether a later event of the same type exists for the same asset and partition."""
    newer = _EVENTS.alias()
    same = (newer.c.partition == _EVENTS.c.partition) | (newer.c.partition.is_(None) & _EVENTS.c.partition.is_(None))
    return (
        sa.select(newer.c.id)
        .where(
            newer.c.asset_key == _EVENTS.c.asset_key,
            newer.c.dagster_event_type == _EVENTS.c.dagster_event_type,
            same,
            newer.c.id > _EVENTS.c.id,
        )
        .exists()
    )


def _has_newer_verdict() -> sa.ColumnElement[bool]:
    newer = _CHECKS.alias()
    return (
        sa.select(newer.c.id)
        .where(
            newer.c.asset_key == _CHECKS.c.asset_key,
            newer.c.check_name == _CHECKS.c.check_name,
            newer.c.execution_status.in_(_VERDICTS),
            newer.c.id > _CHECKS.c.id,
        )
        .exists()
    )
