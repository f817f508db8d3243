"""`python -m trading_data.sources.feeds` as `trading-data up` starts it: a process with signals, lines and exit codes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
from click.testing import CliRunner

from trading_data.datasets import PRICE
from trading_data.settings import REDIS_URL, START
from trading_data.sources.feeds.__main__ import main
from trading_data_tests.sources.feeds.servers import Reader, Server

COMMAND = [sys.executable, "-m", "trading_data.sources.feeds"]


def feed(*arguments: str, url: str = "") -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if name != REDIS_URL} | ({REDIS_URL: url} if url else {})
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=env, timeout=60, check=False)


def test_signals_end_the_live_market_in_order(server: Server) -> None:
    options = ["--symbols", "3", "--round-the-clock", "--redis-url", server.url]
    running = [subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process, number in zip(running, (signal.SIGTERM, signal.SIGINT), strict=True):
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "feed simulated: begins\n"
            process.send_signal(number)
            rest = process.stdout.read()
        assert process.returncode == 0
        assert rest.startswith("feed simulated: stopped: ")


def test_a_replay_ends_by_itself(server: Server, reader: Reader, tmp_path: Path) -> None:
    bar = {"symbol": "A", "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0, "source": "t"}
    bars = [bar | {"timestamp": pd.Timestamp("2026-03-02T14:30:00Z") + pd.Timedelta(minutes=at)} for at in range(30)]
    pd.DataFrame(bars).to_csv(tmp_path / "bars.csv", index=False)
    done = feed("--kind", "replay", "--pace", "0", str(tmp_path / "bars.csv"), url=server.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("feed replay: ended: 30 minutes: 30 bars, 0 fills")
    reader.go_on()
    assert len(reader.of(PRICE)) == 30


def test_what_cannot_be_done_is_one_line(tmp_path: Path) -> None:
    done = feed("--kind", "replay", "away.csv", "--redis-url", "redis://127.0.0.1:1")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: there is no file away.csv\n")
    early = {REDIS_URL: "redis://127.0.0.1:1", START: "2026-04-01"}
    bars = tmp_path / "bars.csv"
    bars.write_text(",".join(PRICE.names) + "\nA,2026-03-31T23:59:00Z,1,1,1,1,1,t\n")
    refused = CliRunner(env=early).invoke(main, ["--kind", "replay", str(bars)])
    assert refused.exit_code == 1
    assert "is before the first day partition 2026-04-01" in refused.output
    unset = CliRunner(env={REDIS_URL: None}).invoke(main, ["--symbols", "3"])
    assert unset.exit_code == 1
    assert unset.output.startswith(f"error: {REDIS_URL} is not set")
    assert CliRunner().invoke(main, ["--kind", "nosuch"]).exit_code == 2
