"""What the tests of this folder share: backups that begin at once, a full rig and a backup of it, and a Dagster instance.

Belongs here: fixtures. Does not: helpers (`states`).
"""

from collections.abc import Iterator

import dagster as dg
import pytest

from trading_data.archive.schema.migrate import migrate
from trading_data.settings import BACKUP_URI
from trading_data_tests.operations.backup.states import at_once
from trading_data_tests.rig import Rig


@pytest.fixture(scope="package")
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance with storage of its own."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def quick(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """The rig, whose live tier does not wait for more replicas before it sends a snapshot."""
    monkeypatch.setenv(BACKUP_URI, rig.settings.backup_uri)
    with at_once(rig.client):
        yield rig
    migrate(rig.archive)  # what a restore that failed half-way has left is not the next test's trouble
