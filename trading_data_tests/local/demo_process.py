"""The demo as a process that runs during the other tests: it takes minutes, most of them waiting."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from trading_data.settings import DAGSTER_URL, HOME, INTAKE_URI, REDIS_URL, TIMESCALE_URL

_GIVEN = {REDIS_URL, TIMESCALE_URL, DAGSTER_URL, INTAKE_URI}


class RunningDemo:
    """`trading-data demo` on embedded servers in a temporary home."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="trading_data_demo_"))
        self.report = self.home / "report.json"
        env = {name: value for name, value in os.environ.items() if name not in _GIVEN} | {HOME: str(self.home)}
        program = "from trading_data.cli.main import main; main()"
        command = [sys.executable, "-c", program, "demo", "--json", str(self.report)]
        with (self.home / "output").open("w") as output:
            self.process = subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT)

    def wait(self) -> tuple[int, str]:
        """Exit code and output."""
        return self.process.wait(600), (self.home / "output").read_text()

    def end(self) -> None:
        """Stop it if it still runs, and remove its home."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(120)
        shutil.rmtree(self.home, ignore_errors=True)
