"""The servers of a home: those without a URL are embedded, and are started, adopted, watched and stopped together.

Belongs here: which servers there are, their addresses, and which homes have running servers. Does not: running one of them
(`process`).
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_data.errors import SettingError
from trading_data.local.process import require_package
from trading_data.settings import DAGSTER_URL, HOME, REDIS_URL, TIMESCALE_URL, Settings, without_password

if TYPE_CHECKING:
    from trading_data.local.process import ServerProcess


@dataclass(frozen=True)
class Service:
    """One row of the table that `up` prints; `log` is None for a server given by URL."""

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
        """Start nothing yet. `env` is the environment of the servers (default: that of this program)."""
        self._settings = settings
        self._env = env
        self._options: dict[str, dict[str, Any]] = {
            "redis": {"maxmemory": redis_maxmemory},
            "timescale": {"home": settings.home},
            "dagster": {},
        }
        self._servers: dict[str, ServerProcess] = {}

    def start(self, progress: Callable[[str], None] = lambda _: None) -> Settings:
        """Start every server without a URL; returns the settings with all three URLs.

        Servers that an earlier program left running in this home are adopted. If one cannot be started, those started by this
        call are stopped again.

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
        """Stop every embedded server of this home, and nothing else."""
        servers = [self._server(name) for name in ROLES if self._folder(name).is_dir()]
        with ThreadPoolExecutor(len(ROLES)) as pool:
            stops = [pool.submit(server.stop) for server in servers]
        for stop in stops:
            stop.result()

    def env(self) -> dict[str, str]:
        """The variables with the URLs of the given and running servers, in the form that Settings reads."""
        urls = {role.variable: self._url(name) for name, role in ROLES.items()}
        return {HOME: str(self._settings.home)} | {name: url for name, url in urls.items() if url}

    def services(self) -> list[Service]:
        """The given and running servers for display, without passwords."""
        rows = []
        for name, role in ROLES.items():
            url, given = self._url(name), bool(self._given(name))
            if url:
                log = None if given else self._server(name).log
                rows.append(Service(name, role.what, without_password(url), not given, log))
        return rows

    def dead(self) -> list[tuple[str, str]]:
        """Name and end of the log of each server that ended since `start`. Fast enough to poll."""
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
            require_package("psutil", role.variable)
            module = import_module(f"trading_data.local.{role.module}")
            self._servers[name] = getattr(module, role.server)(self._folder(name), self._env, **self._options[name])
        return self._servers[name]


def embedded_urls(settings: Settings) -> dict[str, str]:
    """The variables of the embedded servers that run in this home; URLs in `settings` are ignored."""
    bare = Stack(replace(settings, redis_url=None, timescale_url=None, dagster_url=None))
    return {name: value for name, value in bare.env().items() if name != HOME}


def running_homes() -> list[Path]:
    """The homes with a running server, sorted, as far as this account may inspect their processes.

    No registry is needed: a running server keeps the lock file of its data open (`process.ServerProcess`).
    """
    try:
        import psutil
    except ImportError:  # installed without the extra `embedded`: no home has servers
        return []
    homes = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            homes |= {Path(file.path).parents[2] for file in process.open_files() if _is_lock(Path(file.path))}
    return sorted(homes)


def no_server_error(settings: Settings) -> SettingError:
    """The error for a home without a running server; names the homes that have one."""
    unset = not (settings.redis_url or settings.timescale_url)
    return SettingError(
        f"no server runs in the home {settings.home}{f', and no {REDIS_URL} or {TIMESCALE_URL} is set' * unset}: "
        f"{other_homes_advice(settings)}start servers here with `trading-data services start`, or everything with `trading-data up`"
    )


def other_homes_advice(settings: Settings) -> str:
    """Advice that names the other homes with running servers and ends with `; or `; empty if there are none."""
    homes = [home for home in running_homes() if home != settings.home.resolve()]
    if not homes:
        return ""
    return f"servers run in {', '.join(map(str, homes))}: choose with `export {HOME}={homes[0]}`; or "


def home_with_urls(settings: Settings) -> Path | None:
    """The other home on this machine whose embedded servers the set URLs name; None if there is none."""
    given = {REDIS_URL: settings.redis_url, TIMESCALE_URL: settings.timescale_url}
    for home in running_homes():
        if home != settings.home.resolve():
            urls = embedded_urls(replace(settings, home=home))
            if any(url and urls.get(name) == url for name, url in given.items()):
                return home
    return None


def _is_lock(path: Path) -> bool:
    return path.name == "in-use" and path.parent.name in ROLES and path.parents[1].name == "services"
