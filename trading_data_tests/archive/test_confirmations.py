"""A version accepted before a confirmation does not replace the confirmed row; all other rows are ordered as usual."""

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from trading_data import Measurement
from trading_data.archive.confirmations import _packed, _unpacked
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.datasets.declaration import Dataset
from trading_data.intake.import_rows import import_rows
from trading_data.times import DAY
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, bar, fill, measurement

JOURNAL = "journal:metrics"
END = MOMENT + 3 * DAY


def by_file(rig: Rig, dataset: Dataset, records: Sequence[Any]) -> None:
    rows = {name: [getattr(record, name) for record in records] for name in dataset.names}
    kinds = {column.name: column.type for column in dataset.columns}
    table = pa.table(
        {name: pa.array(list(map(str, of)) if kinds[name] == "decimal" else of) for name, of in rows.items()}
    )
    list(import_rows(rig.intake, dataset, "rows", [table], origin="file", earliest=EARLIEST))


def shown(rig: Rig) -> list[float]:
    return [value for (value,) in rig.query("select value from metrics_data order by timestamp")]


def away(rig: Rig, dataset: Dataset, tmp_path: Path) -> tuple[Path, str]:
    """Move what waits away: where it is, and where it belongs."""
    (file,) = rig.intake.pending(dataset.name)
    return Path(file.path).rename(tmp_path / file.name), file.path


def of_minutes(value: float, *minutes: int) -> list[Measurement]:
    return [measurement(minute=minute, value=value) for minute in minutes]


def test_only_the_rows_that_a_file_confirmed_keep_their_values(rig: Rig) -> None:
    rig.store.record_metrics(of_minutes(1.0, *range(10)))
    rig.archive_all(METRICS)
    rig.store.record_metrics(of_minutes(2.0, *range(10)))
    by_file(rig, METRICS, of_minutes(1.0, 3, 7))
    assert [loaded.unchanged for loaded in rig.load(METRICS)] == [2]
    expected = [1.0 if minute in (3, 7) else 2.0 for minute in range(10)]
    assert rig.reader.metrics(None, MOMENT, END)["value"].tolist() == expected
    assert [(loaded.replaced, loaded.quarantined) for loaded in rig.archive_all(METRICS)] == [(8, 2)]
    assert shown(rig) == expected


def test_a_journal_confirms_each_row_at_a_moment_of_its_own(rig: Rig, tmp_path: Path) -> None:
    rig.entry_at(JOURNAL, "1000-0", measurement(minute=0, value=1.0))
    rig.entry_at(JOURNAL, "1001-0", measurement(minute=1, value=1.0))
    rig.archive_all(METRICS)
    by_file(rig, METRICS, of_minutes(2.0, 0, 1))
    path, back = away(rig, METRICS, tmp_path)
    rig.entry_at(JOURNAL, "1002-0", measurement(minute=0, value=1.0))
    rig.store.record_metrics(of_minutes(1.0, 1))
    assert [loaded.unchanged for loaded in rig.archive_all(METRICS)] == [2]
    path.rename(back)
    assert [(loaded.replaced, loaded.quarantined) for loaded in rig.load(METRICS)] == [(1, 1)]
    assert shown(rig) == [2.0, 1.0]


@pytest.mark.parametrize("order", list(permutations(["live", "again", "third"])))
def test_the_newest_value_wins_in_every_order_of_arrival(rig: Rig, tmp_path: Path, order: Sequence[str]) -> None:
    """A live correction of two rows, a file that confirms one of them, and a file with a third value for the other."""
    rig.store.record_metrics(of_minutes(1.0, 0, 1, 2))
    rig.archive_all(METRICS)
    rig.store.record_metrics(of_minutes(2.0, 0, 1, 2))
    rig.snapshot(METRICS)
    waiting = {"live": away(rig, METRICS, tmp_path)}
    by_file(rig, METRICS, of_minutes(1.0, 0))
    waiting["again"] = away(rig, METRICS, tmp_path)
    by_file(rig, METRICS, of_minutes(3.0, 1))
    waiting["third"] = away(rig, METRICS, tmp_path)
    for name in order:
        path, back = waiting[name]
        path.rename(back)
        rig.load(METRICS)
    assert shown(rig) == [1.0, 3.0, 2.0]
    quarantined = order.index("again") < order.index("live")
    assert rig.account(METRICS).quarantined == quarantined


def test_fills_are_told_by_their_execution(rig: Rig) -> None:
    fills = [fill("o1", f"e{at}") for at in range(4)]
    rig.store.record_trades(fills)
    rig.archive_all(TRADE)
    rig.store.record_trades([fill("o1", f"e{at}", strategy="late") for at in range(4)])
    by_file(rig, TRADE, fills[1:2])
    assert [loaded.unchanged for loaded in rig.load(TRADE)] == [1]
    assert [(loaded.replaced, loaded.quarantined) for loaded in rig.archive_all(TRADE)] == [(3, 1)]
    found = rig.query("select execution_id, strategy from trade_data order by 1")
    assert found == [(f"e{at}", "momentum" if at == 1 else "late") for at in range(4)]


def test_a_batch_of_an_earlier_release_may_confirm_any_row_of_the_day(rig: Rig) -> None:
    rig.store.record_metrics(of_minutes(1.0, 0, 1, 60 * 24))
    rig.archive_all(METRICS)
    rig.store.record_metrics(of_minutes(2.0, 0, 1, 60 * 24))
    by_file(rig, METRICS, of_minutes(1.0, 0))
    rig.load(METRICS)
    rig.query("update archive_said_again set said = null, entries = null returning 1")
    assert [(loaded.replaced, loaded.quarantined) for loaded in rig.archive_all(METRICS)] == [(1, 2)]


def test_a_journal_orders_its_own_entries_whatever_it_confirmed(rig: Rig) -> None:
    """All within one millisecond; a file has confirmed another row meanwhile."""
    rig.entry_at(JOURNAL, "1000-0", measurement(value=1.0))
    rig.entry_at(JOURNAL, "1000-1", measurement(minute=1, value=1.0))
    rig.archive_all(METRICS)
    rig.entry_at(JOURNAL, "1000-2", measurement(value=1.0))
    rig.archive_all(METRICS)
    by_file(rig, METRICS, of_minutes(1.0, 1))
    rig.load(METRICS)
    rig.entry_at(JOURNAL, "1000-3", measurement(value=2.0))
    assert [(loaded.replaced, loaded.quarantined) for loaded in rig.archive_all(METRICS)] == [(1, 0)]


def test_a_row_that_is_younger_than_a_confirmation(rig: Rig) -> None:
    """A file of an earlier release, whose clock was a day ahead, confirms two rows; then one of them is replaced."""
    rig.store.record_metrics(of_minutes(1.0, 0, 1))
    rig.archive_all(METRICS)
    by_file(rig, METRICS, of_minutes(1.0, 0, 1))
    rig.load(METRICS)
    rig.store.record_metrics(of_minutes(2.0, 0))
    rig.archive_all(METRICS)
    rig.query("update archive_said_again set said = null, entries = null returning 1")
    rig.query("update archive_ledger set accepted_last = now() + interval '1 day' where origin = 'file' returning 1")
    rig.store.record_metrics(of_minutes(3.0, 0, 1))
    assert [(loaded.replaced, loaded.quarantined) for loaded in rig.archive_all(METRICS)] == [(1, 1)]
    assert shown(rig) == [3.0, 1.0]


def test_a_worse_source_that_repeats_itself_confirms_nothing(rig: Rig) -> None:
    rig.store.record_prices([bar(source="manual"), bar(source="feed", close=10.5)])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar(source="manual", close=11.5)])
    by_file(rig, PRICE, [bar(source="feed", close=10.5)])
    assert [loaded.unchanged for loaded in rig.load(PRICE)] == [1]
    assert rig.query("select count(*) from archive_said_again") == [(0,)]
    assert [(loaded.replaced, loaded.quarantined) for loaded in rig.archive_all(PRICE)] == [(1, 0)]


def test_what_is_packed_comes_back(rig: Rig) -> None:
    part = np.array([[7, 7, 2**64 - 1, 7], [5, 5, 2**63, 0], [9, 3, 4, 0]], dtype=np.uint64)
    names, until = _unpacked(_packed(part), 4)
    assert (names[0] == names[1], len(set(names.tolist())), until.tolist()) == (True, 3, [9, 3, 4, 0])
    rig.store.record_metrics(of_minutes(1.0, 0))
    rig.archive_all(METRICS)
    rig.store.record_metrics([*of_minutes(1.0, 0), *of_minutes(1.0, 0)])
    rig.archive_all(METRICS)
    assert rig.query("select entries from archive_said_again") == [(2,)]


def test_minute_bars_cost_next_to_nothing(rig: Rig) -> None:
    """A batch of 20,000 entries that all confirm their rows: less than a quarter of a byte each."""
    records = [measurement(f"m{name}", minute) for name in range(50) for minute in range(400)]
    for _ in range(2):
        by_file(rig, METRICS, records)
        rig.load(METRICS)
    ((size, entries),) = rig.query("select sum(length(said)), sum(entries) from archive_said_again")
    assert (entries, size < 5_000) == (20_000, True)
