"""A place to break things: a copy of the checkout in a folder of its own, with servers that keep running between two mutants.

Belongs here: copying, breaking, running pytest, mending. Does not: which mutants there are (`mutant`), and the table (`__main__`).
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trading_data.local.servers import Stack
from trading_data.settings import REDIS_URL, TIMESCALE_URL
from trading_data_tests.mutants.kept_servers import HOME, settings_in
from trading_data_tests.mutants.mutant import SECONDS, Mutant, Rotten

_NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "node_modules", "*.egg-info", "dist", "build")
_RESULT = re.compile(r"^(FAILED|ERROR) (\S+?::\S+|\S+)", re.MULTILINE)
_PASSED, _FAILED = 0, 1
"""Exit codes of pytest; all others say that the tests did not run."""
_SHOWN_LINES = 30


@dataclass(frozen=True)
class Outcome:
    """What became of a run: `killed`, `survived` or `broken`, by which test, after how many seconds, and what pytest said."""

    state: str
    by: str
    seconds: float
    said: str = ""


class Workbench:
    """One copy of a checkout, with servers of its own, whatever servers URLs name."""

    def __init__(self, folder: Path, source: Path) -> None:
        """Nothing is copied or started yet."""
        self.checkout = folder / "checkout"
        self._source, self._home = source, folder / "home"
        self._stack = Stack(settings_in(self._home))

    def open(self) -> None:
        """Copy the checkout and start the servers."""
        shutil.copytree(self._source, self.checkout, ignore=_NOT_COPIED)
        self._stack.start()

    def close(self) -> None:
        """Stop the servers."""
        self._stack.stop()

    def try_mutant(self, mutant: Mutant) -> Outcome:
        """Break one place, run the tests that guard it until the first one fails, and mend it."""
        path = self.checkout / mutant.file
        whole = path.read_text(encoding="utf-8")
        try:
            self._write(path, mutant.applied(whole))
        except Rotten as error:
            return Outcome("broken", "", 0, str(error))
        try:
            return self.run(mutant.nodes, mutant.seconds)
        finally:
            self._write(path, whole)

    def run(self, nodes: Sequence[str], seconds: int = SECONDS) -> Outcome:
        """Run tests: `survived` if all of them passed."""
        began = time.monotonic()
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=short", "-p", "no:cacheprovider"]
        command += ["-p", "trading_data_tests.mutants.kept_servers", *nodes]
        env = {name: value for name, value in os.environ.items() if name not in (REDIS_URL, TIMESCALE_URL)}
        env |= {HOME: str(self._home), "PYTHONPATH": str(self.checkout)}
        process = subprocess.Popen(
            command,
            cwd=self.checkout,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            return Outcome("killed", f"no end after {seconds} s", time.monotonic() - began, said)
        return _outcome(process.returncode, said, time.monotonic() - began)

    def _write(self, path: Path, text: str) -> None:
        """Write a source file, and forget what was compiled of it: two versions may have the same second and size."""
        path.write_text(text, encoding="utf-8")
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()


def _outcome(code: int, said: str, seconds: float) -> Outcome:
    found = _RESULT.search(said)
    if code == _PASSED:
        skipped = re.search(r"(\d+) skipped", said)
        state, by = ("broken", "a test that guards it was skipped") if skipped else ("survived", "")
    elif code == _FAILED and found is not None and found[1] == "FAILED":
        state, by = "killed", found[2].removeprefix("trading_data_tests/")
    else:
        state, by = "broken", f"the tests did not run (pytest ended with {code})"
    return Outcome(state, by, seconds, "\n".join(said.splitlines()[-_SHOWN_LINES:]))
