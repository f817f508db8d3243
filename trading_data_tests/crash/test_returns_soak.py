"""A short soak with returns, four times as long with TRADING_DATA_TEST_FULL=1.

The long one is `python -m trading_data_tests.crash.returns_soak --minutes 20`.
"""

import os
import shutil
from pathlib import Path

from trading_data.archive.verify.run import verify
from trading_data.datasets import METRICS
from trading_data.settings import TIMESCALE_URL
from trading_data_tests.crash.returns_soak import soak
from trading_data_tests.rig import Rig, measurement

SEED = 20261127
SECONDS, EVERY = (60.0, 15.0) if os.environ.get("TRADING_DATA_TEST_FULL") else (15.0, 5.0)
"""How long it goes on, and seconds between two failovers, or two backups; it goes on until it has seen one of each."""
NATIVE = bool(os.environ.get(TIMESCALE_URL))
"""As the environment says before a test changes it."""


def test_some_returns_balance(rig: Rig) -> None:
    outcome = soak(rig.settings, native=NATIVE, seed=SEED, seconds=SECONDS, every=EVERY, hot=60, pause=0.1)
    print(outcome)
    assert outcome.wrong == []
    assert outcome.expected == outcome.accounted
    assert outcome.failovers.total() > 0
    assert outcome.restores > 0
    assert outcome.cycles > 0


def test_what_could_not_be_ordered_and_comes_again_with_its_batch_is_counted_once(rig: Rig, tmp_path: Path) -> None:
    """Its batch was away when the journal went back, so it was read under the new incarnation first; a soak found this."""
    rig.entry_at("journal:metrics", "1000-0", measurement(value=1.0))
    (first,) = rig.snapshot(METRICS)
    rig.entry_at("journal:metrics", "2000-0", measurement(value=2.0))
    rig.snapshot(METRICS)
    away = shutil.move(first.file.path, tmp_path / "away")
    rig.load(METRICS)
    rig.client.delete("journal:metrics")
    rig.entry_at("journal:metrics", "1000-0", measurement(value=1.0))
    rig.entry_at("journal:metrics", "1500-0", measurement(minute=1, value=3.0))
    rig.archive_all(METRICS)
    assert [kind for (kind,) in rig.query("select kind from archive_quarantine")] == ["cannot be ordered"]
    shutil.move(away, first.file.path)
    rig.archive_all(METRICS)
    account = rig.account(METRICS)
    assert (account.accepted, account.inserted, account.quarantined, account.replayed) == (3, 2, 1, 1)
    assert rig.query("select count(*) from archive_revision") == [(0,)]
    assert [one.message for one in verify(rig.client, rig.archive, rig.intake) if not one.ok] == []
