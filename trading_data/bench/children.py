"""Starting the programs of `child`, and hearing what they found.

Belongs here: processes. Does not: what they do.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trading_data.bench.servers import BenchRig
from trading_data.errors import ServerError


class Child:
    """A program that is ready and waits for its line."""

    def __init__(self, process: "subprocess.Popen[str]", name: str) -> None:
        """Use `child`, which starts one."""
        self._process, self._name = process, name

    def tell(self) -> Any:
        """Send the line; returns what the program found once it has ended.

        Raises:
            ServerError: it failed.
        """
        said, failed = self._process.communicate("go on\n")
        if self._process.returncode:
            last = failed.strip().splitlines()[-1:] or ["no word"]
            raise ServerError(f"the bench's own process `{self._name}` failed: {last[0]}")
        return json.loads(said)


@contextmanager
def child(rig: BenchRig, name: str) -> Iterator[Child]:
    """A program of `child`, on the rig's servers; ended on leaving.

    Raises:
        ServerError: it does not come up.
    """
    command = [sys.executable, "-m", "trading_data.bench.worker", name]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, env=rig.env, text=True, **pipes) as process:  # noqa: S603 - this package's own program
        try:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                Child(process, name).tell()
                raise ServerError(f"the bench's own process `{name}` ended before it was ready")
            yield Child(process, name)
        finally:
            if process.poll() is None:
                process.kill()
