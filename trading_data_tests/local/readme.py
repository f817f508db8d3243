"""Runs the README on a system that `up` has started: every block, in order, in one folder, with bash.

Three things are replaced because they cannot run twice: starting the system, running the tests, and servers given by URL.

Belongs here: those replacements and running the blocks. Does not: starting and stopping (`test_up`).
"""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from trading_data.settings import DAGSTER_URL, REDIS_URL, TIMESCALE_URL

ROOT = Path(__file__).resolve().parents[2]
START_OVER = "rm -rf .trading_data"
EXPORTER = "trading-data exporter --port 9465"
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FAILED = "trap 'echo \"$BASH_COMMAND\" >> failed' ERR\n"
_SCRIPTS = {
    "up": '#!/bin/sh\ntrading-data up --port 0 "$@" >> ups 2>&1\ntrue\n',  # refused: this home is up
    "test": "#!/bin/sh\ntrue\n",
}


class Reader:
    """Follows the README in `folder`, next to an `up` with the environment `env`."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        """Create the files of a clone that the README uses."""
        self.folder = folder
        self.env = env | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        (folder / "docs").symlink_to(ROOT / "docs")
        (folder / "scripts").mkdir()
        for name, text in _SCRIPTS.items():
            script = folder / "scripts" / name
            script.write_text(text)
            script.chmod(0o755)

    def failed(self) -> list[str]:
        """The commands that ended with another exit code than 0."""
        path = self.folder / "failed"
        return path.read_text().splitlines() if path.exists() else []

    def follow(self, servers: dict[str, str]) -> str:
        """Run every block but the one that starts over; what was printed. `servers` are the addresses for the third chapter."""
        output = ""
        for shell, python in blocks():
            if START_OVER in shell:
                continue
            if EXPORTER in shell:
                self.see_figures()
            else:
                output += self.run(filled(shell, servers), python)
        return output

    def run(self, shell: str, python: str = "") -> str:
        """Run a block of the shell, whose Python, if any, gets its lines from the next block."""
        script = ["/bin/bash", "-c", _FAILED + shell]
        done = subprocess.run(
            script,
            env=self.env,
            cwd=self.folder,
            input=python,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert "command not found" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    def see_figures(self) -> None:
        """The exporter runs until it is stopped; any port does."""
        command = EXPORTER.replace("9465", "0").split()
        with subprocess.Popen(command, env=self.env, cwd=self.folder, stdout=subprocess.PIPE, text=True) as started:
            assert started.stdout is not None
            (url,) = re.findall(r"http://\S+/metrics", started.stdout.readline())
            with urllib.request.urlopen(url, timeout=30) as reply:
                assert b'trading_data_up{tier="timescale"} 1.0' in reply.read()
            started.send_signal(signal.SIGINT)
            assert started.wait(30) == 0


def blocks() -> Iterator[tuple[str, str]]:
    """Each block of the shell, with the block of Python that is typed into it, if it ends in one."""
    blocks = _BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    for at, (language, text) in enumerate(blocks):
        if language == "sh":
            python = text.rstrip().endswith("python")
            assert not python or blocks[at + 1][0] == "python"
            yield text, blocks[at + 1][1] if python else ""


def filled(shell: str, servers: dict[str, str]) -> str:
    """A block with values where it has dots."""
    for name in (REDIS_URL, TIMESCALE_URL, DAGSTER_URL):
        shell = re.sub(rf"(?<=export {name}=)\S+://…", servers[name], shell)
    return re.sub(r"(?<==)…", "key", shell)


def partitions(page: str, asset: str) -> list[str]:
    """The partitions of an asset, as Dagster's page shows them."""
    query = "query Keys($path: [String!]!) { assetNodeOrError(assetKey: {path: $path}) { ... on AssetNode { partitionKeys } } }"
    body = json.dumps({"query": query, "variables": {"path": [asset]}}).encode()
    request = urllib.request.Request(f"{page}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        keys: list[str] = json.load(reply)["data"]["assetNodeOrError"]["partitionKeys"]
        return keys
