"""Dagster's storage keeps its connections open: opening them cost more than the queries sent over them."""

from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import ConfigurableClassData
from sqlalchemy.pool import QueuePool

from trading_data.orchestration.storage import KeptConnections

ROOT = Path(__file__).resolve().parents[2]
URL = "postgresql+psycopg2://nobody@127.0.0.1:1/dagster"


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeptConnections:
    """The storage that `dagster.yaml` names, told to create no tables, so that it opens no connection."""
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", URL)
    (tmp_path / "dagster.yaml").write_text((ROOT / "trading_data" / "dagster.yaml").read_text())
    data = InstanceRef.from_dir(str(tmp_path)).storage_data
    assert data is not None
    config = yaml.safe_load(data.config_yaml) | {"should_autocreate_tables": False}
    made = ConfigurableClassData(data.module_name, data.class_name, yaml.safe_dump(config)).rehydrate(KeptConnections)
    assert made is not None
    return made


def test_dagster_yaml_names_a_storage_that_keeps_connections(storage: KeptConnections) -> None:
    assert storage.postgres_url == URL
    kept = (storage.run_storage, storage.event_log_storage, storage.schedule_storage)
    engines: list[sa.Engine] = [vars(storage)["_engine"] for storage in kept]
    assert [type(engine.pool) for engine in engines] == [QueuePool] * 3


def test_a_home_of_an_earlier_release_names_the_same_storage() -> None:
    """Such a home keeps its `dagster.yaml` until `up` writes it anew, and commands open Dagster's instance by it."""
    custom = yaml.safe_load((ROOT / "trading_data" / "dagster.yaml").read_text())["storage"]["custom"]
    assert (custom["module"], custom["class"]) == ("trading_data.orchestration.storage", "KeptConnections")
