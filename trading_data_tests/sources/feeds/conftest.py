"""Fixtures of the feeds' tests: one server a module, empty and without a limit for each test."""

from collections.abc import Iterator

import pytest
import redis

from trading_data.live.store import LiveStore
from trading_data_tests.sources.feeds.servers import Reader, Server


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("valkey"))
    yield server
    server.kill()


@pytest.fixture
def server(valkey: Server) -> Server:
    """The server, running, empty, without a memory limit."""
    if valkey.process is None:
        valkey.start()
    client = redis.Redis(port=valkey.port)
    # At once, because a test that sets a limit reads first how much memory is used.
    client.execute_command("FLUSHALL", "SYNC")  # type: ignore[no-untyped-call]
    client.config_set("maxmemory", "0")
    client.close()
    return valkey


@pytest.fixture
def store(server: Server) -> Iterator[LiveStore]:
    store = LiveStore.from_url(server.url)
    yield store
    store.close()


@pytest.fixture
def reader(server: Server) -> Iterator[Reader]:
    reader = Reader(server)
    yield reader
    reader.client.close()
