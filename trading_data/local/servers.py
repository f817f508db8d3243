"""The servers a home needs: those no URL points at are started, taken over, watched and stopped together.

Belongs here: which servers there are and what programs must know of them. Does not: how one of them is run.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_data.local.packages import required
from trading_data.settings import DAGSTER_URL, HOME, REDIS_URL, TIMESCALE_URL, Settings, without_password

if TYPE_CHECKING:
    from trading_data.local.process import ServerProcess


@dataclass(frozen=True)
class Service:
    """One row of the table that `up` prints; `log` is None for a server that is not ours."""

    name: str
    what: str
    url: str
    ours: bool
    log: Path | None


@dataclass(frozen=True)
class _Role:
    what: str
    variable: str
    setting: str
    """The field of Settings that holds its URL."""
    module: str
    server: str


ROLES = {
    "redis": _Role("live tier", REDIS_URL, "redis_url", "valkey", "Valkey"),
    "timescale": _Role("archive tier", TIMESCALE_URL, "timescale_url", "timescale", "Timescale"),
    "dagster": _Role("Dagster's storage", DAGSTER_URL, "dagster_url", "postgres", "Postgres"),
}


class Stack:
    """The live tier, the archive tier and Dagster's storage of one home."""

    def __init__(
        self, settings: Settings, *, redis_maxmemory: str = "2gb", env: Mapping[str, str] | None = None
    ) -> None:
        """`env` is the environment the servers start with (default: this program's). Starts nothing."""
        self._settings = settings
        self._env = env
        self._options: dict[str, dict[str, Any]] = {
            "redis": {"maxmemory": redis_maxmemory},
            "timescale": {"home": settings.home},
            "dagster": {},
        }
        self._servers: dict[str, ServerProcess] = {}

    def start(self, progress: Callable[[str], None] = lambda _: None) -> Settings:
        """See that every server runs that no URL points at; the settings with all three URLs.

        Servers that an earlier program left running in this home are taken over. If one cannot be started, those
        that were started for this call are stopped again.

        Raises:
            ServerError: a server could not be started, or its package is not installed.
        """
        servers = {name: self._server(name) for name in ROLES if not self._given(name)}
        with ThreadPoolExecutor(len(ROLES)) as pool:
            starts = {name: pool.submit(server.start, progress) for name, server in servers.items()}
        failed = [error for start in starts.values() if (error := start.exception())]
        if failed:
            for name, start in starts.items():
                if not start.exception() and start.result():
                    servers[name].stop()
            raise failed[0]
        return replace(
            self._settings,
            redis_url=self._url("redis"),
            timescale_url=self._url("timescale"),
            dagster_url=self._url("dagster"),
        )

    def stop(self) -> None:
        """Stop every server of this home, and nothing else."""
        servers = [self._server(name) for name in ROLES if self._folder(name).is_dir()]
        with ThreadPoolExecutor(len(ROLES)) as pool:
            stops = [pool.submit(server.stop) for server in servers]
        for stop in stops:
            stop.result()

    def env(self) -> dict[str, str]:
        """The variables that point programs at what is given or running, in the form that Settings reads."""
        urls = {role.variable: self._url(name) for name, role in ROLES.items()}
        return {HOME: str(self._settings.home)} | {name: url for name, url in urls.items() if url}

    def services(self) -> list[Service]:
        """The servers that are given or running, for people to read: without passwords."""
        rows = []
        for name, role in ROLES.items():
            url, given = self._url(name), bool(self._given(name))
            if url:
                log = None if given else self._server(name).log
                rows.append(Service(name, role.what, without_password(url), not given, log))
        return rows

    def dead(self) -> list[tuple[str, str]]:
        """Name and end of the log of each server that has ended since `start`; cheap."""
        return [(name, server.log_end()) for name, server in self._servers.items() if server.died()]

    def _given(self, name: str) -> str | None:
        url: str | None = getattr(self._settings, ROLES[name].setting)
        return url

    def _url(self, name: str) -> str | None:
        given = self._given(name)
        if given or not self._folder(name).is_dir():
            return given
        return self._server(name).url()

    def _folder(self, name: str) -> Path:
        return self._settings.home / "services" / name

    def _server(self, name: str) -> "ServerProcess":
        if name not in self._servers:
            role = ROLES[name]
            required("psutil", role.variable)
            module = import_module(f"trading_data.local.{role.module}")
            self._servers[name] = getattr(module, role.server)(self._folder(name), self._env, **self._options[name])
        return self._servers[name]
