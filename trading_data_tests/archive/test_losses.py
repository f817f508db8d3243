"""Losses are found from ranges and counts, reported once with their number, until they are back or acknowledged."""

import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from trading_data.archive.trim import trim_drained
from trading_data.archive.verify.losses import acknowledge, find_confirmed_losses, find_losses
from trading_data.archive.verify.lost import Losses, acknowledge_command
from trading_data.archive.verify.run import verify
from trading_data.cli.main import group
from trading_data.datasets import METRICS, PRICE
from trading_data.datasets.declaration import Dataset
from trading_data.errors import IntakeError
from trading_data.intake.store import Intake
from trading_data_tests.rig import Rig, bar, measurement

A, JOURNAL = "journal:price:A", "journal:metrics"


def lost(rig: Rig, dataset: Dataset = METRICS) -> Losses:
    return find_confirmed_losses(rig.client, rig.archive, rig.intake, dataset)


def gaps_and_missing(rig: Rig, dataset: Dataset = METRICS) -> tuple[int, dict[str, int]]:
    """The number of gaps, and the number of missing entries by journal."""
    losses = lost(rig, dataset)
    assert not losses.nowhere
    return len(losses.gaps), dict(losses.missing)


def faults(rig: Rig) -> list[tuple[str, str]]:
    return [(result.message, result.command) for result in verify(rig.client, rig.archive, rig.intake) if not result.ok]


def run(command: str) -> Result:
    """Run a command as it is printed."""
    program, *words = shlex.split(command)
    assert program == "trading-data"
    return CliRunner().invoke(group, words)


def record(rig: Rig, *minutes: int) -> None:
    rig.store.record_metrics([measurement(minute=minute) for minute in minutes])


def trimmed_by_somebody(rig: Rig, *minutes: int) -> None:
    """Record entries of these minutes, of which only the last remains when they are drained and archived."""
    record(rig, *minutes)
    rig.client.xtrim(JOURNAL, maxlen=1, approximate=False)
    rig.archive_all(METRICS)


def emergency(rig: Rig) -> tuple[Path, Path]:
    """An archived entry, then two batches of two entries that only the intake holds."""
    record(rig, 0)
    rig.archive_all(METRICS)
    files = []
    for minutes in ((1, 2), (3, 4)):
        record(rig, *minutes)
        (drained,) = rig.snapshot(METRICS)
        files.append(Path(drained.file.path))
    assert trim_drained(rig.client, rig.intake, METRICS).removed == 4
    return files[0], files[1]


def spoil(path: Path) -> bytes:
    """Flip a byte; returns the original bytes."""
    original = path.read_bytes()
    path.write_bytes(original[:200] + bytes([original[200] ^ 1]) + original[201:])
    return original


def test_a_look_reads_no_entry_while_nothing_is_lost(rig: Rig) -> None:
    client: Any = rig.client
    for minute in range(3):
        rig.store.record_prices([bar(symbol, minute) for symbol in "ABCDE"])
        rig.archive_all(PRICE)
    rig.store.record_prices([bar(symbol, 3) for symbol in "ABCDE"])
    rig.snapshot(PRICE)
    rig.store.record_prices([bar(symbol, 4) for symbol in "ABC"])
    client.config_resetstat()
    assert not find_losses(rig.client, rig.archive, rig.intake, PRICE)
    calls = {name: stats["calls"] for name, stats in client.info("commandstats").items()}
    assert calls["cmdstat_xinfo|stream"] == 5
    assert "cmdstat_xrange" not in calls


def test_entries_that_somebody_trimmed_are_told_once_with_their_number_until_acknowledged(rig: Rig) -> None:
    record(rig, 0)
    rig.archive_all(METRICS)
    trimmed_by_somebody(rig, 1, 2, 3, 4)
    for _ in range(2):
        assert (lost(rig).missing, lost(rig).least) == ({JOURNAL: 3}, 3)
        ((message, command),) = faults(rig)
        assert "3 entries" in message
        assert JOURNAL in message
        record(rig, 5)
        rig.archive_all(METRICS)
    done = run(command)
    assert (done.exit_code, "3 entries, from journal:metrics (3)" in done.output) == (0, True)
    assert faults(rig) == []
    kept = rig.query("select distinct reason from archive_acknowledged where dataset = 'metrics'")
    assert kept == [("looked into",)]
    trimmed_by_somebody(rig, 6, 7, 8)
    assert lost(rig).missing == {JOURNAL: 2}
    assert run(command).exit_code == 0
    assert not lost(rig)


def test_what_the_next_snapshot_will_note_is_told_and_cannot_be_acknowledged_yet(rig: Rig) -> None:
    record(rig, 0)
    rig.archive_all(METRICS)
    record(rig, 1, 2, 3)
    rig.client.xtrim(JOURNAL, maxlen=1, approximate=False)
    assert (lost(rig).nowhere, lost(rig).missing) == ({JOURNAL: 2}, {})
    done = run(acknowledge_command(METRICS))
    assert done.exit_code == 1
    assert done.output.startswith("there is nothing to acknowledge of metrics: 2 entries are lost")
    assert len(done.output.splitlines()) == 1
    assert rig.query("select count(*) from archive_acknowledged") == [(0,)]
    rig.archive_all(METRICS)
    assert (lost(rig).nowhere, lost(rig).missing) == ({}, {JOURNAL: 2})


def test_the_command_by_which_the_next_run_notes_what_is_missing(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    record(rig, 0)
    rig.archive_all(METRICS)
    record(rig, 1, 2, 3)
    rig.client.xtrim(JOURNAL, maxlen=1, approximate=False)
    ((message, command),) = faults(rig)
    assert "2 entries are lost" in message
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "DAGSTER_HOME": str(tmp_path)}
    subprocess.run(command, shell=True, env=environment, check=True, capture_output=True)  # as it is printed
    assert (lost(rig).nowhere, lost(rig).missing) == ({}, {JOURNAL: 2})


def test_nothing_to_acknowledge_and_wrong_usage(rig: Rig) -> None:
    done = run("trading-data verify --acknowledge trades --reason 'none'")
    assert (done.exit_code, done.output) == (1, "there is nothing to acknowledge of trade, nothing is lost\n")
    for wrong in (
        "--acknowledge prices",
        "--acknowledge prices --reason ' '",
        "--reason x",
        "--acknowledge bonds --reason x",
        "--acknowledge prices --reason x --deep",
    ):
        assert run(f"trading-data verify {wrong}").exit_code == 2, wrong


def test_an_entry_that_was_deleted_out_of_the_middle_is_missed_by_count(rig: Rig) -> None:
    record(rig, 0)
    rig.archive_all(METRICS)
    ids = rig.store.record_metrics([measurement(minute=minute) for minute in range(1, 6)])
    rig.client.xdel(JOURNAL, *ids[1:3])
    ((message, _),) = faults(rig)
    assert "2 entries are lost" in message
    rig.archive_all(METRICS)
    assert gaps_and_missing(rig) == (2, {JOURNAL: 2})  # which of the two gaps held them is not known


def test_a_batch_that_waits_and_overlaps_what_is_archived_hides_no_gap(rig: Rig, tmp_path: Path) -> None:
    """Its entries are counted twice until it is loaded; that must not hide a lost one."""
    for second in (1, 2):
        rig.entry_at(JOURNAL, f"{second}000-0", measurement(minute=second))
        if second == 1:
            rig.archive_all(METRICS)
    rig.client.xdel(JOURNAL, "2000-0")
    for second in range(4, 9):
        rig.entry_at(JOURNAL, f"{second}000-0", measurement(minute=second))
    (drained, *more) = rig.snapshot(METRICS)
    assert more == []
    away = Path(shutil.move(drained.file.path, tmp_path / "away"))
    rig.client.xdel(JOURNAL, "5000-0", "7000-0")
    rig.archive_all(METRICS)
    assert lost(rig).missing == {JOURNAL: 3}
    shutil.move(away, drained.file.path)
    assert lost(rig).gaps != ()
    rig.load(METRICS)
    assert gaps_and_missing(rig) == (1, {JOURNAL: 1})
    assert rig.query("select count(*) from metrics_data") == [(6,)]


@pytest.mark.parametrize("drained", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_a_batch_that_is_away_is_told_until_it_is_back(rig: Rig, tmp_path: Path, first: bool, drained: bool) -> None:
    here, there = emergency(rig)
    moved = here if first else there
    assert not lost(rig)
    away = Path(shutil.move(moved, tmp_path / "away"))
    assert lost(rig).least == 2 if first else lost(rig).nowhere == {JOURNAL: 1}
    rig.load(METRICS)
    if drained:
        rig.archive_all(METRICS)
    assert lost(rig)
    shutil.move(away, moved)
    assert not lost(rig)
    rig.archive_all(METRICS)
    assert not lost(rig)
    assert rig.query("select count(*) from metrics_data") == [(5,)]


def test_what_was_acknowledged_of_a_batch_that_came_back_hides_no_later_loss(rig: Rig, tmp_path: Path) -> None:
    here, _ = emergency(rig)
    away = Path(shutil.move(here, tmp_path / "away"))
    rig.archive_all(METRICS)
    assert gaps_and_missing(rig) == (1, {JOURNAL: 2})
    ((_, command),) = faults(rig)
    assert run(command).exit_code == 0
    assert faults(rig) == []
    shutil.move(away, here)
    rig.archive_all(METRICS)
    assert not lost(rig)
    trimmed_by_somebody(rig, 5, 6, 7)
    assert lost(rig).missing == {JOURNAL: 2}


def test_one_gap_is_acknowledged_and_another_is_not(rig: Rig) -> None:
    record(rig, 0)
    rig.archive_all(METRICS)
    trimmed_by_somebody(rig, 1, 2, 3)
    assert acknowledge(rig.client, rig.archive, rig.intake, METRICS, "known").missing == {JOURNAL: 2}
    trimmed_by_somebody(rig, 4, 5)
    assert lost(rig).missing == {JOURNAL: 1}
    assert len(lost(rig).gaps) <= 1


def test_a_journal_that_lost_entries_before_the_archive_ever_saw_it(rig: Rig) -> None:
    """The archive was created again, or restored to a moment before this journal: trimmed entries are lost."""
    record(rig, 0, 1, 2, 3)
    rig.client.xtrim(JOURNAL, maxlen=1, approximate=False)
    assert lost(rig).missing == {JOURNAL: 3}
    rig.archive_all(METRICS)
    assert lost(rig).missing == {JOURNAL: 3}
    assert run(acknowledge_command(METRICS)).exit_code == 0
    assert not lost(rig)


def test_a_journal_of_several_incarnations_tells_what_its_batches_noted(rig: Rig) -> None:
    rig.entry_at(JOURNAL, "5000-0", measurement(minute=0))
    rig.archive_all(METRICS)
    rig.client.delete(JOURNAL)
    rig.entry_at(JOURNAL, "3000-0", measurement(minute=1))
    rig.archive_all(METRICS)
    assert not lost(rig)
    for minute in (2, 4):
        record(rig, minute, minute + 1)
        rig.client.xtrim(JOURNAL, maxlen=0, approximate=False)
        rig.archive_all(METRICS)
        assert lost(rig).missing == {JOURNAL: 2}
        assert run(acknowledge_command(METRICS)).exit_code == 0
        assert not lost(rig)


@pytest.mark.parametrize("by_somebody", [False, True])
def test_the_beginning_of_another_incarnation(rig: Rig, by_somebody: bool) -> None:
    """Trimmed entries count as lost only if no older incarnation had them."""
    for second in (1, 2, 3):
        rig.entry_at(JOURNAL, f"{second}000-0", measurement(minute=second))
    rig.archive_all(METRICS)
    rig.client.delete(JOURNAL)
    for second in (4, 5) if by_somebody else (2, 3):
        rig.entry_at(JOURNAL, f"{second}000-0", measurement(minute=second, value=7.0))
    if by_somebody:
        rig.client.xtrim(JOURNAL, maxlen=1, approximate=False)
    rig.archive_all(METRICS)
    rig.store.record_metrics([measurement(minute=9)])
    rig.archive_all(METRICS)
    gaps = [f"{gap.after} {gap.upto}" for gap in lost(rig).gaps]
    assert gaps == ([f"3000-0 {4999}-{2**64 - 1}"] if by_somebody else [])
    assert lost(rig).least == len(gaps)
    if by_somebody:
        assert run(acknowledge_command(METRICS)).exit_code == 0
        assert not lost(rig)


def test_a_journal_with_a_very_long_name_that_was_trimmed_has_lost_nothing(rig: Rig) -> None:
    long = "journal:price:" + "x" * 6000
    for _ in range(3):
        rig.entry(long, {"timestamp": "2026-11-20T15:00:00Z", "open": "1"})
    rig.archive_all(PRICE)
    assert rig.client.xlen(long) == 1
    assert not lost(rig, PRICE)


def test_only_what_a_second_look_confirms_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    emergency(rig)
    asked = Intake.pending
    looks: Iterator[int] = iter(range(9))

    def pending(self: Intake, dataset: str) -> Any:
        return [] if next(looks) == 0 else asked(self, dataset)

    monkeypatch.setattr(Intake, "pending", pending)
    assert not lost(rig)
    assert next(looks) == 2


def test_nothing_is_told_while_entries_move(rig: Rig) -> None:
    stop = threading.Event()
    wrong: list[Losses] = []

    def look() -> None:
        other = Rig(rig.settings)
        while not stop.is_set():
            if losses := find_confirmed_losses(other.client, other.archive, other.intake, PRICE):
                wrong.append(losses)
        other.close()

    thread = threading.Thread(target=look)
    thread.start()
    for minute in range(12):
        rig.store.record_prices([bar("A", minute), bar("B", minute)])
        rig.snapshot(PRICE, batch_entries=1)
        rig.load(PRICE)
        rig.trim(PRICE)
    stop.set()
    thread.join()
    assert wrong == []


def test_the_command_for_a_damaged_batch_loses_nothing_that_its_journal_still_holds(rig: Rig) -> None:
    record(rig, 0, 1)
    rig.snapshot(METRICS)
    record(rig, 2)
    rig.snapshot(METRICS)
    path = Path(rig.intake.pending("metrics")[0].path)
    spoil(path)
    ((message, command),) = faults(rig)
    assert f"Without one, run `{command}`" in message
    assert not lost(rig)
    subprocess.run(command, shell=True, check=True)  # as it is printed
    assert [entry.name for entry in path.parent.joinpath("damaged").iterdir()] == [path.name]
    rig.archive_all(METRICS)
    assert faults(rig) == []
    assert rig.query("select count(*) from metrics_data") == [(3,)]


def test_the_command_for_a_damaged_batch_whose_journal_is_trimmed(rig: Rig) -> None:
    """`verify` reports the lost range until the batch is back."""
    path, _ = emergency(rig)
    original = spoil(path)
    with pytest.raises(IntakeError, match="is damaged"):
        acknowledge(rig.client, rig.archive, rig.intake, METRICS, "looked into")
    assert run(acknowledge_command(METRICS)).exit_code == 1
    results = faults(rig)
    (command,) = {command for _, command in results if command.startswith("mkdir")}
    subprocess.run(command, shell=True, check=True)  # as it is printed
    for _ in range(2):
        rig.archive_all(METRICS)
        ((message, _),) = faults(rig)
        assert message.startswith(
            "1 range of entries (2 entries) is neither archived, nor in a readable batch of the intake"
        )
        assert f"{JOURNAL} after " in message
    path.write_bytes(original)  # repaired, and put back
    rig.archive_all(METRICS)
    assert faults(rig) == []
    assert rig.query("select count(*) from metrics_data") == [(5,)]


@pytest.mark.parametrize("folder", ["in take", "in'take"])
def test_the_command_for_a_damaged_batch_under_a_folder_with_any_name(rig: Rig, tmp_path: Path, folder: str) -> None:
    rig.intake = Intake(str(tmp_path / folder))
    record(rig, 0)
    (drained,) = rig.snapshot(METRICS)
    subprocess.run(rig.intake.set_aside_command(drained.file), shell=True, check=True)
    assert rig.intake.pending("metrics") == []


def test_the_command_for_a_damaged_batch_that_is_not_on_a_disk(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.intake = Intake("memory://an intake")
    record(rig, 0)
    (drained,) = rig.snapshot(METRICS)
    program, option, code, *words = shlex.split(rig.intake.set_aside_command(drained.file))
    assert (program, option) == ("python", "-c")
    monkeypatch.setattr("sys.argv", ["-c", *words])
    exec(code, {})
    assert rig.intake.pending("metrics") == []
    assert [path.rpartition("/")[2] for path in rig.intake.paths("metrics/damaged")] == [drained.file.name]
