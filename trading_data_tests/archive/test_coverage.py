"""The coverage agrees with the tables, whatever was loaded in whatever order."""

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.sql import SQL, Identifier

from trading_data.archive.coverage import recount
from trading_data.datasets import DATASETS, METRICS, PRICE, TRADE
from trading_data.datasets.declaration import Dataset
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement

MINUTES = st.integers(-2000, 600)
BARS = st.builds(bar, st.sampled_from(["A", "B", "é"]), MINUTES, close=st.sampled_from([10.0, 10.5]))
FILLS = st.builds(fill, st.sampled_from(["o1", "o2"]), minute=st.integers(0, 3), symbol=st.sampled_from(["A", "B"]))
VALUES = st.builds(measurement, st.sampled_from(["a", "b"]), MINUTES, st.sampled_from([1.0, 2.0]))


def covered(rig: Rig, dataset: Dataset) -> list[tuple[Any, ...]]:
    return rig.query(
        "select subject, day, rows, first, last, minutes::text from archive_coverage where dataset = %s order by 1, 2",
        dataset.name,
    )


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    blocks=st.lists(
        st.tuples(st.lists(BARS, max_size=6), st.lists(FILLS, max_size=6), st.lists(VALUES, max_size=6)), max_size=4
    )
)
def test_coverage_is_what_the_rows_say(rig: Rig, blocks: list[tuple[Any, Any, Any]]) -> None:
    rig.clean()
    for bars, fills, values in blocks:
        rig.store.record_prices(bars)
        rig.store.record_trades(fills)
        rig.store.record_metrics(values)
        for dataset in DATASETS.values():
            rig.snapshot(dataset)
            rig.load(dataset)
    for dataset in (PRICE, TRADE, METRICS):
        kept = covered(rig, dataset)
        table, time = Identifier(dataset.table), Identifier(dataset.key[1])
        with rig.archive.transaction() as cursor:
            cursor.execute(SQL("select distinct ({} at time zone 'UTC')::date from {}").format(time, table))
            recount(cursor, dataset, [day for (day,) in cursor.fetchall()])
        assert kept == covered(rig, dataset)


def test_minutes_begin_at_midnight(rig: Rig) -> None:
    midnight = MOMENT.replace(hour=0)
    rig.store.record_prices([bar(timestamp=midnight), bar(timestamp=midnight + timedelta(hours=23, minutes=59))])
    rig.archive_all(PRICE)
    ((_, _, rows, first, last, minutes),) = covered(rig, PRICE)
    assert (rows, first, last) == (2, midnight, midnight + timedelta(hours=23, minutes=59))
    assert minutes == "1" + "0" * 1438 + "1"
