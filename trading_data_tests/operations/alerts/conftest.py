"""An instance of Dagster and a webhook that the settings name, for tests of the sensor."""

from collections.abc import Iterator

import dagster as dg
import pytest

from trading_data.operations.alerts.state import StorageMemory
from trading_data_tests.operations.alerts.receivers import Hook, hook
from trading_data_tests.rig import local_instance


@pytest.fixture(scope="module")
def one_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """Making one costs more than most of the tests."""
    with local_instance(tmp_path_factory.mktemp("dagster")) as made:
        yield made


@pytest.fixture
def instance(one_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """An instance that knows of nothing."""
    one_instance.wipe()
    one_instance.wipe_daemon_heartbeats()
    StorageMemory(one_instance.daemon_cursor_storage).save("")
    return one_instance


@pytest.fixture(autouse=True)
def no_backup_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rig has none; the test about backups asks for them."""
    monkeypatch.setattr("trading_data.operations.backup.metrics.BACKUPS", ())


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    """A webhook that the settings name."""
    with hook() as made:
        monkeypatch.setenv("TRADING_DATA_ALERT_WEBHOOK", made.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield made
