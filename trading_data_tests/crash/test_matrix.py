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

import psutil
import pytest

from trading_data.archive.database import Archive
from trading_data.archive.schema.migrate import migrate
from trading_data.kill_points import AGING_POINTS, BACKUP_POINTS, POINTS, VARIABLE
from trading_data.live.keys import lease
from trading_data.local.servers import Stack
from trading_data.settings import INTAKE_URI, REDIS_URL, TIMESCALE_URL, Settings
from trading_data_tests.crash.cycle import CYCLE_POINTS, cycle
from trading_data_tests.crash.workload import picture, trimmed_early, unbalanced, write
from trading_data_tests.rig import Rig

ROOT = Path(__file__).resolve().parents[2]
FULL = bool(os.environ.get("TRADING_DATA_TEST_FULL"))


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


# A cycle trims three times; it comes by the other points more often.
TIMES = [(point, times) for point in CYCLE_POINTS for times in ((1, 2, 3) if point.startswith("trim") else (1, 3, 5))]


@pytest.mark.parametrize(("point", "times"), TIMES if FULL else [(point, 1) for point in CYCLE_POINTS])
def test_killed_at(rig: Rig, undisturbed: dict[str, Any], point: str, times: int) -> None:
    wanted = expected(rig, undisturbed)
    write(rig, 0)
    cycle(rig)
    write(rig, 1)
    killed = run_cycle(rig, f"{point}:{times}")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    goes_on_as_if_nothing_had_happened(rig, wanted)


def goes_on_as_if_nothing_had_happened(rig: Rig, wanted: dict[str, Any]) -> None:
    """Nothing left too early; half a minute later, when leases have run out, one more chapter and cycle."""
    assert trimmed_early(rig) == []
    for name in rig.datasets:
        rig.client.delete(lease(name))
    write(rig, 2)
    cycle(rig)
    assert unbalanced(rig) == []
    assert picture(rig) == wanted


def test_every_point_is_somewhere_and_every_somewhere_is_a_point() -> None:
    found = set()
    for path in (ROOT / "trading_data").rglob("*.py"):
        if path.name != "kill_points.py":
            found |= set(re.findall(r"reached\(\"([a-z.]+)\"\)", path.read_text()))
    assert found == {*POINTS, *AGING_POINTS, *BACKUP_POINTS}


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


SERVERS_KILLED = [
    ("timescale", "load.ledger"),
    ("timescale", "load.committed"),
    ("redis", "snapshot.noted"),
    ("timescale redis", "load.rows"),
]
ALL_KILLED = [(servers, point) for servers in ("timescale", "redis", "timescale redis") for point in CYCLE_POINTS]


@pytest.mark.parametrize(("servers", "point"), ALL_KILLED if FULL else SERVERS_KILLED)
def test_servers_killed_at(
    own_servers: tuple[Stack, Settings], undisturbed: dict[str, Any], tmp_path: Path, servers: str, point: str
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
    first, *others = servers.split()
    killed = run_cycle(rig, f"{point}:2@{pid_of(settings, first)}")
    for other in others:
        beside = psutil.Process(pid_of(settings, other))
        beside.kill()
        beside.wait(10)
    assert killed.returncode in (0, 1), killed.stderr
    assert killed.stderr.count("\n") <= 1, killed.stderr
    assert {name for name, _ in stack.dead()} == set(servers.split())
    stack.start()
    rig.close()
    rig = Rig(settings)
    assert {name: rig.accepted(dataset) for name, dataset in rig.datasets.items()} == before
    goes_on_as_if_nothing_had_happened(rig, wanted)
    rig.close()
