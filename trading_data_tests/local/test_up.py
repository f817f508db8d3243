"""`trading-data up` as a user runs it: killed, started again, and with a server that dies meanwhile."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from trading_data.archive.database import Archive
from trading_data.datasets import DATASETS
from trading_data.errors import TradingDataError
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.live.journal import find_journals, inspect
from trading_data.local.servers import Stack
from trading_data.operations.status import gather
from trading_data.settings import (
    ARCHIVE_CRON,
    DAGSTER_URL,
    HEALTH_SCHEDULE,
    HOME,
    INTAKE_URI,
    REDIS_URL,
    TIMESCALE_URL,
    Settings,
)
from trading_data_tests.local.readme import START_OVER, Reader, partitions

PROGRAM = "from trading_data.cli.main import main; main()"


class Up:
    """One home, and the `up` that runs in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        given = {REDIS_URL, TIMESCALE_URL, DAGSTER_URL, INTAKE_URI}
        self.env = {name: value for name, value in os.environ.items() if name not in given} | {HOME: str(home)}
        self.env[ARCHIVE_CRON] = "* * * * *"
        self.env[HEALTH_SCHEDULE] = "off"  # the entries are counted, and so must come to an end
        with closing(socket.socket()) as attempt:
            attempt.bind(("127.0.0.1", 0))
            self.port = attempt.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> None:
        command = [sys.executable, "-c", PROGRAM, "up", "--port", str(self.port), *options]
        with (self.home / "up.log").open("w") as log:
            self.process = subprocess.Popen(command, env=self.env, stdout=log, stderr=subprocess.STDOUT, text=True)
        until(lambda: "Press Ctrl-C" in self.output() or self.process is None or self.process.poll() is not None)
        assert "Press Ctrl-C" in self.output(), self.output()

    def output(self) -> str:
        return (self.home / "up.log").read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)

    def pids(self) -> dict[str, int]:
        pids = {}
        for state in (self.home / "services").glob("*/state.json"):
            pid = json.loads(state.read_text())["pid"]
            if pid is not None and psutil.pid_exists(pid):
                pids[state.parent.name] = pid
        return pids

    def settings_env(self) -> dict[str, str]:
        """The environment with the addresses of what runs in the home."""
        return self.env | Stack(Settings.from_env(self.env)).env()

    def settings(self) -> Settings:
        """With the addresses of what runs in the home."""
        return Settings.from_env(self.settings_env())

    def status(self) -> dict[str, Any]:
        try:
            settings = self.settings()
            archive = Archive(settings.require_timescale_url())
            with closing(connect_for_archiver(settings.require_redis_url())) as client, closing(archive):
                datasets: dict[str, Any] = gather(client, archive, Intake(settings.intake_uri)).as_json()["datasets"]
                return datasets
        except TradingDataError:
            return {}

    def archived(self) -> int:
        return sum(dataset["inserted"] for dataset in self.status().values())

    def entries_ever(self) -> dict[str, int]:
        """Entries ever added to the journals, by the server's own count."""
        with closing(connect_for_archiver(self.settings().require_redis_url())) as client:
            return {
                name: sum(info.added for info in inspect(client, find_journals(client, dataset)).values())
                for name, dataset in DATASETS.items()
            }


def until(condition: Callable[[], Any], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(1)


@pytest.fixture
def up() -> Iterator[Up]:
    # Not under pytest's own folder: as root, PostgreSQL runs as another account, and pytest closes that folder to it.
    home = Path(tempfile.mkdtemp(prefix="trading_data_up_"))
    made = Up(home)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()
    subprocess.run([sys.executable, "-c", PROGRAM, "services", "stop"], env=made.env, check=True)
    shutil.rmtree(home, ignore_errors=True)


def test_killed_and_started_again_the_counts_add_up(up: Up) -> None:
    up.start("--symbols", "20", "--pace", "30")
    until(lambda: any(up.entries_ever().values()))
    up.kill()
    left = up.pids()
    assert {"redis", "timescale", "dagster", "code", "web", "daemon", "feed"} <= set(left)

    up.start("--symbols", "20", "--pace", "30", "--seed", "8")  # takes the servers over and clears the rest
    again = up.pids()
    assert {name: again[name] for name in ("redis", "timescale", "dagster")} == {
        name: left[name] for name in ("redis", "timescale", "dagster")
    }
    assert not any(psutil.pid_exists(left[name]) for name in ("code", "web", "daemon", "feed"))
    until(lambda: up.archived() > 0)
    for pid in [*up.pids().values()]:  # as if the machine had gone
        os.kill(pid, signal.SIGKILL)
    up.kill()

    up.start("--feed", "none")
    (url,) = re.findall(r"^metrics +metrics for Prometheus +(\S+)$", up.output(), re.MULTILINE)
    with urllib.request.urlopen(url, timeout=30) as reply:
        assert b'trading_data_up{tier="redis"} 1.0' in reply.read()
    until(
        lambda: (
            (datasets := up.status())
            and not any(dataset["unarchived"] + dataset["waiting_batches"] for dataset in datasets.values())
        )
    )
    datasets, ever = up.status(), up.entries_ever()
    for name, figures in datasets.items():
        assert figures["accepted"] >= ever[name], name  # the server may have lost its last second, the archive has not
        assert figures["offered"] == figures["accepted"] + figures["replayed"]
        assert figures["missing"] == 0
    assert up.stop() == 0
    assert up.pids() == {}


def test_any_free_port_the_readme_a_daemon_that_dies_and_an_end_that_leaves_nobody(up: Up, tmp_path: Path) -> None:
    up.port = 0
    up.start("--symbols", "5")
    assert "trading-data doctor" in up.output()
    (page,) = set(re.findall(r"http://127\.0\.0\.1:[1-9]\d*(?=\n)", up.output())) - set(
        re.findall(r"metrics .*", up.output())
    )
    with urllib.request.urlopen(f"{page}/server_info", timeout=30) as reply:
        assert reply.status == 200
    until(lambda: up.archived() > 0)
    follow_the_readme(up, page, tmp_path)
    assert up.process is not None
    everybody = psutil.Process(up.process.pid)
    for name in ("daemon", "web", "code"):
        first = up.pids()[name]
        os.kill(first, signal.SIGKILL)
        until(lambda name=name, first=first: up.pids().get(name, first) != first)  # type: ignore[misc]
    until(lambda: "code died, and is started again" in up.output())
    assert everybody.is_running()
    pids = set(up.pids().values())
    families = [child for pid in pids for child in psutil.Process(pid).children(recursive=True)]
    assert up.stop() == 0
    assert up.pids() == {}
    assert not [process for process in families if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert subprocess.run(START_OVER.replace(".trading_data", str(up.home)).split(), check=True).returncode == 0


def follow_the_readme(up: Up, page: str, folder: Path) -> None:
    """Every block of it, in order; what it promises is there."""
    reader = Reader(folder, up.env)
    servers = {
        name: value for name, value in up.settings_env().items() if name in (REDIS_URL, TIMESCALE_URL, DAGSTER_URL)
    }
    output = reader.follow(servers)
    assert set(reader.failed()) == {"trading-data doctor"}, output  # a new home has no backup, and doctor says so
    assert (folder / "fills.csv").read_text().startswith("order_id,timestamp,")
    assert (folder / "ups").read_text().count("is up already, and keeps running") == 2
    assert "price_data: " in output or "there was nothing to archive" in output  # a scheduled run may have been faster
    assert "missing in part" in output
    until(lambda: "Dagster's partitions begin on 2026-11-20 now" in up.output())  # that of the oldest sample
    until(lambda: partitions(page, "price_data")[0] == "2026-11-20")


def test_a_server_that_dies_is_started_again_and_if_it_dies_again_is_named_with_the_end_of_its_log(up: Up) -> None:
    up.start("--feed", "none")
    first = up.pids()["redis"]
    os.kill(first, signal.SIGKILL)
    until(lambda: up.pids().get("redis", first) != first and "redis died, and is started again" in up.output())
    command = [sys.executable, "-c", PROGRAM, "up", "--port", str(up.port)]
    second = subprocess.run(command, env=up.env, capture_output=True, text=True, timeout=120, check=False)
    assert second.returncode == 1
    assert "is up already, and keeps running" in second.stderr
    assert len(up.pids()) > 3
    os.kill(up.pids()["redis"], signal.SIGKILL)
    assert up.process is not None
    assert up.process.wait(120) == 1
    output = up.output()
    assert "redis died; the end of its log is above" in output
    assert "Ready to accept connections" in output
    assert up.pids() == {}
