"""What leaves a journal: only what is archived without a gap from its first entry on, and never the entry it is known by."""

from datetime import timedelta

import pytest

from trading_data.archive import trim as trim_module
from trading_data.datasets import METRICS
from trading_data.live.journal import BEGINNING, Cut, EntryId, ReadRange, entries_at, entry_digest, inspect, read, trim
from trading_data_tests.rig import Rig, measurement

JOURNAL = "journal:metrics"
HOUR_MS = 3_600_000


def write(rig: Rig, *seconds: int, value: float = 1.0) -> None:
    for second in seconds:
        rig.entry_at(JOURNAL, f"{second}000-0", measurement(minute=second, value=value))


def left(rig: Rig) -> list[int]:
    """The seconds of the entries that are in the journal."""
    (info,) = inspect(rig.client, [JOURNAL]).values()
    entries = read(rig.client, [ReadRange(JOURNAL, BEGINNING, info.last, info.length)])
    return [EntryId.parse(one).ms // 1000 for reading in entries for one, _ in reading.entries]


def archived(
    rig: Rig, after: int, last: int, incarnation: int = 7, anchor: str | None = None, added: int | None = None
) -> None:
    """Have the archive say so."""
    if anchor is None:
        (fields,) = entries_at(rig.client, {JOURNAL: EntryId(last * 1000, 0)}).values()
        anchor = entry_digest(f"{last}000-0".encode(), fields)
    rig.query(
        "insert into archive_range values ('metrics', %s, %s, %s, %s, %s, %s, 1, 1) returning 1",
        JOURNAL,
        incarnation,
        f"{after}000-0" if after else "0-0",
        f"{last}000-0",
        anchor,
        added,
    )


def test_up_to_the_first_gap(rig: Rig) -> None:
    write(rig, 1, 2, 3, 4, 5)
    archived(rig, 0, 2)
    archived(rig, 3, 5)
    assert rig.trim(METRICS).removed == 1
    assert left(rig) == [2, 3, 4, 5]
    assert rig.trim(METRICS).removed == 0


def test_over_gaps_whose_entries_somebody_deleted_up_to_one_that_holds_an_entry(rig: Rig) -> None:
    write(rig, 1, 2, 3, 4, 5, 6, 7)
    for after, last in ((0, 1), (2, 3), (4, 5), (6, 7)):
        archived(rig, after, last)
    rig.client.xdel(JOURNAL, "2000-0", "4000-0")
    assert rig.trim(METRICS).removed == 2
    assert left(rig) == [5, 6, 7]


@pytest.mark.parametrize(("after", "last"), [(1, 3), (2, 4), (3, 4)])
def test_nothing_where_the_first_entry_is_not_archived(rig: Rig, after: int, last: int) -> None:
    write(rig, 1, 2, 3, 4)
    archived(rig, after, last)
    trimmed = rig.trim(METRICS)
    assert (trimmed.removed, trimmed.left_alone) == (0, (JOURNAL,))
    assert left(rig) == [1, 2, 3, 4]


def test_nothing_after_the_archived_range(rig: Rig) -> None:
    write(rig, 1, 2, 3, 4)
    archived(rig, 0, 2)
    assert rig.trim(METRICS).removed == 1
    assert left(rig) == [2, 3, 4]


def test_nothing_by_the_ranges_of_an_earlier_incarnation(rig: Rig) -> None:
    write(rig, 1, 2, 3, 4)
    archived(rig, 0, 4, incarnation=6)
    archived(rig, 0, 2, incarnation=7)
    assert rig.trim(METRICS).removed == 1
    assert left(rig) == [2, 3, 4]


@pytest.mark.parametrize("anchor", ["", "of another entry"])
def test_nothing_where_the_entry_at_the_end_is_another_one(rig: Rig, anchor: str) -> None:
    write(rig, 1, 2, 3)
    archived(rig, 0, 2, anchor=anchor)
    trimmed = rig.trim(METRICS)
    assert (trimmed.removed, trimmed.left_alone) == (0, (JOURNAL,))


@pytest.mark.parametrize(("added", "removed"), [(2, 1), (3, 1), (4, 0)])
def test_nothing_where_the_number_of_entries_shows_another_journal(rig: Rig, added: int, removed: int) -> None:
    """More had been added when the range was read than have ever been added to this one."""
    write(rig, 1, 2, 3)
    archived(rig, 0, 2, added=added)
    assert rig.trim(METRICS).removed == removed


def test_nothing_where_the_entry_at_the_end_is_gone(rig: Rig) -> None:
    write(rig, 1, 2, 3)
    archived(rig, 0, 2)
    rig.client.xdel(JOURNAL, "2000-0")
    assert rig.trim(METRICS).removed == 0
    assert left(rig) == [1, 3]


@pytest.mark.parametrize("values", [{}, {3: 2.0}, {1: 2.0, 2: 2.0, 3: 2.0}])
def test_the_entry_at_the_end_is_looked_at_in_the_step_that_cuts(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, values: dict[int, float]
) -> None:
    """The journal is made anew after it was decided what is cut; without values it is not."""
    write(rig, 1, 2, 3)
    archived(rig, 0, 3)

    def reached(point: str) -> None:
        if point == "trim.decided" and values:
            rig.client.delete(JOURNAL)
            for second in (1, 2, 3):
                write(rig, second, value=values.get(second, 1.0))

    monkeypatch.setattr(trim_module, "reached", reached)
    assert rig.trim(METRICS).removed == (0 if values else 2)


def test_a_cut_needs_the_whole_entry(rig: Rig) -> None:
    write(rig, 1, 2)
    fields = entries_at(rig.client, {JOURNAL: EntryId(2000, 0)})[JOURNAL]
    last = EntryId(2000, 0)
    refused = [
        Cut(last, EntryId(2000, 1), fields),
        Cut(last, last, fields[:-2]),
        Cut(last, last, [*fields, b"more", b"1"]),
        Cut(last, last, [*fields[:-1], fields[-1] + b"!"]),
        Cut(last, last, [fields[0], b"?", *fields[2:]]),
    ]
    assert [trim(rig.client, {JOURNAL: one}) for one in refused] == [0] * len(refused)
    assert trim(rig.client, {JOURNAL: Cut(last, last, fields)}) == 1
    assert left(rig) == [2]


def test_the_hot_window_stays(rig: Rig) -> None:
    seconds, _ = rig.client.time()
    now_ms = seconds * 1000
    for minute, hours in enumerate((3, 2, 1)):
        rig.entry_at(JOURNAL, f"{now_ms - hours * HOUR_MS}-0", measurement(minute=minute))
    rig.snapshot(METRICS)
    rig.load(METRICS)
    assert rig.trim(METRICS, timedelta(hours=4)).removed == 0
    assert rig.trim(METRICS, timedelta(hours=2, minutes=30)).removed == 1
    assert rig.client.xlen(JOURNAL) == 2
    assert rig.trim(METRICS, timedelta(minutes=30)).removed == 1
    assert rig.client.xlen(JOURNAL) == 1
    assert rig.trim(METRICS).removed == 0
