"""A server of the tests' own, which they may kill, stop, fill and flush; one a module, empty for each test.

Belongs here: fixtures. Does not: how servers are started (`servers`).
"""

from collections.abc import Iterator
from contextlib import closing

import pytest

from trading_data import LiveStore
from trading_data_tests.live.servers import Node, folder


@pytest.fixture(scope="module")
def running() -> Iterator[Node]:
    with folder() as path, closing(Node(path)) as node:
        yield node


@pytest.fixture
def server(running: Node) -> Node:
    """Running, and empty."""
    if running.process is None:
        running.start()
    running.client.flushall()
    return running


@pytest.fixture
def store(server: Node) -> Iterator[LiveStore]:
    with closing(LiveStore.from_url(server.url)) as made:
        yield made
