"""`docs/recovery.md` followed word by word: one tier is restored while the others have gone on, and nothing is lost in silence."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trading_data.cli.main import group
from trading_data.datasets import METRICS, PRICE
from trading_data_tests.rig import Rig, bar, measurement

PAGE = Path(__file__).resolve().parents[3] / "docs" / "recovery.md"
JOURNAL = "journal:metrics"


def commands(section: str) -> list[str]:
    """The lines of the blocks of a section of the page."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def run(line: str) -> Result:
    """A command of ours as it is printed."""
    program, *words = shlex.split(line)
    assert program == "trading-data"
    return CliRunner().invoke(group, words)


def archive_job(line: str, home: Path) -> None:
    """A run of Dagster's as it is printed."""
    assert line == "trading-data archive"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DAGSTER_HOME": str(home),
    }
    done = subprocess.run(line, shell=True, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "dagster"
    made.mkdir()
    (made / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return made


def record(rig: Rig, *minutes: int) -> None:
    rig.store.record_metrics([measurement(minute=minute) for minute in minutes])


def minutes(rig: Rig) -> list[int]:
    found = rig.query("select extract(minute from timestamp)::int from metrics_data order by timestamp")
    return [minute for (minute,) in found]


def faults(done: Result) -> list[str]:
    return [line for line in done.output.splitlines() if " -> " in line]


def test_timescaledb_alone(quick: Rig, home: Path) -> None:
    restore, migrate, archive, verify, acknowledge = commands("TimescaleDB alone")
    record(quick, 0, 1, 2)
    quick.store.record_prices([bar("A")])
    quick.archive_all(METRICS)
    quick.archive_all(PRICE)
    assert run("trading-data backup").exit_code == 0
    record(quick, 3, 4, 5, 6)
    quick.archive_all(METRICS)  # and trimmed, all but the last
    quick.store.record_prices([bar("A", 1), bar("A", 0, close=10.5), bar("B")])
    quick.snapshot(PRICE)
    quick.load(PRICE)  # not trimmed: the hot window
    record(quick, 7, 8)
    quick.snapshot(METRICS)  # on its way when the archive is lost
    record(quick, 9)
    accepted = quick.accepted(METRICS)

    done = run(f"{restore} --into-non-empty")
    assert done.exit_code == 0, done.output
    assert minutes(quick) == [0, 1, 2]
    assert run(migrate).exit_code == 0
    archive_job(archive, home)
    assert minutes(quick) == [0, 1, 2, 6, 7, 8, 9]
    assert quick.query("select symbol, close from price_data order by symbol, timestamp") == [
        ("A", 10.5),
        ("A", 11.0),
        ("B", 11.0),
    ]
    for _ in range(2):
        done = run(verify)
        (line,) = faults(done)
        assert done.exit_code == 1
        assert line.startswith("metrics: gaps: 1 range of entries (3 entries) is neither archived, nor")
        assert f"{JOURNAL} after " in line
        assert "-> trading-data verify --acknowledge metrics --reason " in line
    assert quick.account(METRICS).accepted + 3 == accepted
    done = run(acknowledge)
    assert (done.exit_code, f"3 entries, from {JOURNAL} (3)" in done.output) == (0, True)
    done = run(verify)
    assert (done.exit_code, faults(done)) == (0, [])
    assert "10 entries added to 1 journal: 7 archived, 0 waiting, 0 not drained, 3 missing;" in f"{done.output};"


def test_timescaledb_alone_of_a_moment_before_a_journal(quick: Rig) -> None:
    """The backup knows nothing of the journal, whose entries were archived and trimmed since."""
    restore, migrate, _, verify, _ = commands("TimescaleDB alone")
    assert run("trading-data backup").exit_code == 0
    record(quick, 0, 1, 2, 3)
    quick.archive_all(METRICS)
    assert run(f"{restore} --into-non-empty").exit_code == 0
    assert run(migrate).exit_code == 0
    quick.archive_all(METRICS)
    assert minutes(quick) == [3]
    (line,) = faults(run(verify))
    assert "(3 entries)" in line


def test_timescaledb_alone_with_the_batches_that_waited(quick: Rig) -> None:
    """They are put back into the intake, whether they were loaded since or not."""
    restore, migrate, _, verify, _ = commands("TimescaleDB alone")
    record(quick, 0)
    quick.archive_all(METRICS)
    record(quick, 1, 2)
    quick.snapshot(METRICS)
    assert run("trading-data backup").exit_code == 0
    record(quick, 3)
    quick.archive_all(METRICS)
    assert quick.client.xlen(JOURNAL) == 1
    assert run(f"{restore} --into-non-empty").exit_code == 0
    assert run(migrate).exit_code == 0
    quick.archive_all(METRICS)
    assert minutes(quick) == [0, 1, 2, 3]
    assert run(verify).exit_code == 0


def test_timescaledb_alone_after_redis_alone(quick: Rig) -> None:
    """The journal has had two incarnations: its gap is told, though not how many entries it is."""
    record(quick, 0, 1)
    quick.archive_all(METRICS)
    assert run("trading-data backup").exit_code == 0
    record(quick, 2)
    quick.archive_all(METRICS)
    quick.client.flushdb()
    assert run(commands("Redis alone")[0]).exit_code == 0
    record(quick, 3)
    quick.archive_all(METRICS)
    assert run("trading-data verify").exit_code == 0
    assert run("trading-data backup").exit_code == 0
    record(quick, 4, 5, 6)
    quick.archive_all(METRICS)
    restore, migrate, _, verify, acknowledge = commands("TimescaleDB alone")
    assert run(f"{restore} --into-non-empty").exit_code == 0
    assert run(migrate).exit_code == 0
    quick.archive_all(METRICS)
    assert minutes(quick) == [0, 1, 2, 3, 6]
    (line,) = faults(run(verify))
    assert line.startswith("metrics: gaps: 1 range of entries")
    assert run(acknowledge).exit_code == 0
    assert run(verify).exit_code == 0


def test_redis_alone(quick: Rig, home: Path) -> None:
    restore, archive, verify = commands("Redis alone")
    record(quick, 0, 1, 2)
    quick.archive_all(METRICS)
    record(quick, 3)
    assert run("trading-data backup").exit_code == 0
    record(quick, 4, 5)
    quick.archive_all(METRICS)
    record(quick, 6)
    quick.snapshot(METRICS)  # on its way when Redis is lost
    record(quick, 7)  # neither archived nor in the intake
    quick.client.flushdb()

    done = run(restore)
    assert done.exit_code == 0, done.output
    done = run(verify)
    assert (done.exit_code, [line.partition(":")[0] for line in faults(done)]) == (1, ["metrics"])
    assert "went back" in done.output
    record(quick, 20, 21)  # the feed goes on
    archive_job(archive, home)
    assert minutes(quick) == [0, 1, 2, 3, 4, 5, 6, 20, 21]
    done = run(verify)
    assert (done.exit_code, faults(done)) == (0, [])
    account = quick.account(METRICS)
    assert (account.accepted, account.replayed, account.missing) == (9, 2, 0)
    record(quick, 22)
    quick.archive_all(METRICS)
    assert run(verify).exit_code == 0


def test_redis_alone_that_had_not_gone_on(quick: Rig) -> None:
    """Nothing was accepted since: the journals are those that the archive knows, and nothing is read twice."""
    restore, _, verify = commands("Redis alone")
    record(quick, 0, 1, 2)
    quick.archive_all(METRICS)
    assert run("trading-data backup").exit_code == 0
    quick.client.flushdb()
    assert run(restore).exit_code == 0
    assert run(verify).exit_code == 0
    record(quick, 3)
    quick.archive_all(METRICS)
    assert run(verify).exit_code == 0
    assert quick.account(METRICS).replayed == 0
    assert minutes(quick) == [0, 1, 2, 3]


def test_to_any_moment_goes_on_as_timescaledb_alone() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("## To any moment")[2]
    assert "(#timescaledb-alone)" in text.partition("\n## ")[0]
