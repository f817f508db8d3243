"""A home without servers is refused with the names of the homes that have some; nothing is written to it or read from it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trading_data.local.servers import running_homes
from trading_data.settings import DAGSTER_URL, HOME, INTAKE_URI, REDIS_URL, TIMESCALE_URL, Settings
from trading_data_tests.rig import Rig

BAR = "symbol,timestamp,open,high,low,close,volume,source\nA,2026-11-20T15:00:00Z,1,2,0.5,1.5,10,file\n"
URLS = (REDIS_URL, TIMESCALE_URL, DAGSTER_URL)
RANGE = ["--start", "2026-11-20", "--end", "2026-11-21"]
COMMANDS = {
    "import": ["import", "prices", "bars.csv"],
    "query": ["query", "prices", *RANGE],
    "coverage": ["coverage"],
    "verify": ["verify"],
    "status": ["status"],
    "quarantine": ["quarantine", "list"],
    "retention": ["retention", "--dry-run"],
    "backup": ["backup"],
    "exporter": ["exporter", "--port", "0"],
    "migrate": ["migrate"],
    "services env": ["services", "env"],
}


@pytest.fixture
def running(servers: Settings, rig: Rig) -> Path:
    """The home whose embedded servers all tests share."""
    embedded = all((servers.home / "services" / name).is_dir() for name in ("redis", "timescale"))
    if not embedded or servers.home.resolve() not in running_homes():
        pytest.skip("the servers are not embedded ones")
    assert rig
    return servers.home.resolve()


def run(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in os.environ.items() if name not in (*URLS, HOME, INTAKE_URI)}
    command = [sys.executable, "-W", "error", "-c", "from trading_data.cli.main import main; main()", *arguments]
    return subprocess.run(command, env={**given, **env}, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_home_without_servers_is_refused_and_those_that_run_are_named(
    name: str, running: Path, tmp_path: Path
) -> None:
    (tmp_path / "bars.csv").write_text(BAR)
    done = run(tmp_path, *COMMANDS[name])
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"no server runs in the home {tmp_path / '.trading_data'}" in done.stderr
    assert str(running) in done.stderr
    assert f"export {HOME}=" in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name != "bars.csv"] == []


def test_the_advice_makes_it_right(running: Path, tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(BAR)
    intake = tmp_path / "intake"
    exports = dict(
        re.findall(r"export (\w+)='?([^'\n]+)", run(tmp_path, "services", "env", **{HOME: str(running)}).stdout)
    )
    assert set(exports) == {HOME, *URLS}
    for env in ({HOME: str(running)}, exports):
        done = run(tmp_path, *COMMANDS["import"], **env, **{INTAKE_URI: str(intake)})
        assert done.returncode == 0, done.stderr
    assert list(intake.rglob("*.parquet"))


def test_urls_of_another_home_do_not_make_a_wrong_home_right(running: Path, tmp_path: Path, servers: Settings) -> None:
    (tmp_path / "bars.csv").write_text(BAR)
    urls = {TIMESCALE_URL: servers.require_timescale_url()}
    done = run(tmp_path, *COMMANDS["import"], **urls)
    assert done.returncode == 1
    advice = re.search(rf"`export {HOME}=(.+?)`", done.stderr)
    assert advice is not None
    assert Path(advice[1]) == running
    assert not (tmp_path / ".trading_data").exists()
    assert run(tmp_path, *COMMANDS["status"], **urls, **{HOME: advice[1]}).returncode == 0


def test_commands_that_need_no_server_say_where_they_looked(running: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "state", "show")
    assert done.returncode == 1
    assert str(tmp_path / ".trading_data" / "intake") in done.stderr
    assert str(running) in done.stderr
    done = run(tmp_path, "services", "stop")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"no server runs in the home {tmp_path / '.trading_data'}: servers run in" in done.stderr
    done = run(tmp_path, "backup", "--list")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"there is no backup under {tmp_path / '.trading_data' / 'backups'}" in done.stderr
