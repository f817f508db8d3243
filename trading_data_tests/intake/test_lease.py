"""Only the holder of the lease writes batches, and a lease that ran out is noticed before anything more is written."""

from collections.abc import Callable
from typing import Any

import pytest

from trading_data.datasets import METRICS
from trading_data.errors import LiveTierError
from trading_data.intake import lease as lease_module
from trading_data.intake import snapshot as snapshot_module
from trading_data.intake.drain import drain
from trading_data.intake.lease import lease
from trading_data.live.journal import server_ms
from trading_data.live.keys import lease as lease_key
from trading_data_tests.rig import Rig, measurement

KEY = lease_key("metrics")


def after_reading(happens: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Something that happens once, after the first block was read and before it is written."""

    def blocks(*arguments: Any) -> Any:
        for at, block in enumerate(drain(*arguments)):
            if at == 0:
                happens()
            yield block

    monkeypatch.setattr(snapshot_module, "drain", blocks)


def another_process(rig: Rig) -> None:
    """The lease has run out, and another process has taken it."""
    rig.client.set(KEY, f"{2**52} somebody else")


def test_a_lease_that_was_lost_while_reading_leaves_no_batch(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.store.record_metrics([measurement(minute=minute) for minute in range(3)])
    after_reading(lambda: another_process(rig), monkeypatch)
    with pytest.raises(LiveTierError, match="the lease on the metrics journals expired"):
        rig.snapshot(METRICS)
    assert rig.intake.pending("metrics") == []
    assert rig.client.get(KEY) == f"{2**52} somebody else".encode()  # not given back by the one who lost it
    rig.client.delete(KEY)
    monkeypatch.undo()
    assert [one.rows for one in rig.snapshot(METRICS)] == [3]


def test_two_processes_that_read_the_same_write_it_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one drains while the first has read and stands still; whoever lost the lease writes nothing."""
    rig.store.record_metrics([measurement(minute=minute) for minute in range(3)])

    def overtaken() -> None:
        rig.client.delete(KEY)
        monkeypatch.undo()
        other = Rig(rig.settings)
        assert [one.rows for one in other.snapshot(METRICS)] == [3]
        other.close()

    after_reading(overtaken, monkeypatch)
    with pytest.raises(LiveTierError, match="the lease on the metrics journals expired"):
        rig.snapshot(METRICS)
    assert len(rig.intake.pending("metrics")) == 1
    rig.load(METRICS)
    account = rig.account(METRICS)
    assert (account.accepted, account.offered) == (3, 3)


def test_a_lease_by_a_clock_that_was_ahead_holds_nobody_up(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its holder was killed, and the server it is on now is behind the one that granted it."""
    monkeypatch.setattr(lease_module, "PATIENCE_SECONDS", 0)
    rig.store.record_metrics([measurement()])
    rig.client.set(KEY, f"{server_ms(rig.client) + 3_600_000} somebody")
    assert [one.rows for one in rig.snapshot(METRICS)] == [1]


def test_a_batch_takes_the_lease_for_another_while(rig: Rig) -> None:
    with lease(rig.client, METRICS) as still_ours:
        taken = rig.client.get(KEY)
        still_ours()
        again = rig.client.get(KEY)
    assert isinstance(taken, bytes)
    assert isinstance(again, bytes)
    assert taken.split()[1] == again.split()[1]
    assert int(taken.split()[0]) <= int(again.split()[0])
    assert rig.client.get(KEY) is None


def test_what_was_not_written_is_not_noted(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the archive is away the note says what is drained, so that it never comes before the batch."""
    rig.store.record_metrics([measurement()])

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("trading_data.intake.store._write_aside", full)
    with pytest.raises(Exception, match="cannot store a batch"):
        rig.snapshot(METRICS)
    assert rig.client.hgetall("archive:drained:metrics") == {}
