"""Which entries of a batch are archived already: by ranges and by hashes; and what a load writes so that the next one knows."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from trading_data.archive.known import inside_ranges
from trading_data.archive.ledger import ArchivedRange
from trading_data.archive.load import load
from trading_data.archive.versions import entry_hashes
from trading_data.archive.write_books import range_changes
from trading_data.datasets import METRICS, PRICE
from trading_data.intake.batch import Batch, JournalRange, schema
from trading_data.intake.snapshot import DrainedBatch
from trading_data.live.journal import EntryId
from trading_data.live.ranges import EntryRange
from trading_data.times import DAY, now
from trading_data_tests.rig import MOMENT, Rig, measurement

JOURNAL = "journal:metrics"
OLD, NOW = 1_005, 1_007


def part(after: int, last: int, incarnation: int = NOW, anchor: str = "") -> EntryRange:
    return EntryRange(incarnation, EntryId(after, 5), EntryId(last, 5), anchor)


def batch(ids: list[tuple[int, int]], journals: tuple[JournalRange, ...], codes: list[int], origin: str) -> Batch:
    length = len(ids)
    columns: dict[str, list[Any]] = {
        "metric_name": [f"m{at}" for at in range(length)],
        "timestamp": [MOMENT] * length,
        "value": [1.0] * length,
        "unit": [""] * length,
        "_journal": codes,
        "_ms": [ms for ms, _ in ids],
        "_seq": [seq for _, seq in ids],
        **{name: [None] * length for name in ("_kind", "_reason", "_payload")},
    }
    return Batch("metrics", origin, now(), "", journals, pa.table(columns, schema=schema(METRICS)))


IDS = [(1, 0), (2, 4), (2, 5), (2, 6), (3, 0), (3, 9), (4, 4), (4, 5), (4, 6), (5, 0), (2**64 - 1, 2**64 - 1)]
WITHIN = [(2, 6), (3, 0), (3, 9), (4, 4), (4, 5)]
"""Those of (2-5, 4-5]."""


@pytest.mark.parametrize(
    ("ranges", "same", "expected"),
    [
        ([], True, []),
        ([part(2, 4)], True, WITHIN),
        ([part(2, 4)], False, []),
        ([part(2, 4, OLD)], True, []),
        ([part(2, 4, OLD)], False, WITHIN),
        ([part(2, 3), part(3, 4)], True, WITHIN),
        ([part(2, 3), part(3, 4, OLD)], True, [(2, 6), (3, 0)]),
        ([part(4, 2**64 - 1)], True, [(4, 6), (5, 0)]),
        ([EntryRange(NOW, EntryId(0, 0), EntryId(2**64 - 1, 2**64 - 1))], True, IDS),
    ],
)
def test_inside_ranges(ranges: list[EntryRange], same: bool, expected: list[tuple[int, int]]) -> None:
    journal_range = JournalRange(JOURNAL, "0-0", "1-0", f"{2**64 - 1}-{2**64 - 1}", len(IDS), incarnation=NOW)
    one = batch(IDS, (journal_range,), [0] * len(IDS), "journal")
    found = inside_ranges(one, one.table, {JOURNAL: ranges} if ranges else {}, same=same)
    assert [entry for entry, inside in zip(IDS, found.tolist(), strict=True) if inside] == expected


def test_ranges_are_of_one_journal_and_of_journals_alone() -> None:
    two = tuple(JournalRange(name, "0-0", "3-0", "3-0", 1, incarnation=NOW) for name in ("a", "b"))
    ranges = {"b": [part(2, 4)], "c": [part(0, 9)]}
    of_journals = batch([(3, 0), (3, 0)], two, [0, 1], "journal")
    assert inside_ranges(of_journals, of_journals.table, ranges).tolist() == [False, True]
    of_file = batch([(3, 0), (3, 0)], two, [0, 1], "file")
    assert inside_ranges(of_file, of_file.table, ranges).tolist() == [False, False]


def kept(entry_range: EntryRange, count: int) -> ArchivedRange:
    return ArchivedRange(entry_range, count)


@pytest.mark.parametrize(
    ("known", "new", "written", "gone"),
    [
        ([], [kept(part(0, 2), 2)], [kept(part(0, 2), 2)], []),
        ([kept(part(0, 2), 2)], [kept(part(2, 4), 3)], [kept(part(0, 4), 5)], []),
        ([kept(part(0, 2), 2)], [kept(part(3, 4), 1)], [kept(part(3, 4), 1)], []),
        ([kept(part(2, 4), 3)], [kept(part(0, 2), 2)], [kept(part(0, 4), 5)], [part(2, 4)]),
        ([kept(part(0, 2), 2), kept(part(3, 4), 1)], [kept(part(2, 3), 1)], [kept(part(0, 4), 4)], [part(3, 4)]),
        ([kept(part(0, 4), 4)], [kept(part(1, 3), 0)], [], []),
        ([kept(part(0, 2), 2)], [kept(part(0, 9, OLD), 9)], [kept(part(0, 9, OLD), 9)], []),
        ([kept(part(0, 2, OLD), 2)], [kept(part(2, 4), 2)], [kept(part(2, 4), 2)], []),
        (
            [kept(part(0, 2, anchor="a"), 2)],
            [kept(part(2, 4, anchor="b"), 2)],
            [kept(part(0, 4, anchor="b"), 4)],
            [],
        ),
    ],
)
def test_ranges_that_are_written_and_those_they_swallow(
    known: list[ArchivedRange], new: list[ArchivedRange], written: list[ArchivedRange], gone: list[EntryRange]
) -> None:
    assert range_changes(known, new) == (written, gone)


def test_a_hash_is_of_the_id_and_of_every_value() -> None:
    columns: dict[str, list[Any]] = {
        "metric_name": ["m", "m", "m", "n", "m", "m", "m", "m"],
        "timestamp": [MOMENT] * 6 + [MOMENT + DAY, MOMENT],
        "value": [1.0, 1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0],
        "unit": ["", "", "", "", "", "s", "", ""],
        "_ms": [1, 2, 1, 1, 1, 1, 1, 1],
        "_seq": [0, 0, 1, 0, 0, 0, 0, 0],
    }
    types = {name: pa.uint64() for name in ("_ms", "_seq")}
    fields = [field for field in schema(METRICS) if field.name in columns and field.name not in types]
    table = pa.table(columns, schema=pa.schema([*fields, *types.items()]))
    hashes = entry_hashes(METRICS, table)
    assert len(np.unique(hashes[:-1])) == 7
    assert hashes[0] == hashes[-1]
    assert f"{hashes[0]:08x}" == "3adc48cd"  # kept in databases: it never changes


def write(rig: Rig, *entries: tuple[int, int, float]) -> None:
    """Entries: second of the id, minute, value."""
    for second, minute, value in entries:
        rig.entry_at(JOURNAL, f"{second}000-0", measurement(minute=minute, value=value))


def test_entries_that_come_again_are_recognised_by_id_and_content(rig: Rig) -> None:
    """The journal went back to its first two entries, of which one is another now, and on."""
    write(rig, (1, 1, 1.0), (2, 2, 2.0), (3, 3, 3.0), (4, 4, 4.0))
    rig.archive_all(METRICS)
    rig.client.delete(JOURNAL)
    write(rig, (1, 1, 1.0), (2, 2, 7.0), (3, 9, 3.0), (5, 4, 4.0))
    (loaded,) = rig.archive_all(METRICS)
    counts = (loaded.replayed, loaded.inserted, loaded.replaced, loaded.unchanged, loaded.quarantined)
    assert counts == (1, 1, 1, 1, 0)
    assert rig.query("select value from metrics_data order by timestamp") == [(1.0,), (7.0,), (3.0,), (4.0,), (3.0,)]


def test_a_value_that_is_sent_again_after_a_journal_went_back_is_a_new_entry(rig: Rig) -> None:
    write(rig, (1, 1, 1.0), (2, 2, 2.0))
    rig.archive_all(METRICS)
    rig.client.delete(JOURNAL)
    rig.entry_at(JOURNAL, "1000-0", measurement(minute=1, value=1.0))
    rig.entry_at(JOURNAL, "1500-0", measurement(minute=1, value=1.0))
    (loaded,) = rig.archive_all(METRICS)
    assert (loaded.offered, loaded.replayed, loaded.unchanged) == (2, 1, 1)
    assert rig.account(METRICS).accepted == 3


def test_what_only_looks_like_an_archived_entry_is_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four bytes are few: where two entries have one hash by chance, the values decide."""

    def all_alike(_: object, rows: pa.Table) -> Any:
        return np.full(rows.num_rows, 7, dtype="<u4")

    for module in ("known", "write_books"):
        monkeypatch.setattr(f"trading_data.archive.{module}.entry_hashes", all_alike)
    write(rig, (1, 1, 1.0), (2, 2, 2.0))
    rig.archive_all(METRICS)
    rig.client.delete(JOURNAL)
    write(rig, (1, 1, 1.0), (2, 2, 7.0))
    (loaded,) = rig.archive_all(METRICS)
    assert (loaded.replayed, loaded.replaced) == (1, 1)
    assert rig.query("select value from metrics_data order by timestamp") == [(1.0,), (7.0,)]


def test_an_entry_beside_a_rejected_one_is_recognised(rig: Rig) -> None:
    """Of rejected entries no hash is kept; each of the others still has its place."""
    good: dict[Any, Any] = {**dict.fromkeys(PRICE.fields, "1"), "timestamp": MOMENT.isoformat(), "source": "test"}
    rig.client.xadd("journal:price:A", {"broken": "1"}, id="1000-0")
    rig.client.xadd("journal:price:B", good, id="1000-0")
    rig.archive_all(PRICE)
    rig.client.xadd("journal:price:B", {**good, "volume": "2"}, id="2000-0")
    rig.archive_all(PRICE)
    rig.client.delete("journal:price:B")
    rig.client.xadd("journal:price:B", good, id="1000-0")
    (loaded,) = rig.archive_all(PRICE)
    assert (loaded.offered, loaded.replayed) == (1, 1)
    assert rig.query("select volume from price_data") == [(2.0,)]


def test_a_single_entry_that_comes_again_is_recognised(rig: Rig) -> None:
    write(rig, (1, 1, 1.0))
    rig.snapshot(METRICS)
    rig.load(METRICS)
    write(rig, (2, 1, 2.0))
    rig.archive_all(METRICS)
    rig.client.delete(JOURNAL)
    write(rig, (1, 1, 1.0))
    (loaded,) = rig.archive_all(METRICS)
    assert (loaded.offered, loaded.replayed) == (1, 1)
    assert rig.query("select value from metrics_data") == [(2.0,)]


def test_each_entry_counts_once_in_a_batch_that_overlaps_an_archived_range(rig: Rig) -> None:
    """Two drains of which one had lost its lease: the same range twice, and a correction archived in between."""
    write(rig, (1, 1, 1.0), (2, 2, 2.0))
    first = rig.intake.read(rig.snapshot(METRICS)[0].file)
    write(rig, (3, 1, 5.0))
    rig.archive_all(METRICS)
    assert first is not None
    again = Batch(first.dataset, first.origin, now(), "another", first.journals, first.table)
    rig.intake.put(again)
    (loaded,) = rig.load(METRICS)
    assert (loaded.offered, loaded.replayed) == (2, 2)
    assert rig.query("select value from metrics_data order by timestamp") == [(5.0,), (2.0,)]
    assert rig.query("select entries from archive_range") == [(3,)]
    assert rig.query("select count(*) from archive_revision") == [(1,)]


def put_again(rig: Rig, drained: DrainedBatch, **columns: pa.Array) -> None:
    """Put the entries of a batch into the intake once more, with other columns."""
    first = rig.intake.read(drained.file)
    assert first is not None
    table = first.table
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    rig.intake.put(Batch(first.dataset, first.origin, now(), "another", first.journals, table))


def test_an_id_in_an_archived_range_is_no_proof(rig: Rig) -> None:
    """Of two entries with archived ids one has another value, and is kept, in whatever order; no range tells them apart."""
    write(rig, (1, 1, 1.0), (2, 2, 2.0), (3, 3, 3.0))
    (drained,) = rig.snapshot(METRICS)
    put_again(rig, drained, value=pa.array([1.0, 7.0, 3.0]), _ms=pa.array([1000, 2000, 2500], pa.uint64()))
    first, second = rig.load(METRICS)
    assert (first.inserted, first.replayed) == (3, 0)
    # The third one says what its row says, and was not there when the range was read.
    assert (second.replayed, second.unchanged, second.quarantined) == (1, 1, 1)
    assert rig.query("select entries from archive_range") == [(5,)]
    assert rig.account(METRICS).accepted == 5


def test_a_repetition_of_a_day_that_was_dropped_is_one_by_its_hash(rig: Rig) -> None:
    """Its row has gone, and no values tell; another entry of that day comes too late."""
    write(rig, (1, 1, 1.0), (2, 2, 2.0))
    (drained,) = rig.snapshot(METRICS)
    put_again(rig, drained, value=pa.array([1.0, 7.0]))
    first, again = [rig.intake.read(file) for file in rig.intake.pending("metrics")]
    assert first is not None
    assert again is not None
    files = rig.intake.pending("metrics")
    load(rig.archive, METRICS, files[0], first)
    rig.query("delete from metrics_data returning 1")
    rig.query(
        "insert into archive_dropped (dataset, day, rows, bytes, aggregates, cold, run_id)"
        " values ('metrics', %s, 1, 1, '{}', '', '') returning 1",
        MOMENT.date(),
    )
    loaded = load(rig.archive, METRICS, files[1], again)
    assert (loaded.offered, loaded.replayed, loaded.quarantined) == (2, 1, 1)


def test_entries_of_an_upgraded_database_are_repetitions_if_they_say_what_is_there(rig: Rig) -> None:
    """Also those of the same incarnation: the archive has no hashes of it, and its ranges are marks."""
    write(rig, (1, 1, 1.0), (2, 2, 2.0), (3, 2, 3.0))
    rig.snapshot(METRICS)
    rig.load(METRICS)
    rig.query("update archive_range set incarnation = 1, anchor = '' returning 1")
    rig.query("update archive_ledger set journals = jsonb_set(journals, '{0,incarnation}', '1') returning 1")
    rig.query("delete from archive_entry_hash returning 1")
    old = (JournalRange(JOURNAL, "0-0", "1000-0", "3000-0", 3, incarnation=1),)
    rows = {
        "metric_name": ["latency"] * 3,
        "unit": ["ms"] * 3,
        "timestamp": [MOMENT + DAY / 1440 * at for at in (1, 2, 2)],
    }
    made = batch([(1000, 0), (2000, 0), (3000, 0)], old, [0] * 3, "journal").table
    for name, values in {**rows, "value": [1.0, 2.0, 8.0]}.items():
        made = made.set_column(made.schema.get_field_index(name), name, pa.array(values, made.schema.field(name).type))
    rig.intake.put(Batch("metrics", "journal", now(), "", old, made))
    (loaded,) = rig.load(METRICS)
    assert (loaded.offered, loaded.replayed, loaded.accepted) == (3, 2, 1)


def test_an_entry_of_an_upgraded_database_that_says_what_the_row_says_is_taken_for_the_same(rig: Rig) -> None:
    """A release before 0.2 kept no hashes, so that only its values tell whether an entry comes again."""
    write(rig, (1, 1, 1.0), (2, 2, 2.0))
    rig.archive_all(METRICS)
    rig.query("update archive_range set incarnation = 1, anchor = 'x' returning 1")
    rig.query("update archive_ledger set journals = jsonb_set(journals, '{0,incarnation}', '1') returning 1")
    rig.query("delete from archive_entry_hash returning 1")
    rig.client.delete(JOURNAL)
    write(rig, (1, 1, 1.0), (2, 2, 7.0), (3, 3, 3.0))
    (loaded,) = rig.archive_all(METRICS)
    assert (loaded.replayed, loaded.inserted, loaded.unchanged) == (1, 1, 0)
    assert (loaded.replaced, loaded.quarantined) == (0, 1)
    assert rig.query("select value from metrics_data order by timestamp") == [(1.0,), (2.0,), (3.0,)]
