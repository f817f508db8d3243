"""What is otherwise than declared is said with the difference, by `status` and by a red check; what is as declared is not."""

from pathlib import Path

import dagster as dg
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from trading_data.archive.schema.drift import archive_drift
from trading_data.datasets import METRICS, PRICE
from trading_data.orchestration.declared import LOCATION
from trading_data.orchestration.drift import check_drift, switched_otherwise
from trading_data.orchestration.storage import instance_of
from trading_data_tests.rig import Rig


def alter(rig: Rig, statement: str) -> None:
    with rig.archive.transaction() as cursor:
        cursor.execute(statement)


def test_as_declared(rig: Rig) -> None:
    assert archive_drift(rig.archive) == []


def test_a_policy_job_on_a_table_or_an_aggregate(rig: Rig) -> None:
    ((first,),) = rig.query("select add_retention_policy('price_data', interval '1 year')")
    ((second,),) = rig.query("select add_retention_policy('price_1d', interval '9 years')")
    try:
        lines = archive_drift(rig.archive)
    finally:
        rig.query("select delete_job(%s), delete_job(%s)", first, second)
    assert [line.partition(" on ")[0] for line in lines] == [
        f"TimescaleDB job {first} runs policy_retention",
        f"TimescaleDB job {second} runs policy_retention",
    ]
    assert f"`select delete_job({first})`" in lines[0]


CHANGES = (
    (
        "alter table price_data set (timescaledb.segmentby = 'source')",
        "alter table price_data set (timescaledb.segmentby = 'symbol')",
        "price_data is compressed with segments by source, ordered by ",
    ),
    (
        "alter table metrics_data set (timescaledb.orderby = '\"timestamp\" desc')",
        "alter table metrics_data set (timescaledb.orderby = '\"timestamp\"')",
        "metrics_data is compressed with segments by metric_name, ordered by ",
    ),
    (
        "select set_chunk_time_interval('trade_data', interval '7 days')",
        "select set_chunk_time_interval('trade_data', interval '1 day')",
        "new chunks of trade_data hold 7 days",
    ),
    (
        "alter materialized view price_1h set (timescaledb.materialized_only = false)",
        "alter materialized view price_1h set (timescaledb.materialized_only = true)",
        "price_1h adds raw rows to its materialized buckets",
    ),
    (
        "alter table trade_data set (timescaledb.enable_columnstore = false)",
        (
            "alter table trade_data set (timescaledb.enable_columnstore, timescaledb.segmentby = 'symbol', "
            "timescaledb.orderby = '\"timestamp\"')"
        ),
        "trade_data has no columnstore",
    ),
)


def test_settings_other_than_declared(rig: Rig) -> None:
    for change, back, said in CHANGES:
        alter(rig, change)
        try:
            (line,) = archive_drift(rig.archive)
        finally:
            alter(rig, back)
        assert line.startswith(said)
    assert archive_drift(rig.archive) == []


def switch(
    instance: dg.DagsterInstance,
    name: str,
    status: InstigatorStatus,
    kind: InstigatorType = InstigatorType.SCHEDULE,
    location: str = LOCATION,
) -> None:
    where = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(module_name="trading_data.definitions"), location_name=location
    )
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(where, "__repository__"), name)
    data = ScheduleInstigatorData("10 3 * * *") if kind == InstigatorType.SCHEDULE else None
    known = instance.get_instigator_state(origin.get_id(), InstigatorState(origin, kind, status, data).selector_id)
    save = instance.update_instigator_state if known else instance.add_instigator_state
    save(InstigatorState(origin, kind, status, data))


def test_schedules_and_sensors_that_somebody_switched(rig: Rig, instance: dg.DagsterInstance) -> None:
    assert switched_otherwise(instance) == []
    switch(instance, "archive_schedule", InstigatorStatus.RUNNING)
    switch(instance, "somebody_elses", InstigatorStatus.STOPPED)
    switch(instance, "compression_schedule", InstigatorStatus.STOPPED, location="another")
    assert switched_otherwise(instance) == []
    switch(instance, "retention_schedule", InstigatorStatus.STOPPED)
    switch(instance, "late_data_sensor", InstigatorStatus.STOPPED, InstigatorType.SENSOR)
    expected = [
        "schedule retention_schedule is switched off; declared is on: `trading-data dagster schedule start retention_schedule`",
        "sensor late_data_sensor is switched off; declared is on: `trading-data dagster sensor start late_data_sensor`",
    ]
    assert switched_otherwise(instance) == expected
    home = Path(instance.root_directory)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with instance_of(home, rig.settings) as found:
        assert switched_otherwise(found) == expected
    switch(instance, "retention_schedule", InstigatorStatus.DECLARED_IN_CODE)
    switch(instance, "late_data_sensor", InstigatorStatus.DECLARED_IN_CODE, InstigatorType.SENSOR)
    assert switched_otherwise(instance) == []


def test_the_check_has_the_difference_in_it(rig: Rig, instance: dg.DagsterInstance) -> None:
    assert check_drift(rig.archive, instance, PRICE).passed
    switch(instance, "archive_schedule", InstigatorStatus.STOPPED)
    rig.query("select set_chunk_time_interval('metrics_data', interval '7 days') is null")
    try:
        price, metrics = (check_drift(rig.archive, instance, dataset) for dataset in (PRICE, METRICS))
    finally:
        rig.query("select set_chunk_time_interval('metrics_data', interval '1 day') is null")
        switch(instance, "archive_schedule", InstigatorStatus.DECLARED_IN_CODE)
    assert not price.passed
    assert price.severity == dg.AssetCheckSeverity.ERROR
    assert "schedule archive_schedule is switched off" in str(price.description)
    assert "new chunks" not in str(price.description)
    assert "new chunks of metrics_data hold 7 days" in str(metrics.description)
