"""What waits is shown as the archive will show it: the same answer before the snapshot, before the load and after it."""

import shutil
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from psycopg2.sql import SQL, Identifier

from trading_data.archive.sql import reported_column
from trading_data.datasets import METRICS, PRICE, TRADE, codec
from trading_data.datasets.declaration import Dataset
from trading_data.intake.import_rows import import_rows
from trading_data.intake.poll_latest import poll_latest
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, bar, fill, measurement

END = MOMENT + timedelta(days=3)
JOURNAL = "journal:metrics"
FIELDS = {"open": "10", "high": "12", "low": "9", "close": "11", "volume": "100", "source": "test"}


def answer(rig: Rig, dataset: Dataset, column: str) -> list[Any]:
    values: list[Any] = rig.reader.read(dataset, None, MOMENT, END)[column].tolist()
    return values


def stays(rig: Rig, dataset: Dataset, column: str, expected: list[Any]) -> None:
    """At every step, and in the table at the end."""
    for step in (rig.snapshot, rig.load, rig.trim, rig.snapshot):
        assert answer(rig, dataset, column) == expected
        step(dataset)
    assert answer(rig, dataset, column) == expected
    order = SQL(", ").join(reported_column(dataset, name) for name in (*dataset.key, *dataset.named_by))
    command = SQL("select {} from {} order by {}").format(
        reported_column(dataset, column), Identifier(dataset.table), order
    )
    assert [value for (value,) in rig.query(command)] == expected


def write(rig: Rig, second: int, value: float, minute: int = 0) -> None:
    rig.entry_at(JOURNAL, f"{second}000-0", measurement(minute=minute, value=value))


def bring(rig: Rig, value: float) -> None:
    """Import a file."""
    one = measurement(value=value)
    rows = {name: [getattr(one, name)] for name in METRICS.names}
    table = pa.table(rows, schema=codec.schema(METRICS))
    list(import_rows(rig.intake, METRICS, "rows.csv", [table], origin="file", earliest=EARLIEST))


def test_the_newest_of_one_journal(rig: Rig) -> None:
    write(rig, 1, 1.0)
    write(rig, 2, 2.0)
    stays(rig, METRICS, "value", [2.0])
    write(rig, 3, 3.0)
    write(rig, 4, 1.0)
    stays(rig, METRICS, "value", [1.0])


def test_fills_of_one_moment_are_all_there(rig: Rig) -> None:
    rig.store.record_trades([fill("o1", "e1"), fill("o1", "e2"), fill("o1", "e1", price=Decimal(12))])
    stays(rig, TRADE, "execution_id", ["e1", "e2"])
    stays(rig, TRADE, "price", [Decimal(12), fill().price])
    stays(rig, TRADE, "timestamp", [MOMENT, MOMENT])


def test_a_fill_at_another_moment_is_there_once(rig: Rig) -> None:
    rig.store.record_trades([fill("o1", "e1"), fill("o1", "e2", 1), fill("o1", "e1", 1), fill("o1", "e2", -1500)])
    assert answer(rig, TRADE, "execution_id") == ["e1"]
    rig.archive_all(TRADE)
    assert answer(rig, TRADE, "execution_id") == ["e1"]
    rig.store.record_trades([fill("o1", "e2", 3000), fill("o1", "e2", 2)])
    stays(rig, TRADE, "timestamp", [MOMENT + timedelta(minutes=minute) for minute in (1, 2)])


@pytest.mark.parametrize("together", [True, False])
def test_the_better_source_wins(rig: Rig, together: bool) -> None:
    for source, close, expected in (("feed", 10.0, 10.0), ("manual", 10.5, 10.5), ("feed", 11.0, 10.5)):
        rig.store.record_prices([bar(close=close, source=source)])
        if together:
            assert answer(rig, PRICE, "close") == [expected]
        else:
            stays(rig, PRICE, "close", [expected])
    stays(rig, PRICE, "close", [10.5])


def test_what_cannot_be_ordered_does_not_replace_a_row(rig: Rig) -> None:
    """A bar is accepted between two looks at the latest value, which changed between them too, nobody knows when."""
    rig.store.record_prices([bar("A")])
    rig.archive_all(PRICE)
    poll_latest(rig.client, rig.intake, PRICE, earliest=EARLIEST)
    rig.entry("journal:price:A", {**FIELDS, "timestamp": MOMENT.isoformat(), "close": "9.5"})
    rig.client.hset("stocks:price:A", "close", "10.5")
    assert poll_latest(rig.client, rig.intake, PRICE, earliest=EARLIEST) is not None
    rig.load(PRICE)
    stays(rig, PRICE, "close", [10.5])
    assert rig.query("select kind from archive_quarantine") == [("cannot be ordered",)]


def test_entries_that_are_archived_do_not_come_again_where_a_gap_before_them_is_read(rig: Rig, tmp_path: Path) -> None:
    """Also where somebody has removed the entry that came after them."""
    write(rig, 1, 1.0, minute=1)
    (first,) = rig.snapshot(METRICS)
    write(rig, 2, 1.0)
    write(rig, 3, 2.0)
    write(rig, 4, 3.0, minute=2)
    rig.snapshot(METRICS)
    Path(first.file.path).rename(tmp_path / "away")
    rig.load(METRICS)
    rig.client.xdel(JOURNAL, "3000-0")
    assert answer(rig, METRICS, "tier") == ["archive", "live", "archive"]
    stays(rig, METRICS, "value", [2.0, 1.0, 3.0])


def test_a_batch_that_waits_after_newer_ones_are_archived(rig: Rig, tmp_path: Path) -> None:
    write(rig, 1, 1.0)
    write(rig, 2, 1.0, minute=1)
    (first,) = rig.snapshot(METRICS)
    write(rig, 3, 2.0)
    rig.snapshot(METRICS)
    away = Path(first.file.path).rename(tmp_path / "away")
    rig.load(METRICS)
    away.rename(first.file.path)
    stays(rig, METRICS, "value", [2.0, 1.0])


def test_an_entry_in_a_batch_is_no_newer_for_being_in_its_journal_too(rig: Rig) -> None:
    """Somebody has removed the entry that came after it, which waits in a batch."""
    write(rig, 1, 1.0)
    rig.snapshot(METRICS)
    write(rig, 2, 2.0)
    rig.snapshot(METRICS)
    rig.client.xdel(JOURNAL, "2000-0")
    stays(rig, METRICS, "value", [2.0])


def test_a_journal_that_went_back_and_on(rig: Rig) -> None:
    """Of what it still holds nothing undoes what it has lost; what came since is newer than all of that."""
    write(rig, 1, 1.0)
    write(rig, 2, 2.0)
    write(rig, 3, 3.0, minute=1)
    rig.snapshot(METRICS)
    rig.load(METRICS)
    rig.client.delete(JOURNAL)
    write(rig, 1, 1.0)
    stays(rig, METRICS, "value", [2.0, 3.0])
    rig.client.delete(JOURNAL)
    write(rig, 1, 1.0)
    write(rig, 2, 4.0, minute=1)
    stays(rig, METRICS, "value", [2.0, 4.0])


def test_a_batch_that_is_loaded_and_not_deleted(rig: Rig, tmp_path: Path) -> None:
    """Of a file that was imported: no range says that its rows are archived."""
    bring(rig, 1.0)
    (file,) = rig.intake.pending("metrics")
    copy = shutil.copy(file.path, tmp_path / "copy")
    rig.load(METRICS)
    shutil.copy(copy, file.path)
    assert answer(rig, METRICS, "tier") == ["archive"]
    bring(rig, 2.0)
    assert answer(rig, METRICS, "value") == [2.0]
    rig.load(METRICS)
    assert answer(rig, METRICS, "value") == [2.0]


def test_a_better_source_needs_no_moment(rig: Rig, tmp_path: Path) -> None:
    """Its batch was away, so that it is older than the row."""
    rig.store.record_prices([bar(close=10.5, source="manual")])
    (drained,) = rig.snapshot(PRICE)
    away = Path(drained.file.path).rename(tmp_path / "away")
    rig.client.delete("journal:price:AAPL")
    rig.store.record_prices([bar(close=11.0, source="feed")])
    rig.archive_all(PRICE)
    away.rename(drained.file.path)
    stays(rig, PRICE, "close", [10.5])


def test_a_day_that_was_dropped_is_not_shown_again(rig: Rig) -> None:
    rig.query(
        "insert into archive_dropped (dataset, day, rows, bytes, aggregates, cold, run_id)"
        " values ('metrics', %s, 1, 1, '{}', '', '') returning 1",
        MOMENT.date(),
    )
    write(rig, 1, 1.0)
    write(rig, 2, 2.0, minute=24 * 60)
    stays(rig, METRICS, "value", [2.0])


def test_the_tier_says_what_is_archived(rig: Rig) -> None:
    write(rig, 1, 1.0)
    for step in (rig.snapshot, rig.load):
        assert answer(rig, METRICS, "tier") == ["live"]
        step(METRICS)
    write(rig, 2, 1.0, minute=1)
    write(rig, 3, 2.0)
    assert answer(rig, METRICS, "tier") == ["live", "live"]
    rig.archive_all(METRICS)
    assert answer(rig, METRICS, "tier") == ["archive", "archive"]


def test_rows_of_a_file_wait_like_others(rig: Rig) -> None:
    write(rig, 1, 1.0)
    rig.archive_all(METRICS)
    bring(rig, 2.0)
    write(rig, 2, 3.0)
    stays(rig, METRICS, "value", [2.0])
