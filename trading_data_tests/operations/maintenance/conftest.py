"""One Dagster instance for all tests of this folder: making one costs more than most of them.

Belongs here: the fixture. Does not: helpers (`ages`).
"""

from collections.abc import Iterator

import dagster as dg
import pytest

from trading_data_tests.rig import local_instance


@pytest.fixture(scope="package")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """An instance with storage of its own; nothing in it is switched by hand when a test begins."""
    with local_instance(tmp_path_factory.mktemp("dagster")) as made:
        yield made
