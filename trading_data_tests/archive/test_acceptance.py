"""The order of acceptance in whole loads: batches that wait long, ids from the future, several doors, several incarnations."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from trading_data.archive.acceptance import Acceptance, RowOrigin, accepted_of, bounds_of
from trading_data.archive.quarantine.queries import retry
from trading_data.archive.trim import trim_drained
from trading_data.archive.versions import moment_of
from trading_data.datasets import METRICS, PRICE, codec
from trading_data.intake.batch import Batch, JournalRange, schema
from trading_data.intake.import_rows import import_rows
from trading_data.live.journal import EntryId
from trading_data.live.ranges import EntryRange
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, bar, measurement

JOURNAL = "journal:metrics"
FUTURE = 2**50
"""Milliseconds of an id that a producer has made up."""
END = MOMENT + timedelta(days=1)
DRAINED = datetime(2026, 11, 20, 16, tzinfo=UTC)
DRAINED_MS = int(DRAINED.timestamp()) * 1000


def entry(rig: Rig, ms: int, value: float) -> None:
    rig.entry_at(JOURNAL, f"{ms}-0", measurement(value=value))


def bring(rig: Rig, value: float) -> None:
    """Import a file."""
    one = measurement(value=value)
    rows = {name: [getattr(one, name)] for name in METRICS.names}
    table = pa.table(rows, schema=codec.schema(METRICS))
    list(import_rows(rig.intake, METRICS, "rows.csv", [table], origin="file", earliest=EARLIEST))


def shown(rig: Rig) -> list[float]:
    return [value for (value,) in rig.query("select value from metrics_data")]


def away(rig: Rig, tmp_path: Path) -> tuple[Path, str]:
    """Drain, and move the batch away: where it is, and where it belongs."""
    (drained,) = rig.snapshot(METRICS)
    return Path(drained.file.path).rename(tmp_path / drained.file.name), drained.file.path


def test_an_id_from_the_future_was_accepted_before_it_was_drained(rig: Rig) -> None:
    entry(rig, FUTURE, 1.0)
    rig.archive_all(METRICS)
    bring(rig, 2.0)
    assert [loaded.replaced for loaded in rig.load(METRICS)] == [1]
    assert shown(rig) == [2.0]


def test_a_file_that_was_imported_after_a_drain_stays_although_its_batch_is_loaded_first(
    rig: Rig, tmp_path: Path
) -> None:
    for ms in (1000, FUTURE):
        rig.clean()
        entry(rig, ms, 1.0)
        path, back = away(rig, tmp_path)
        bring(rig, 2.0)
        rig.load(METRICS)
        path.rename(back)
        assert [loaded.replaced for loaded in rig.load(METRICS)] == [1]
        assert shown(rig) == [2.0]
        assert rig.query("select (old->>'value')::float8 from archive_revision") == [(1.0,)]


def test_an_entry_of_an_earlier_incarnation_does_not_win_by_its_larger_id(rig: Rig, tmp_path: Path) -> None:
    entry(rig, 5000, 1.0)
    path, back = away(rig, tmp_path)
    rig.client.delete(JOURNAL)
    entry(rig, 1000, 2.0)
    rig.archive_all(METRICS)
    path.rename(back)
    assert [loaded.quarantined for loaded in rig.load(METRICS)] == [1]
    assert shown(rig) == [2.0]
    assert rig.query("select kind from archive_quarantine") == [("cannot be ordered",)]


def test_what_waits_in_quarantine_does_not_win_when_it_comes_again(rig: Rig, tmp_path: Path) -> None:
    """The entry of the first incarnation could not be ordered; a third one holds it too."""
    test_an_entry_of_an_earlier_incarnation_does_not_win_by_its_larger_id(rig, tmp_path)
    rig.client.delete(JOURNAL)
    entry(rig, 5000, 1.0)
    assert [loaded.replayed for loaded in rig.archive_all(METRICS)] == [1]
    assert shown(rig) == [2.0]


def test_an_entry_of_a_newer_incarnation_wins_by_no_moment(rig: Rig) -> None:
    entry(rig, 5000, 1.0)
    rig.archive_all(METRICS)
    rig.client.delete(JOURNAL)
    entry(rig, 1000, 2.0)
    assert [loaded.replaced for loaded in rig.archive_all(METRICS)] == [1]
    assert shown(rig) == [2.0]


def test_a_reader_has_the_order_of_the_load_while_batches_wait(rig: Rig) -> None:
    entry(rig, 5000, 1.0)
    rig.snapshot(METRICS)
    rig.client.delete(JOURNAL)
    entry(rig, 3000, 2.0)
    for step in (lambda: None, lambda: rig.snapshot(METRICS), lambda: rig.load(METRICS)):
        step()
        assert rig.reader.metrics(None, MOMENT, END)["value"].tolist() == [2.0]


def test_a_retried_entry_was_accepted_when_it_came_and_not_when_its_batch_ended(rig: Rig) -> None:
    """Two batches of one millisecond: the rejected entry came before the row."""
    rig.client.xadd(JOURNAL, {"broken": "1"}, id="1000-0")
    rig.archive_all(METRICS)
    rig.entry_at(JOURNAL, "1000-1", measurement(value=4.0))
    rig.archive_all(METRICS)
    ((number,),) = rig.query("select quarantine_id from archive_quarantine")
    edits = {"broken": None, **{name: str(getattr(measurement(), name)) for name in METRICS.names}, "value": "3"}
    retry(rig.archive, rig.intake, ids=[number], earliest=EARLIEST, edits=edits)
    (loaded,) = rig.load(METRICS)
    assert (loaded.replaced, loaded.quarantined) == (1, 0)
    assert shown(rig) == [4.0]


def test_a_confirmation_is_newer_than_an_earlier_entry_that_comes_late(rig: Rig, tmp_path: Path) -> None:
    entry(rig, 1000, 1.0)
    rig.entry_at(JOURNAL, "1001-0", measurement(minute=1, value=1.0))
    rig.archive_all(METRICS)
    entry(rig, 2000, 2.0)
    rig.entry_at(JOURNAL, "2001-0", measurement(minute=1, value=2.0))
    rig.entry_at(JOURNAL, "2002-0", measurement(minute=2))
    path, back = away(rig, tmp_path)
    path.rename(back)
    assert trim_drained(rig.client, rig.intake, METRICS).removed == 3
    Path(back).rename(path)
    entry(rig, 3000, 1.0)
    assert [(loaded.inserted, loaded.unchanged, loaded.replaced) for loaded in rig.archive_all(METRICS)] == [(1, 0, 1)]
    entry(rig, 4000, 1.0)
    assert [(loaded.unchanged, loaded.replaced) for loaded in rig.archive_all(METRICS)] == [(1, 0)]
    path.rename(back)
    assert rig.reader.metrics(None, MOMENT, END)["value"].tolist()[:2] == [1.0, 2.0]
    assert [(loaded.replaced, loaded.quarantined) for loaded in rig.load(METRICS)] == [(2, 0)]
    assert rig.query("select value from metrics_data order by timestamp")[:2] == [(1.0,), (2.0,)]


def test_nothing_takes_a_place_in_a_journal_without_gaps(rig: Rig) -> None:
    for ms in (1000, 2000, 3000):
        entry(rig, ms, 1.0)
        rig.archive_all(METRICS)
    account = rig.account(METRICS)
    assert (account.inserted, account.unchanged) == (1, 2)


def test_a_row_that_a_file_confirmed_is_not_replaced_by_an_earlier_version(rig: Rig) -> None:
    rig.store.record_metrics([measurement(value=1.0)])
    rig.archive_all(METRICS)
    rig.store.record_metrics([measurement(value=2.0), measurement(minute=60 * 24, value=1.0)])
    bring(rig, 1.0)
    assert [loaded.unchanged for loaded in rig.load(METRICS)] == [1]
    assert rig.reader.metrics(None, MOMENT, END)["value"].tolist() == [1.0]
    assert [loaded.quarantined for loaded in rig.archive_all(METRICS)] == [1]
    rig.store.record_metrics([measurement(value=3.0)])
    assert [loaded.replaced for loaded in rig.archive_all(METRICS)] == [1]
    assert rig.query("select value from metrics_data order by timestamp") == [(3.0,), (1.0,)]


def test_a_confirmation_on_another_day_does_not_matter(rig: Rig) -> None:
    rig.store.record_metrics([measurement(minute=minute, value=1.0) for minute in (0, 60 * 24)])
    rig.archive_all(METRICS)
    rig.store.record_metrics([measurement(minute=60 * 24, value=2.0)])
    bring(rig, 1.0)
    rig.load(METRICS)
    assert [(loaded.replaced, loaded.quarantined) for loaded in rig.archive_all(METRICS)] == [(1, 0)]


def test_confirmations_of_a_journal_do_not_stop_its_corrections(rig: Rig, tmp_path: Path) -> None:
    """The batch with a correction of one bar comes after one in which another journal confirms another bar."""
    rig.store.record_prices([bar("A"), bar("B")])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("A", close=11.5)])
    (drained,) = rig.snapshot(PRICE)
    path = Path(drained.file.path).rename(tmp_path / drained.file.name)
    rig.client.xtrim("journal:price:A", maxlen=0, approximate=False)
    rig.store.record_prices([bar("B")])
    rig.archive_all(PRICE)
    assert rig.account(PRICE).unchanged == 1
    path.rename(drained.file.path)
    assert [(loaded.replaced, loaded.quarantined) for loaded in rig.load(PRICE)] == [(1, 0)]
    assert rig.query("select close from price_data order by symbol") == [(11.5,), (11.0,)]


def test_a_confirmation_of_an_earlier_row_does_not_matter(rig: Rig) -> None:
    """The row is younger than the confirmation of its predecessor, whatever their moments are."""
    entry(rig, 1000, 1.0)
    rig.archive_all(METRICS)
    bring(rig, 1.0)
    rig.load(METRICS)
    rig.store.record_metrics([measurement(value=2.0)])
    rig.archive_all(METRICS)
    rig.query(
        "update archive_ledger set accepted_last = accepted_last + interval '1 day' where origin = 'file' returning 1"
    )
    rig.store.record_metrics([measurement(value=3.0)])
    assert [(loaded.replaced, loaded.quarantined) for loaded in rig.archive_all(METRICS)] == [(1, 0)]


def test_a_late_file_does_not_replace_what_a_journal_has_confirmed(rig: Rig, tmp_path: Path) -> None:
    entry(rig, 1000, 1.0)
    rig.archive_all(METRICS)
    bring(rig, 2.0)
    (file,) = rig.intake.pending("metrics")
    path = Path(file.path).rename(tmp_path / file.name)
    rig.store.record_metrics([measurement(value=1.0)])
    assert [loaded.unchanged for loaded in rig.archive_all(METRICS)] == [1]
    path.rename(file.path)
    assert [loaded.quarantined for loaded in rig.load(METRICS)] == [1]
    assert shown(rig) == [1.0]


def journal_batch(*entries: tuple[int, int], origin: str = "journal", since: datetime | None = None) -> Batch:
    length = len(entries)
    columns: dict[str, list[Any]] = {
        "metric_name": ["m"] * length,
        "timestamp": [MOMENT] * length,
        "value": [1.0] * length,
        "unit": [""] * length,
        "_journal": [0] * length,
        "_ms": [ms for ms, _ in entries],
        "_seq": [seq for _, seq in entries],
        **{name: [None] * length for name in ("_kind", "_reason", "_payload")},
    }
    where = (JournalRange(JOURNAL, "0-0", "1-0", f"{FUTURE}-9", length, incarnation=7),)
    return Batch("metrics", origin, DRAINED, "", where, pa.table(columns, schema=schema(METRICS)), since)


def part(incarnation: int) -> EntryRange:
    return EntryRange(incarnation, EntryId(0, 0), EntryId(5, 0))


@pytest.mark.parametrize(
    ("ms", "incarnations", "moment_ms", "expected"),
    [
        (1000, [], 999, True),
        (1000, [7], 999, True),
        (1000, [7], 1000, False),
        (1000, [7], 1001, False),
        (1000, [7, 6], 999, False),
        (1000, [6], 999, False),
        (DRAINED_MS, [7], 999, True),
        (DRAINED_MS + 1, [7], 999, False),
    ],
)
def test_what_is_surely_later_without_a_closer_look(
    ms: int, incarnations: list[int], moment_ms: int, expected: bool
) -> None:
    batch = journal_batch((ms, 0))
    acceptance = Acceptance(METRICS, batch, batch.rows, lambda _: [part(number) for number in incarnations])
    assert acceptance.surely_after(0, moment_ms * 1000) is expected


def test_through_another_door_between_two_moments() -> None:
    """Of a file that of its import, of a sampled value between two looks."""
    made, looked = int(DRAINED.timestamp()) * 1_000_000, datetime(2026, 11, 20, 15, tzinfo=UTC)
    since = int(looked.timestamp()) * 1_000_000
    for origin, after, first in (("file", None, made), ("latest", looked, since)):
        batch = journal_batch((1000, 0), origin=origin, since=after)
        acceptance = Acceptance(METRICS, batch, batch.rows, lambda _: ())
        accepted = acceptance.of(0)
        assert (accepted.first_us, accepted.last_us, accepted.journal, accepted.entries) == (first, made, "", None)
        assert bounds_of(batch) == (moment_of(first), moment_of(made))
        assert acceptance.surely_after(0, first - 1)
        assert not acceptance.surely_after(0, first)


def test_the_bounds_of_a_batch_from_journals() -> None:
    first, last = bounds_of(journal_batch((5000, 1), (2000, 0), (3000, 0)))
    assert (first, last) == (moment_of(2_000_000), moment_of(5_000_999))
    first, last = bounds_of(journal_batch((2000, 0), (FUTURE, 0)))
    assert (first, last) == (moment_of(2_000_000), DRAINED)


def test_where_a_row_of_the_archive_came_from(rig: Rig) -> None:
    """From its part of its journal, within the moments of its batch."""
    entry(rig, 2000, 1.0)
    entry(rig, 4000, 2.0)
    (loaded,) = rig.archive_all(METRICS)
    ((incarnation,),) = rig.query("select incarnation from archive_range")
    row = RowOrigin(loaded.batch_id, "journal", 2_000_000, 4_000_999)
    with rig.archive.transaction() as cursor:
        accepted, elsewhere, of_file = accepted_of(
            cursor,
            [
                (row, JOURNAL),
                (row, "journal:other"),
                (RowOrigin(loaded.batch_id + 1, "file", 1, 2), JOURNAL),
            ],
        )
    assert (accepted.first_us, accepted.last_us, accepted.journal) == (2_000_000, 4_000_999, JOURNAL)
    assert accepted.entries == EntryRange(incarnation, EntryId(0, 0), EntryId(4000, 0))
    assert (elsewhere.first_us, elsewhere.last_us, elsewhere.entries) == (2_000_000, 4_000_999, None)
    assert (of_file.first_us, of_file.last_us, of_file.entries) == (1, 2, None)
