"""A live tier of the tests' own, which they may misconfigure.

Belongs here: fixtures. Does not: tests.
"""

from collections.abc import Iterator
from contextlib import closing

import pytest

from trading_data_tests.live.servers import Node, folder


@pytest.fixture(scope="package")
def own() -> Iterator[Node]:
    """A server with a memory limit, as declared otherwise."""
    with folder() as path, closing(Node(path, "--maxmemory", "100mb")) as node:
        yield node
