"""Servers that answer late or never: one clear error in bounded time, no hanging run."""

import socket
from collections.abc import Iterator

import pytest

from trading_data.errors import ArchiveTierError, LiveTierError
from trading_data.live.connection import connect, read_memory
from trading_data.live.store import LiveStore
from trading_data_tests.rig import Rig, bar


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_silent_live_tier(silent: int) -> None:
    client = connect(f"redis://127.0.0.1:{silent}/0", timeout=0.2, retries=1)
    with pytest.raises(LiveTierError, match="does not answer"):
        LiveStore(client).record_prices([bar()])
    with pytest.raises(LiveTierError, match="does not answer"):
        read_memory(client, 0.0)
    client.close()


def embedded(rig: Rig) -> bool:
    """Whether the archive is the embedded engine, which is compiled by Emscripten."""
    return "emcc" in rig.query("select version()")[0][0]


def test_a_statement_that_takes_too_long(rig: Rig) -> None:
    if embedded(rig):
        pytest.skip("the embedded engine has no timers, so statement_timeout has no effect there")
    with (
        pytest.raises(ArchiveTierError, match="statement timeout"),
        rig.archive.transaction(statement="200ms") as cursor,
    ):
        cursor.execute("select pg_sleep(20)")
    assert rig.query("select 1") == [(1,)]


def test_a_lock_that_is_not_given(rig: Rig) -> None:
    if embedded(rig):
        pytest.skip("the embedded engine has one session: two transactions never meet")
    with rig.archive.transaction() as holder:
        holder.execute("lock table archive_ledger in access exclusive mode")
        with pytest.raises(ArchiveTierError, match="lock timeout"), rig.archive.transaction(lock="200ms") as cursor:
            cursor.execute("select count(*) from archive_ledger")
