"""The deployment of `docker-compose.yml` without containers: the same commands as processes, connected over gRPC.

The long form (TRADING_DATA_TEST_FULL=1) sends the demo's whole trading day through it.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml

from trading_data.archive.aggregates.compare import differences
from trading_data.archive.aggregates.refresh import days_to_refresh
from trading_data.archive.ledger import account
from trading_data.archive.verify.run import verify
from trading_data.datasets import DATASETS
from trading_data.settings import ARCHIVE_CRON, DAGSTER_URL, HEALTH_SCHEDULE
from trading_data.times import DAY, day_start, now
from trading_data_tests.live.servers import free_ports
from trading_data_tests.local.test_up import until
from trading_data_tests.rig import Rig

ROOT = Path(__file__).resolve().parents[2]
FULL = bool(os.environ.get("TRADING_DATA_TEST_FULL"))
_LAUNCH = """
mutation Launch($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } ... on UnauthorizedError { message } } }
"""
_STATUS = "query Status($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


class Deployment:
    """The processes of the compose file, each with its command; host names and ports are those of this machine."""

    def __init__(self, home: Path, env: dict[str, str]) -> None:
        self.home, self._env = home, {**os.environ, **env, "DAGSTER_HOME": str(home), "PYTHONUNBUFFERED": "1"}
        self.services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
        self.code, self.web, self.read_only = free_ports(3)
        shutil.copy(ROOT / "trading_data" / "dagster.yaml", home)
        text = (ROOT / "deploy/workspace.grpc.yaml").read_text()
        assert "host: code" in text
        assert "port: 4000" in text
        workspace = text.replace("host: code", "host: 127.0.0.1").replace("port: 4000", f"port: {self.code}")
        (home / "deploy").mkdir()
        (home / "deploy/workspace.grpc.yaml").write_text(workspace)

    @contextmanager
    def process(self, name: str, command: list[str]) -> Iterator[None]:
        with (self.home / f"{name}.log").open("wb") as log:
            started = subprocess.Popen(command, cwd=self.home, env=self._env, stdout=log, stderr=log)
        try:
            yield
        finally:
            started.terminate()
            try:
                started.wait(30)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()

    @contextmanager
    def service(self, name: str, port: int | None = None) -> Iterator[None]:
        words = self.services[name]["command"].split()
        words = ["127.0.0.1" if word == "0.0.0.0" else word for word in words]
        if port is not None:
            words[words.index("-p") + 1] = str(port)
        program = Path(sys.executable).with_name(words[0])
        with self.process(name, [str(program), *words[1:]]):
            yield

    def output(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text()

    def listens(self, port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def ask(self, port: int, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        data = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer: dict[str, Any] = json.load(reply)
        assert "errors" not in answer, answer
        result: dict[str, Any] = next(iter(answer["data"].values()))
        return result

    def launch(self, port: int) -> dict[str, Any]:
        selector = {
            "repositoryLocationName": "trading_data", "repositoryName": "__repository__", "pipelineName": "archive_job",
        }  # fmt: skip
        tags = [{"key": "dagster/partition", "value": str(now().date())}]
        params = {"selector": selector, "runConfigData": {}, "mode": "default", "executionMetadata": {"tags": tags}}
        return self.ask(port, _LAUNCH, {"params": params})


@pytest.fixture
def storage(rig: Rig) -> Iterator[str]:
    """A database of Dagster's own, for nobody else's runs to be seen."""
    url = str(rig.settings.dagster_url)
    name = f"grpc_{os.getpid()}"
    with closing(psycopg2.connect(url.replace("+psycopg2", ""))) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"create database {name}")
        yield url.rpartition("/")[0] + f"/{name}"
        connection.cursor().execute(f"drop database {name} with (force)")


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="trading_data_grpc_"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_runs_are_launched_by_the_daemon_over_grpc_and_nothing_is_lost(rig: Rig, storage: str, home: Path) -> None:
    pace = {ARCHIVE_CRON: "* * * * *"} if FULL else {ARCHIVE_CRON: "0 3 * * *", HEALTH_SCHEDULE: "off"}
    deployment = Deployment(home, {DAGSTER_URL: storage, **pace})
    day = now().date() - DAY
    amount = ["--symbols", "250", "--pace", "480"] if FULL else ["--symbols", "5", "--pace", "0"]
    feed = [sys.executable, "-m", "trading_data.sources.feeds", "--day", str(day), *amount]
    with ExitStack() as running:
        running.enter_context(deployment.service("code", deployment.code))
        until(lambda: "Started Dagster code server" in deployment.output("code"), 120)
        running.enter_context(deployment.service("web", deployment.web))
        running.enter_context(deployment.service("web-read-only", deployment.read_only))
        running.enter_context(deployment.service("daemon"))
        running.enter_context(deployment.process("feed", feed))
        until(lambda: all(deployment.listens(port) for port in (deployment.web, deployment.read_only)), 120)
        assert deployment.launch(deployment.read_only)["__typename"] == "UnauthorizedError"
        until(lambda: rig.accepted(DATASETS["price"]) > 1000, 60)
        if FULL:
            until(lambda: "minutes:" in deployment.output("feed").splitlines()[-1], 300)
        run = deployment.launch(deployment.web)
        assert run["__typename"] == "LaunchRunSuccess", run
        until(lambda: _status(deployment, run) in ("SUCCESS", "FAILURE"), 120)
        assert _status(deployment, run) == "SUCCESS"
        assert account(rig.archive, DATASETS["price"]).inserted > 0
        if FULL:
            until(lambda: _settled(rig), 400)
    if not FULL:
        for dataset in DATASETS.values():  # what the feed sent behind the run
            rig.archive_all(dataset)
    assert [result for result in verify(rig.client, rig.archive, rig.intake) if not result.ok] == []
    for dataset in DATASETS.values():
        loaded = account(rig.archive, dataset, "journal")
        assert loaded.inserted + loaded.replaced + loaded.unchanged + loaded.quarantined == rig.accepted(dataset)
        for aggregate in dataset.aggregates if FULL else ():
            assert differences(rig.archive, dataset, aggregate, day_start(day), day_start(day) + 2 * DAY) == []


def _status(deployment: Deployment, run: dict[str, Any]) -> str:
    status: str = deployment.ask(deployment.web, _STATUS, {"id": run["run"]["runId"]})["status"]
    return status


def _settled(rig: Rig) -> bool:
    left = sum(len(rig.intake.pending(name)) for name in DATASETS) + sum(
        map(len, days_to_refresh(rig.archive).values())
    )
    done = all(
        account(rig.archive, dataset, "journal").accepted == rig.accepted(dataset) for dataset in DATASETS.values()
    )
    return done and not left
