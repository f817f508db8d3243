"""The command of every finding runs on a system that is up, in a shell with only the virtual environment."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trading_data.datasets import DATASETS
from trading_data.operations.health.rules import BACKUPS, THRESHOLDS, UNAVAILABLE
from trading_data.operations.health.thresholds import command_for
from trading_data.settings import ARCHIVE_CRON
from trading_data_tests.local.test_up import Up, until, up
from trading_data_tests.operations.doctor.test_operating import PACKAGE

__all__ = ["up"]
VENV = Path(sys.executable).parent
CANNOT_SUCCEED = ("trading-data up", "trading-data verify --acknowledge", "trading-data doctor", "pg_stat_statements")
"""What ends with 1 in a system that is well: it is up already, nothing is lost, a drill is due, a view is not there."""
EXTRA = (
    "trading-data run " + " ".join(view.name for dataset in DATASETS.values() for view in dataset.aggregates),
    "trading-data run archive_job",
    "trading-data dagster sensor start late_data_sensor",
    "trading-data psql --owner -c 'reindex table price_data'",
    "trading-data psql -c 'select * from archive_ledger where batch_id = 1'",
)
"""What is put together where a finding is made: runs done again, switches, and the findings of `verify`."""


def test_every_remedy_runs(up: Up) -> None:
    up.env[ARCHIVE_CRON] = "0 3 * * *"  # what is archived here is archived by a remedy
    up.start("--symbols", "5", "--pace", "30")
    until(lambda: any(up.entries_ever().values()))
    failed = []
    first = in_the_shell(up, "trading-data archive")
    assert (first.returncode, up.archived() > 0) == (0, True), first.stderr
    commands = sorted({*declared(), *written(), *EXTRA} - {"trading-data archive"})
    with ThreadPoolExecutor(3) as several:
        ends = several.map(lambda command: in_the_shell(up, command), commands)
    for command, done in zip(commands, ends, strict=True):
        allowed = (0, 1) if any(words in command for words in CANNOT_SUCCEED) else (0,)
        if done.returncode not in allowed or (done.returncode == 1 and not (done.stderr + done.stdout).strip()):
            failed.append(f"{command}: {done.returncode}: {done.stderr or done.stdout}")
    assert not failed, "\n".join(failed)


def declared() -> Iterator[str]:
    """The commands of everything that is declared, its places filled."""
    yield from (away.command for away in UNAVAILABLE)
    for threshold in (*THRESHOLDS, *BACKUPS):
        yield command_for(threshold, "price_data" if "{subject}" in threshold.command else "")


def written() -> Iterator[str]:
    """The commands that modules write out where they make a finding."""
    for path in PACKAGE.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Finding":
                texts = [*call.args, *(keyword.value for keyword in call.keywords)]
                yield from (
                    str(text.value)
                    for text in texts
                    if isinstance(text, ast.Constant) and str(text.value).startswith("trading-data ")
                )


def in_the_shell(up: Up, command: str) -> "subprocess.CompletedProcess[str]":
    """Run it in a folder that is nobody's, with nothing on the path but the virtual environment."""
    env = {**up.env, "PATH": str(VENV), "HOME": str(up.home)}
    shell = ["/bin/sh", "-c", command]
    return subprocess.run(shell, env=env, cwd=up.home, capture_output=True, text=True, timeout=300, check=False)


def test_no_text_says_to_run_a_client_without_its_address() -> None:
    wrong = []
    for path in [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "docs").glob("*.md"), PACKAGE.parent / "README.md"]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            for client in ("redis-cli", "psql", "dagster job", "dagster asset", "dagster sensor", "dagster schedule"):
                if f"`{client} " in line or f"'{client} " in line or line.startswith(f"{client} "):
                    wrong.append(f"{os.path.relpath(path, PACKAGE)}:{number}: {line.strip()}")
    assert not wrong, "\n".join(wrong)
