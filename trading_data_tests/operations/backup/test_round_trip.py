"""Everything comes back, in whatever state it was, and the system goes on as if nothing had happened."""

import stat
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trading_data.cli.main import group
from trading_data.datasets import PRICE
from trading_data.operations.backup.manifest import backups
from trading_data_tests.operations.backup.states import (
    accept_and_archive,
    faults,
    fill_everything,
    picture,
    restored,
    taken,
    wipe,
)
from trading_data_tests.rig import Rig, bar

NAMES = ("backup-20261120T120000Z-ffffff", "backup-20261120T120000Z-000000")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, arguments)


def test_all_comes_back_by_the_commands(quick: Rig) -> None:
    fill_everything(quick)
    before = picture(quick)
    assert before["tables"]["archive_quarantine"]
    assert before["tables"]["archive_revision"]
    assert before["intake"]["price"]
    done = run("backup")
    assert done.exit_code == 0, done.output
    (backup,) = backups(quick.settings.backup_uri)
    assert backup.manifest is not None
    assert f"{backup.name} is undamaged" in run("backup", "--verify", backup.name).output
    assert "not drilled" in run("backup", "--list").output
    folder = Path(backup.uri) / backup.name
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    wipe(quick)
    back = run("restore", "--latest")
    assert back.exit_code == 0, back.output
    assert "is restored and equal" in back.output
    assert picture(quick) == before
    assert faults(quick) == []
    accept_and_archive(quick)
    assert faults(quick) == []
    assert run("restore").exit_code == 2
    again = run("restore", "--latest")
    assert isinstance(again.exception, Exception)
    assert "is not empty" in str(again.exception)
    over = restored(quick, backup, into_non_empty=True)
    assert over.batches == 1
    assert picture(quick) == before


def test_nothing_is_lost_though_all_goes_on_meanwhile(quick: Rig) -> None:
    """A feed writes and archiving runs while the backup is taken: what was accepted before it is there after it."""
    over = threading.Event()
    written = [0]

    def feed() -> None:
        while not over.is_set():
            quick.store.record_prices([bar("A", written[0]), bar("B", written[0])])
            written[0] += 1
            over.wait(0.005)

    other = Rig(quick.settings)

    def archive() -> None:
        while not over.is_set():
            other.snapshot(PRICE)
            over.wait(0.05)
            other.load(PRICE)
            other.trim(PRICE)

    threads = [threading.Thread(target=one) for one in (feed, archive)]
    for thread in threads:
        thread.start()
    over.wait(0.3)
    before = written[0]
    try:
        backup = taken(quick)
    finally:
        over.set()
        for thread in threads:
            thread.join()
        other.close()
    assert before < written[0]
    wipe(quick)
    restored(quick, backup)
    quick.archive_all(PRICE)
    quick.archive_all(PRICE)
    assert faults(quick) == []
    (rows,) = quick.query("select count(*), count(distinct timestamp) from price_data where symbol = 'A'")
    assert rows[0] == rows[1] >= before


@pytest.mark.parametrize("tier", ["redis", "timescale"])
def test_one_tier_alone(quick: Rig, tier: str) -> None:
    fill_everything(quick, days=(0,), minutes=5)
    before = picture(quick)
    backup = taken(quick)
    if tier == "redis":
        quick.client.flushdb()
    else:
        for dataset in quick.datasets.values():
            with quick.archive.transaction() as cursor:
                cursor.execute(f"truncate {dataset.table}")
    done = restored(quick, backup, tier=tier, into_non_empty=True)
    assert (done.keys == 0) == (tier == "timescale")
    assert picture(quick) == before


def test_of_two_backups_of_one_second_the_newer_one_stays(quick: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their names differ only in what is random."""
    monkeypatch.setattr("trading_data.operations.backup.create.taken_now", iter(NAMES).__next__)
    for _ in NAMES:
        assert run("backup").exit_code == 0
    assert [backup.name for backup in backups(quick.settings.backup_uri)] == [NAMES[-1]]
