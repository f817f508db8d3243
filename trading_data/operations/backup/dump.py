"""`pg_dump` and `pg_restore`: found, run without a visible password, their output streamed.

TimescaleDB is dumped whole, in custom format. It is restored into a database without our tables, between
`timescaledb_pre_restore()` and `timescaledb_post_restore()`, by one process: in parallel its catalog would come too late.

Belongs here: the programs. Does not: checks before (`check`) and comparison after (`restore`).
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import psycopg2
from psycopg2.extensions import make_dsn
from psycopg2.sql import SQL, Identifier

from trading_data.archive.database import Archive, create_database, parts_of, session_parameters
from trading_data.archive.sql import statement
from trading_data.errors import ArchiveTierError, BackupError, Refused, ServerError
from trading_data.settings import without_password

PROGRAMS = "TRADING_DATA_PG_BIN"
"""The folder of `pg_dump` and `pg_restore`, if those on the PATH are too old."""


class Dump:
    """The output of a running `pg_dump`; its exit code is checked at the end."""

    def __init__(self, process: "subprocess.Popen[bytes]", errors: IO[bytes]) -> None:
        """Read from a process."""
        self._process, self._errors = process, errors

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; none at the end.

        Raises:
            BackupError: the program failed.
        """
        if self._process.stdout is None:
            return b""
        data = self._process.stdout.read(size)
        if not data and self._process.wait():
            raise BackupError(
                f"pg_dump failed: {_last_error(self._errors)}. Nothing was changed; take the backup again"
            )
        return data


@contextmanager
def dumping(url: str, server_number: int, snapshot: str | None) -> Iterator[Dump]:
    """Dump the database at `url`, in an exported snapshot if one is given.

    Raises:
        BackupError: no program of the server's major version or newer was found.
    """
    program = program_for("pg_dump", server_number)
    dsn, env = _connection(url)
    options = ["--format=custom", "--no-password", *([f"--snapshot={snapshot}"] if snapshot else [])]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603
            [str(program), *options, f"--dbname={dsn}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=env,
        )
        try:
            yield Dump(process, errors)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def restore_dump(url: str, server_number: int, made_by: int, feed: Callable[[Any], None]) -> None:
    """Restore what `feed` writes into the database at `url`, which has the extension and none of our tables.

    `made_by` is the major version of the `pg_dump` that made it.

    Raises:
        BackupError: a part could not be restored; the database is then of no use.
        ArchiveTierError: the server is away.
    """
    program = program_for("pg_restore", max(server_number, made_by * 10_000))
    dsn, env = _connection(url)
    with _session(url) as cursor:
        cursor.execute("select timescaledb_pre_restore()")
    try:
        _run_pg_restore(program, dsn, env, feed)
    finally:
        with _session(url) as cursor:
            cursor.execute("select timescaledb_post_restore()")
    with _session(url) as cursor:
        cursor.execute("analyze")


def make_room(url: str, timescaledb: str) -> None:
    """Prepare the database at `url`: it has the extension at exactly this version, and no tables of users.

    Raises:
        Refused: the server does not have that version.
        ArchiveTierError: it does not answer, or the role lacks the right.
    """
    with _session(url) as cursor:
        cursor.execute("select extversion from pg_extension where extname = 'timescaledb'")
        installed = cursor.fetchone()
        if installed is None:
            cursor.execute(SQL("create extension timescaledb version {}").format(Identifier(timescaledb)))
            return
        # In an aggregate's own dependents' stead: CASCADE takes those built on it along, and IF EXISTS forgives that.
        cursor.execute(statement("backup_made"))
        for (command,) in cursor.fetchall():
            cursor.execute(command)


def make_database(url: str) -> bool:
    """Create the database at `url` if it does not exist. Returns whether it was created. Raises ArchiveTierError."""
    try:
        with _session(url):
            return False
    except ArchiveTierError as error:
        if "does not exist" not in str(error.__cause__):
            raise
    name = parts_of(url).database or ""
    with _session(_beside(url)) as cursor:
        cursor.execute(create_database(name))
    return True


def drop_database(url: str) -> None:
    """Drop a database that was made for a drill."""
    with _session(_beside(url)) as cursor:
        cursor.execute(SQL("drop database if exists {} with (force)").format(Identifier(parts_of(url).database or "")))


def offers(archive: Archive, timescaledb: str) -> bool:
    """Whether the server can install the extension at exactly this version."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(
            "select from pg_available_extension_versions where name = 'timescaledb' and version = %s", (timescaledb,)
        )
        return bool(cursor.rowcount)


def program_for(name: str, server_number: int) -> Path:
    """The program of that name, of the server's major version or a newer one.

    Raises:
        BackupError: there is none.
    """
    too_old = []
    for folder in _folders():
        path = folder / name
        if path.is_file():
            version = program_major(path)
            if version >= server_number // 10_000:
                return path
            too_old.append(f"{path} is {version}")
    raise BackupError(
        f"{name} of PostgreSQL {server_number // 10_000} or newer is needed{': ' + ', '.join(too_old) if too_old else ''}. Install "
        f'PostgreSQL\'s client programs, or pip install "trading_data[embedded]", or set {PROGRAMS} to their folder'
    )


def program_major(path: Path) -> int:
    """The major version of a program."""
    output = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    match = re.search(r"(\d+)(?:\.\d+|devel|beta|rc)", output)
    return int(match[1]) if match else 0


def _folders() -> Iterator[Path]:
    given = os.environ.get(PROGRAMS)
    if given:
        yield Path(given)
        return
    from trading_data.local.postgres import postgres_programs

    try:
        yield postgres_programs()
    except ServerError:
        pass  # without the extra `embedded`
    path = shutil.which("pg_dump")
    if path:
        yield Path(path).parent


def _run_pg_restore(program: Path, dsn: str, env: dict[str, str], feed: Callable[[Any], None]) -> None:
    with tempfile.TemporaryFile() as errors:
        command = [str(program), "--no-owner", "--no-privileges", "--exit-on-error", "--no-password", f"--dbname={dsn}"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, env=env)  # noqa: S603
        broken = None
        try:
            if process.stdin is not None:
                feed(process.stdin)
                process.stdin.close()
        except BrokenPipeError as error:
            broken = error
        except BaseException:
            process.kill()
            raise
        finally:
            failed = process.wait()
            if process.stdin is not None:
                with suppress(BrokenPipeError):
                    process.stdin.close()
        if failed or broken:
            raise BackupError(
                f"pg_restore failed: {_last_error(errors)}. The database is incomplete: correct what it names, and restore again "
                "with --into-non-empty"
            ) from broken


@contextmanager
def _session(url: str) -> Iterator[Any]:
    """A new connection in autocommit: pre_restore and the extension need a fresh session."""
    dsn, _ = _connection(url, password=True)
    try:
        connection = psycopg2.connect(dsn, connect_timeout=10, **session_parameters(url))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()
    except psycopg2.errors.UndefinedFile as error:
        raise Refused(f"the server does not have that version of TimescaleDB: {str(error).strip()}") from error
    except psycopg2.Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise ArchiveTierError(
            f"the archive at {without_password(url)} does not answer or refused: {reason}"
        ) from error


def _connection(url: str, *, password: bool = False) -> tuple[str, dict[str, str]]:
    """A connection string without the password, and an environment with it."""
    given = parts_of(url)
    known = {"host": given.host, "port": given.port, "user": given.username, "dbname": given.database}
    options = {name: value if isinstance(value, str) else value[0] for name, value in given.query.items()}
    secret = {"password": given.password} if password and given.password else {}
    dsn = make_dsn(**{name: str(value) for name, value in (known | options | secret).items() if value is not None})
    return dsn, os.environ | ({"PGPASSWORD": str(given.password)} if given.password else {})


def _beside(url: str) -> str:
    return parts_of(url).set(database="postgres").render_as_string(hide_password=False)


def _last_error(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    with_error = [line for line in lines if "error:" in line]
    return (with_error or lines or ["it wrote no error message"])[-1]
