"""SIGKILL at every step of a backup: without its manifest it is none, nothing is left running, and the next one is whole."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from trading_data.kill_points import BACKUP_POINTS, VARIABLE
from trading_data.operations.backup.check import check_files
from trading_data.operations.backup.manifest import backups, complete_backups
from trading_data.operations.backup.retention import prune
from trading_data.settings import BACKUP_URI, HOME, INTAKE_URI, REDIS_URL, TIMESCALE_URL
from trading_data.times import now
from trading_data_tests.operations.backup.states import faults, fill_everything, restored, taken, wipe
from trading_data_tests.rig import Rig

ROOT = Path(__file__).resolve().parents[3]
NAMES = (REDIS_URL, TIMESCALE_URL, HOME, INTAKE_URI, BACKUP_URI)


def test_killed_at_every_point(quick: Rig) -> None:
    fill_everything(quick, days=(0,), minutes=3)
    uri, whole = quick.settings.backup_uri, 0
    command = [sys.executable, "-m", "trading_data_tests.operations.backup.backup_process"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number, point in enumerate(BACKUP_POINTS, 1):
            process.stdin.write(json.dumps({VARIABLE: point, **{name: os.environ[name] for name in NAMES}}) + "\n")
            process.stdin.flush()
            assert int(process.stdout.readline()) == -signal.SIGKILL, point
            whole += point == "backup.whole"
            assert (len(backups(uri)), len(complete_backups(uri))) == (number, whole), point
        process.stdin.close()
    assert faults(quick) == []
    last = taken(quick)
    verdicts = prune(uri, now() + timedelta(days=3))
    assert (
        sum(verdict.reason == "it was never finished" for verdict in verdicts if verdict.goes) == len(BACKUP_POINTS) - 1
    )
    assert {backup.name for backup in backups(uri)} == {last.name}
    check_files(last, inside=True)
    wipe(quick)
    restored(quick, last)
    assert faults(quick) == []


def test_a_scratch_server_does_not_outlive_a_killed_program(quick: Rig) -> None:
    program = (
        "import os, signal\n"
        "from trading_data.operations.backup.scratch_server import scratch_server\n"
        "with scratch_server() as client:\n"
        "    print(client.info('server')['process_id'], client.connection_pool.connection_kwargs['path'], flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    pid, path = done.stdout.split()
    assert path.startswith(tempfile.gettempdir())
    for _ in range(500):
        if not Path(f"/proc/{pid}").exists() and not Path(path).parent.exists():
            break
        subprocess.run(["sleep", "0.02"], check=True)
    assert not Path(f"/proc/{pid}").exists()
    assert not Path(path).parent.exists()
