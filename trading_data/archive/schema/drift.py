"""Whether the archive is set up as declared: each duty has one owner, and that is Dagster; each table is as its dataset says.

Belongs here: differences between the database and the declarations, a line each. Does not: schedules and sensors
(`orchestration.drift`), the schema's files (`archive.schema.migrate`), and what to do about a difference but to say it.
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
    """What the database has otherwise than declared: policy jobs on our tables, columnstore, chunk interval, aggregates."""
    with archive.transaction(snapshot=True) as cursor:
        return [line for dataset in datasets for line in _differences(cursor, dataset)]


def _differences(cursor: Cursor, dataset: Dataset) -> Iterator[str]:
    values = {"table": dataset.table, "views": [aggregate.name for aggregate in dataset.aggregates]}
    cursor.execute(statement("policy_jobs"), values)
    for job, procedure, table in cursor.fetchall():
        yield f"TimescaleDB job {job} runs {procedure} on {table}: `select delete_job({job})`"
    cursor.execute(statement("columnstore_settings"), values)
    found = cursor.fetchone() or (None, None)
    declared = (dataset.segment_by, _ordered(dataset.order_by))
    if found == (None, None):
        yield f"{dataset.table} has no columnstore: `alter table {dataset.table} set (timescaledb.enable_columnstore, …)`"
    elif (found[0], _ordered(found[1] or "")) != declared:
        yield (
            f"{dataset.table} is compressed by segments of {found[0]} in the order of {found[1]}; declared are "
            f"{dataset.segment_by} and {dataset.order_by}: `alter table {dataset.table} set (timescaledb.segmentby = "
            f"'{dataset.segment_by}', timescaledb.orderby = '\"{dataset.order_by}\"')`"
        )
    cursor.execute(statement("chunk_interval"), values)
    (interval,) = cursor.fetchone() or (None,)
    if interval != dataset.chunk:
        declared_as = ("one day", "1 day") if dataset.chunk == DAY else (_said(dataset.chunk),) * 2
        yield (
            f"new chunks of {dataset.table} hold {_said(interval)}; declared is {declared_as[0]}: "
            f"`select set_chunk_time_interval('{dataset.table}', interval '{declared_as[1]}')`"
        )
    cursor.execute(statement("real_time_aggregates"), values)
    for (view,) in cursor.fetchall():
        yield (
            f"{view} adds raw rows to what is materialized; declared is materialized only: "
            f"`alter materialized view {view} set (timescaledb.materialized_only = true)`"
        )


def _ordered(text: str) -> str:
    """An order as TimescaleDB and declarations may write it, in one form."""
    return text.replace('"', "").removesuffix(" ASC").strip()


def _said(interval: timedelta | None) -> str:
    if interval is None:
        return "rows by something else than time"
    return counted(interval.days, "day") if interval % DAY == timedelta(0) else f"{interval}"
