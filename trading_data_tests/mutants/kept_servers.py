"""A plugin for `pytest -p`: the tests use the servers of one home and leave them running, so that a run starts in a second.

Belongs here: pointing a pytest process at these servers, and proving that it tests the copy. Does not: starting them for the
first time and stopping them (`workbench`).
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

import trading_data
from trading_data.local.servers import Stack
from trading_data.settings import Settings
from trading_data_tests import conftest

HOME = "TRADING_DATA_MUTANTS_HOME"
"""The environment variable that names the home of the servers."""
_NO_DAGSTER = "postgresql://127.0.0.1:1/none"
"""Nothing on the load path needs Dagster's storage, so that no server is started for it."""


def settings_in(home: Path) -> Settings:
    """The settings of servers in a home, whatever servers URLs name."""
    given = replace(Settings.from_env(), redis_url=None, timescale_url=None, dagster_url=_NO_DAGSTER)
    return replace(given, home=home, intake_uri=str(home / "intake"))


class KeptStack(Stack):
    """Servers that are not stopped when a pytest process ends."""

    def stop(self) -> None:
        """Leave them running."""


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Take the place of the servers that the tests would start for themselves."""
    if not Path(trading_data.__file__).is_relative_to(config.rootpath):
        pytest.exit(f"{trading_data.__file__} is not the package in {config.rootpath}", returncode=4)
    servers = conftest.Servers()
    servers.stack = KeptStack(settings_in(Path(os.environ[HOME])))
    config.stash[conftest._KEY] = servers
