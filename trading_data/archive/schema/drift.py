"""Differences between the database and the declarations: tables differ from their dataset, or TimescaleDB runs jobs of its own.

Each duty has one owner, Dagster. Belongs here: the differences, a line each. Does not: schedules and sensors
(`orchestration.drift`), migrations (`archive.schema.migrate`), repairs.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.database import Archive
from trading_data.archive.sql import statement
from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Dataset
from trading_data.printable import counted
from trading_data.times import DAY


def archive_drift(archive: Archive, datasets: Iterable[Dataset] = tuple(DATASETS.values())) -> list[str]:
    """Differences in policy jobs, columnstore, chunk interval and aggregates: a line each, with the statement that removes it."""
    with archive.transaction(snapshot=True) as cursor:
        return [line for dataset in datasets for line in _differences(cursor, dataset)]


def _differences(cursor: Cursor, dataset: Dataset) -> Iterator[str]:
    values = {"table": dataset.table, "views": [aggregate.name for aggregate in dataset.aggregates]}
    cursor.execute(statement("policy_jobs"), values)
    for job, procedure, table in cursor.fetchall():
        yield f"TimescaleDB job {job} runs {procedure} on {table}: `select delete_job({job})`"
    cursor.execute(statement("columnstore_settings"), values)
    segment_by, order_by = cursor.fetchone() or (None, None)
    if (segment_by, order_by) == (None, None):
        yield f"{dataset.table} has no columnstore: `alter table {dataset.table} set (timescaledb.enable_columnstore, …)`"
    elif (segment_by, _normalized(order_by or "")) != (dataset.segment_by, _normalized(dataset.order_by)):
        yield (
            f"{dataset.table} is compressed with segments by {segment_by}, ordered by {order_by}; declared are "
            f"{dataset.segment_by} and {dataset.order_by}: `alter table {dataset.table} set (timescaledb.segmentby = "
            f"'{dataset.segment_by}', timescaledb.orderby = '\"{dataset.order_by}\"')`"
        )
    cursor.execute(statement("chunk_interval"), values)
    (interval,) = cursor.fetchone() or (None,)
    if interval != dataset.chunk:
        declared, as_interval = ("one day", "1 day") if dataset.chunk == DAY else (_described(dataset.chunk),) * 2
        yield (
            f"new chunks of {dataset.table} hold {_described(interval)}; declared is {declared}: "
            f"`select set_chunk_time_interval('{dataset.table}', interval '{as_interval}')`"
        )
    cursor.execute(statement("real_time_aggregates"), values)
    for (view,) in cursor.fetchall():
        yield (
            f"{view} adds raw rows to its materialized buckets; declared is materialized only: "
            f"`alter materialized view {view} set (timescaledb.materialized_only = true)`"
        )


def _normalized(text: str) -> str:
    """An ordering as TimescaleDB or a declaration may write it, in one form."""
    return text.replace('"', "").removesuffix(" ASC").strip()


def _described(interval: timedelta | None) -> str:
    if interval is None:
        return "rows by something other than time"
    return counted(interval.days, "day") if interval % DAY == timedelta(0) else f"{interval}"
