"""The live tier alone, for tests that need no archive: one server, and a cluster of three.

Belongs here: fixtures. Does not: what they give (`examples`, `live.servers`).
"""

from collections.abc import Iterator
from contextlib import closing

import pytest

from trading_data import LiveStore
from trading_data.settings import Settings
from trading_data_tests.live.servers import Cluster, Node, folder
from trading_data_tests.live.state.examples import Tier


@pytest.fixture
def tier(servers: Settings) -> Iterator[Tier]:
    """On the session's server, empty."""
    with closing(LiveStore.from_url(servers.require_redis_url())) as store:
        made = Tier(store)
        made.client.flushdb()
        yield made


@pytest.fixture
def small() -> Iterator[Node]:
    """A server of the test's own, to be filled."""
    with folder() as path, closing(Node(path, "--appendonly", "no")) as node:
        yield node


@pytest.fixture(scope="package")
def three() -> Iterator[Cluster]:
    """A cluster, for tests that leave it as it was but for its keys."""
    with folder() as path, closing(Cluster(path)) as cluster:
        for node in cluster.nodes:
            node.client.config_set("appendfsync", "no")
        yield cluster


@pytest.fixture
def cluster(three: Cluster) -> Iterator[Tier]:
    """In the cluster, empty."""
    for node in three.nodes:
        node.client.flushall()
    with closing(LiveStore.from_url(three.url)) as store:
        yield Tier(store)


@pytest.fixture(params=["server", "cluster"])
def either(request: pytest.FixtureRequest) -> Tier:
    """On one server, and in the cluster."""
    made: Tier = request.getfixturevalue("tier" if request.param == "server" else "cluster")
    return made
