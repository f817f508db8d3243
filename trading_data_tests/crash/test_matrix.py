"""SIGKILL at every step boundary; then the path is run again, and all is as if nothing had happened."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from trading_data.archive.database import Archive
from trading_data.archive.migrate import migrate
from trading_data.kill_points import POINTS, VARIABLE
from trading_data.live.keys import lease
from trading_data.services.stack import Stack
from trading_data.settings import INTAKE_URI, REDIS_URL, TIMESCALE_URL, Settings
from trading_data_tests.crash.cycle import cycle
from trading_data_tests.crash.story import picture, trimmed_early, unbalanced, write
from trading_data_tests.rig import Rig

ROOT = Path(__file__).resolve().parents[2]


def run_cycle(rig: Rig, kill_at: str) -> subprocess.CompletedProcess[str]:
    settings = rig.settings
    env = {
        **os.environ,
        REDIS_URL: settings.require_redis_url(),
        TIMESCALE_URL: settings.require_timescale_url(),
        INTAKE_URI: settings.intake_uri,
        VARIABLE: kill_at,
    }
    command = [sys.executable, "-m", "trading_data_tests.crash.cycle"]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    """The picture after three undisturbed chapters; filled by the first test that needs it."""
    return {}


def expected(rig: Rig, undisturbed: dict[str, Any]) -> dict[str, Any]:
    if not undisturbed:
        for chapter in range(3):
            write(rig, chapter)
            cycle(rig)
        assert unbalanced(rig) == []
        undisturbed.update(picture(rig))
        rig.clean()
    return undisturbed


@pytest.mark.parametrize("times", [1, 3, 5] if os.environ.get("TRADING_DATA_TEST_FULL") else [1])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at(rig: Rig, undisturbed: dict[str, Any], point: str, times: int) -> None:
    wanted = expected(rig, undisturbed)
    write(rig, 0)
    cycle(rig)
    write(rig, 1)
    killed = run_cycle(rig, f"{point}:{times}")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert trimmed_early(rig) == []
    forget_leases(rig)
    write(rig, 2)
    cycle(rig)
    assert unbalanced(rig) == []
    assert picture(rig) == wanted


def forget_leases(rig: Rig) -> None:
    """What half a minute does: the lease of a dead process runs out."""
    for name in rig.datasets:
        rig.client.delete(lease(name))


def test_every_point_is_somewhere_and_every_somewhere_is_a_point() -> None:
    found = set()
    for path in (ROOT / "trading_data").rglob("*.py"):
        if path.name != "kill_points.py":
            found |= set(re.findall(r"reached\(\"([a-z.]+)\"\)", path.read_text()))
    assert found == set(POINTS)


@pytest.fixture(scope="module")
def own_servers() -> Iterator[tuple[Stack, Settings]]:
    """Servers that may be killed: of this module's own, embedded."""
    with TemporaryDirectory(prefix="trading_data_crash_", ignore_cleanup_errors=True) as home:
        given = Settings.from_env(
            {"TRADING_DATA_HOME": home, "DAGSTER_POSTGRES_URL": "postgresql://nobody@localhost/none"}
        )
        stack = Stack(given)
        settings = stack.start()
        migrate(Archive(settings.require_timescale_url()))
        yield stack, settings
        stack.stop()


def pid_of(settings: Settings, server: str) -> int:
    state = (settings.home / "services" / server / "state.json").read_text()
    return int(re.findall(r'"pid": (\d+)', state)[0])


@pytest.mark.parametrize(
    ("server", "point"),
    [
        ("timescale", "load.begun"),
        ("timescale", "load.rows"),
        ("timescale", "load.ledger"),
        ("timescale", "load.committed"),
        ("timescale", "refresh.called"),
        ("redis", "batch.renamed"),
        ("redis", "snapshot.noted"),
        ("redis", "trim.decided"),
    ],
)
def test_a_server_killed_at(
    own_servers: tuple[Stack, Settings], undisturbed: dict[str, Any], tmp_path: Path, server: str, point: str
) -> None:
    """The run fails with one clear line, or not at all; the next one carries on."""
    stack, settings = own_servers
    settings = replace(settings, intake_uri=str(tmp_path / "intake"))
    rig = Rig(settings)
    rig.clean()
    wanted = expected(rig, undisturbed)
    write(rig, 0)
    cycle(rig)
    write(rig, 1)
    before = {name: rig.accepted(dataset) for name, dataset in rig.datasets.items()}
    # What the live tier acknowledged a second ago is on its disk: once in it, the loss of its server costs nothing.
    rig.client.waitaof(1, 0, 5000)
    killed = run_cycle(rig, f"{point}:2@{pid_of(settings, server)}")
    assert killed.returncode in (0, 1), killed.stderr
    assert killed.stderr.count("\n") <= 1, killed.stderr
    stack.start()
    rig.close()
    rig = Rig(settings)
    assert {name: rig.accepted(dataset) for name, dataset in rig.datasets.items()} == before
    assert trimmed_early(rig) == []
    forget_leases(rig)
    write(rig, 2)
    cycle(rig)
    assert unbalanced(rig) == []
    assert picture(rig) == wanted
    rig.close()
