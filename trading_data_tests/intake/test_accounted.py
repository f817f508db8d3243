"""What a snapshot reads: whatever a journal holds outside of what is archived or waits, and nothing else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trading_data.archive.ledger import archived_ranges
from trading_data.datasets import METRICS
from trading_data.errors import IntakeError
from trading_data.intake import snapshot as snapshot_module
from trading_data.intake.accounted import Ranges, noted, of_this_incarnation, undrained
from trading_data.intake.batch import JournalRange
from trading_data.intake.drain import drain
from trading_data.intake.snapshot import DrainedBatch, snapshot
from trading_data.live.journal import EntryId, digests_at, entries_at, entry_digest, inspect
from trading_data.live.ranges import EntryRange, continues
from trading_data_tests.rig import EARLIEST, Rig, measurement

JOURNAL = "journal:metrics"


def write(rig: Rig, *seconds: int, value: float = 1.0) -> None:
    """One entry a second, each of a key of its own."""
    for second in seconds:
        rig.entry_at(JOURNAL, f"{second}000-0", measurement(minute=second, value=value))


def drained_without_archive(rig: Rig) -> list[DrainedBatch]:
    return list(snapshot(rig.client, rig.intake, METRICS, earliest=EARLIEST, archived=None))


def newest_of(rig: Rig) -> Ranges:
    archived = archived_ranges(rig.archive, METRICS, [JOURNAL])
    return of_this_incarnation(rig.client, archived, inspect(rig.client, [JOURNAL]))


def ids(drained: list[DrainedBatch]) -> list[tuple[str, str, str, int]]:
    """The ranges of batches: after, first and last, in seconds, and how many entries."""
    found = [journal for batch in drained for journal in batch.journals]
    return [(*(end.removesuffix("000-0") for end in (one.after, one.first, one.last)), one.count) for one in found]  # type: ignore[misc]


@pytest.fixture
def away(rig: Rig, tmp_path: Path) -> Iterator[Path]:
    """Where the first of two batches lies; the second one is loaded."""
    write(rig, 1, 2)
    (first,) = rig.snapshot(METRICS)
    write(rig, 3)
    rig.snapshot(METRICS)
    path = Path(first.file.path).rename(tmp_path / first.file.name)
    rig.load(METRICS)
    yield path
    if path.exists():
        path.rename(first.file.path)


@pytest.mark.usefixtures("away")
def test_a_batch_that_never_comes_back_is_read_again_from_its_journal(rig: Rig) -> None:
    assert rig.trim(METRICS).removed == 0
    assert ids(rig.snapshot(METRICS)) == [("0-0", "1", "2", 2)]
    assert [one.inserted for one in rig.load(METRICS)] == [2]
    assert rig.query("select after_id, last_id, entries from archive_range") == [("0-0", "3000-0", 3)]
    assert rig.trim(METRICS).removed == 2


def test_a_batch_that_comes_back_is_loaded(rig: Rig, away: Path) -> None:
    rig.client.xtrim(JOURNAL, minid=3000, approximate=False)  # by somebody else: only the batch has them now
    assert rig.snapshot(METRICS) == []
    away.rename(Path(rig.intake.uri) / "metrics" / away.name)
    assert [one.inserted for one in rig.load(METRICS)] == [2]
    assert rig.query("select count(*) from metrics_data") == [(3,)]
    assert rig.query("select after_id, last_id, entries from archive_range") == [("0-0", "3000-0", 3)]


def test_the_note_in_redis_counts_only_while_the_archive_cannot_be_asked(rig: Rig) -> None:
    """The archive goes back to where it was empty; what the live tier has noted is not what the archive has."""
    write(rig, 1, 2)
    rig.snapshot(METRICS)
    rig.load(METRICS)
    assert [str(one.last) for one in noted(rig.client, METRICS)[JOURNAL]] == ["2000-0"]
    write(rig, 3)
    assert ids(drained_without_archive(rig)) == [("2", "3", "3", 1)]
    assert drained_without_archive(rig) == []
    for table in ("archive_range", "archive_entry_hash", "archive_ledger", "metrics_data"):
        rig.query(f"delete from {table} returning 1")
    assert ids(rig.snapshot(METRICS)) == [("0-0", "1", "2", 2)]
    rig.load(METRICS)
    assert rig.query("select count(*) from metrics_data") == [(3,)]


def test_a_note_does_not_say_more_than_was_drained(rig: Rig) -> None:
    write(rig, 1, 2, 3)
    batches = rig.snapshot(METRICS, batch_entries=1, rows_per_pipeline=1)
    assert len(batches) == 3
    ((kept),) = noted(rig.client, METRICS)[JOURNAL]
    info = inspect(rig.client, [JOURNAL])[JOURNAL]
    digest = digests_at(rig.client, {JOURNAL: info.last})[JOURNAL]
    assert (kept.after, kept.last, kept.anchor, kept.added) == (EntryId(0, 0), info.last, digest, 3)
    assert continues(kept, info, digest)


def test_what_waits_is_not_read_again_whatever_redis_has_forgotten(rig: Rig) -> None:
    write(rig, 1, 2)
    rig.snapshot(METRICS)
    rig.client.delete("archive:drained:metrics")
    write(rig, 3)
    assert ids(rig.snapshot(METRICS)) == [("2", "3", "3", 1)]
    assert rig.snapshot(METRICS) == []


def test_a_journal_that_only_grows_stays_one_incarnation(rig: Rig) -> None:
    for second in (1, 2, 3):
        write(rig, second)
        rig.archive_all(METRICS)
    assert rig.query("select after_id, last_id, entries, added from archive_range") == [("0-0", "3000-0", 3, 3)]
    account = rig.account(METRICS)
    assert (account.offered, account.replayed, account.missing) == (3, 0, 0)


@pytest.mark.parametrize("trimmed", [True, False])
def test_a_journal_made_anew_that_has_the_same_entry_at_the_end_of_the_range(rig: Rig, trimmed: bool) -> None:
    """Entries 2 to 5 instead of 1 to 3, and what is behind the third one is more than could have been added."""
    write(rig, 1, 2, 3)
    rig.archive_all(METRICS)
    rig.client.delete(JOURNAL)
    write(rig, 2, value=7.0)
    write(rig, 3)
    write(rig, 4, 5, value=7.0)
    if trimmed:
        rig.client.xtrim(JOURNAL, maxlen=3, approximate=False)
    rig.archive_all(METRICS)
    values = [1.0, 1.0 if trimmed else 7.0, 1.0, 7.0, 7.0]
    assert [value for (value,) in rig.query("select value from metrics_data order by timestamp")] == values
    assert len(rig.query("select distinct incarnation from archive_range")) == 2
    assert rig.account(METRICS).quarantined == 0
    assert rig.snapshot(METRICS) == []


@pytest.mark.parametrize("last", [2, 3])
def test_another_entry_at_the_end_of_the_range_is_another_journal(rig: Rig, last: int) -> None:
    """Deleted and made anew, with ids that were drained already; it need not be longer than before."""
    write(rig, 1, 2)
    rig.archive_all(METRICS)
    rig.client.delete(JOURNAL)
    write(rig, *range(1, last + 1), value=7.0)
    assert ids(rig.snapshot(METRICS)) == [("0-0", "1", str(last), last)]
    assert [one.replaced for one in rig.load(METRICS)] == [2]
    assert rig.query("select distinct value from metrics_data") == [(7.0,)]
    assert rig.query("select count(distinct incarnation) from archive_range") == [(2,)]


def test_the_entry_at_the_end_is_looked_for_with_all_its_fields(rig: Rig) -> None:
    write(rig, 1)
    fields = entries_at(rig.client, {JOURNAL: EntryId(1000, 0)})[JOURNAL]
    found = digests_at(rig.client, {JOURNAL: EntryId(1000, 0)})[JOURNAL]
    pairs = list(zip(fields[::2], fields[1::2], strict=True))
    assert found == entry_digest(b"1000-0", [part for pair in reversed(pairs) for part in pair])
    assert found != entry_digest(b"1000-0", [*fields[:-1], fields[-1] + b"!"])
    assert found != entry_digest(b"1000-1", fields)
    infos = inspect(rig.client, [JOURNAL])
    for anchor, goes in ((found, True), ("other", False), ("", True)):
        known = {JOURNAL: [EntryRange(7, EntryId(0, 0), EntryId(1000, 0), anchor)]}
        assert (JOURNAL in of_this_incarnation(rig.client, known, infos)) is goes


def test_entries_that_somebody_removed_from_the_end_are_told_once_and_hold_nothing_up(rig: Rig) -> None:
    write(rig, 1)
    rig.archive_all(METRICS)
    write(rig, 2, 3)
    rig.client.xdel(JOURNAL, "3000-0")
    for missing in (1, 0):
        found = rig.snapshot(METRICS)
        assert sum(journal.missing for batch in found for journal in batch.journals) == missing
        rig.load(METRICS)
    assert found == []
    assert undrained(newest_of(rig), inspect(rig.client, [JOURNAL])) == 0
    write(rig, 4)
    (drained,) = rig.snapshot(METRICS)
    assert [(journal.after, journal.count) for journal in drained.journals] == [(str(EntryId(4000, 0).preceding()), 1)]
    rig.load(METRICS)
    assert rig.query("select last_id, entries, added from archive_range order by last_id") == [
        ("1000-0", 1, 1),
        ("2000-0", 1, 3),
        ("4000-0", 1, 4),
    ]
    write(rig, 5)
    assert ids(rig.snapshot(METRICS)) == [("4", "5", "5", 1)]
    rig.load(METRICS)
    assert (rig.account(METRICS).missing, rig.account(METRICS).replayed) == (1, 0)


def test_the_end_that_somebody_removed_after_it_was_archived_is_read_around_once(rig: Rig) -> None:
    """Once another entry follows: then the journal cannot be known again by it, and all of it is read once more."""
    write(rig, 1, 2, 3)
    rig.snapshot(METRICS)
    rig.load(METRICS)
    rig.client.xdel(JOURNAL, "3000-0")
    assert rig.snapshot(METRICS) == []
    write(rig, 4)
    # The journal has had more entries than it holds: the range claims none before the first one that was read.
    # And no range claims what may have lain between two of them.
    drained = [range_ for batch in rig.snapshot(METRICS) for range_ in batch.journals]
    assert [(one.after, one.last) for one in drained] == [
        (str(EntryId(at, 0).preceding()), f"{at}-0") for at in (1000, 2000, 4000)
    ]
    assert [one.replayed for one in rig.load(METRICS)] == [1, 1, 0]
    assert rig.snapshot(METRICS) == []
    assert rig.account(METRICS).missing == 0


def test_entries_that_somebody_removed_from_a_gap_do_not_hold_a_snapshot_up(rig: Rig, away: Path) -> None:
    rig.client.xdel(JOURNAL, "1000-0", "2000-0")
    write(rig, 4)
    assert ids(rig.snapshot(METRICS)) == [("3", "4", "4", 1)]
    rig.load(METRICS)
    assert rig.snapshot(METRICS) == []
    away.rename(Path(rig.intake.uri) / "metrics" / away.name)
    rig.load(METRICS)
    assert rig.query("select count(*) from metrics_data") == [(4,)]


def test_a_journal_read_in_several_blocks_knows_how_many_are_missing(rig: Rig) -> None:
    write(rig, 1)
    rig.archive_all(METRICS)
    write(rig, 2, 3, 4, 5)
    rig.client.xdel(JOURNAL, "3000-0")
    batches = rig.snapshot(METRICS, batch_entries=1, rows_per_pipeline=1)
    assert [journal.missing for batch in batches for journal in batch.journals] == [0, 0, 1]
    assert sum(one.missing for one in rig.load(METRICS)) == 1


def test_an_entry_that_is_deleted_while_a_journal_is_read_in_several_blocks_is_seen_at_once(rig: Rig) -> None:
    """From there on no range says how many had been added, but the last one, which counts what is missing."""
    for second in range(1, 20):
        write(rig, second)
        if second == 1:
            rig.archive_all(METRICS)
    archived = archived_ranges(rig.archive, METRICS, [JOURNAL])
    options: dict[str, Any] = {"earliest": EARLIEST, "archived": archived, "batch_entries": 4, "rows_per_pipeline": 2}
    drained: list[JournalRange] = []
    for batch in snapshot(rig.client, rig.intake, METRICS, **options):
        if not drained:
            rig.client.xdel(JOURNAL, "15000-0")
        drained += batch.journals
    (at,) = [at for at, one in enumerate(drained) if EntryId(15000, 0) in one.entries]
    added = [one.added for one in drained]
    assert [one.missing for one in drained] == [0] * (len(drained) - 1) + [1]
    assert added[0] == 1 + drained[0].count
    assert added[at:] == [None] * (len(drained) - at - 1) + [19]
    assert rig.client.xlen(JOURNAL) == 18


def test_no_range_lies_around_deleted_entries_that_come_back(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries were deleted before they were read, and the live tier goes back to before that; all others are archived."""
    for second in range(1, 9):
        write(rig, second)
    kept = rig.client.dump(JOURNAL)
    rig.client.xdel(JOURNAL, "2000-0", "5000-0", "7000-0")
    drained = [range_ for batch in rig.snapshot(METRICS) for range_ in batch.journals]
    assert [one.count for one in drained] == [1] * 5
    rig.load(METRICS)
    rig.client.restore(JOURNAL, 0, kept, replace=True)  # type: ignore[arg-type]
    rig.trim(METRICS)
    assert rig.client.xlen(JOURNAL) >= 7
    rig.archive_all(METRICS)
    assert rig.query("select count(*) from metrics_data") == [(8,)]
    monkeypatch.setattr(snapshot_module, "MOST_ALONE", 2)
    for second in range(9, 16):
        write(rig, second)
    rig.client.xdel(JOURNAL, "11000-0", "14000-0")
    assert [journal.count for batch in rig.snapshot(METRICS) for journal in batch.journals] == [4, 1]


def test_a_range_does_not_claim_what_was_removed_before_it_was_read(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody trims the journal between the look at it and its reading."""
    write(rig, 1, 2, 3)

    def trimmed(*arguments: Any) -> Any:
        rig.client.xtrim(JOURNAL, minid=3000, approximate=False)
        return drain(*arguments)

    monkeypatch.setattr(snapshot_module, "drain", trimmed)
    (found,) = [journal for batch in rig.snapshot(METRICS) for journal in batch.journals]
    assert (found.first, found.last, found.count) == ("3000-0", "3000-0", 1)
    assert EntryId.parse(found.after) == EntryId(3000, 0).preceding()


@pytest.mark.parametrize("deleted", [(2,), (2, 3)])
def test_a_range_does_not_claim_what_was_deleted_before_it_was_read(rig: Rig, deleted: tuple[int, ...]) -> None:
    write(rig, 1)
    rig.archive_all(METRICS)
    write(rig, 2, 3, 4)
    rig.client.xdel(JOURNAL, *(f"{number * 1000}-0" for number in deleted))
    ranges = [journal for batch in rig.snapshot(METRICS) for journal in batch.journals]
    first = max(deleted) + 1
    assert (ranges[0].first, EntryId.parse(ranges[0].after)) == (f"{first}000-0", EntryId(first * 1000, 0).preceding())
    assert sum(journal.missing for journal in ranges) == len(deleted)


def test_the_range_of_a_journal_that_was_emptied_claims_nothing(rig: Rig) -> None:
    write(rig, 1)
    rig.archive_all(METRICS)
    write(rig, 2, 3)
    rig.client.xtrim(JOURNAL, maxlen=0, approximate=False)
    (vanished,) = [journal for batch in rig.snapshot(METRICS) for journal in batch.journals]
    assert (vanished.after, vanished.last, vanished.count, vanished.missing) == ("3000-0", "3000-0", 0, 2)


def test_a_waiting_batch_that_is_damaged_is_an_error(rig: Rig) -> None:
    """What it accounts for is not known."""
    write(rig, 1)
    (drained,) = rig.snapshot(METRICS)
    Path(drained.file.path).write_bytes(b"x")
    with pytest.raises(IntakeError, match="is damaged"):
        rig.snapshot(METRICS)
