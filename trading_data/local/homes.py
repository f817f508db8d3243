"""Which homes have servers that run on this machine, and the one error for a home that has none.

Belongs here: finding them by what their processes hold. Does not: starting, and the addresses of one home (`stack`).
"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from trading_data.errors import SettingError
from trading_data.local.servers import ROLES, Stack
from trading_data.settings import HOME, REDIS_URL, TIMESCALE_URL, Settings


def embedded(settings: Settings) -> dict[str, str]:
    """The variables of the embedded servers that run in this home; the URLs that are set count for nothing."""
    bare = Stack(replace(settings, redis_url=None, timescale_url=None, dagster_url=None))
    return {name: value for name, value in bare.env().items() if name != HOME}


def running_homes() -> list[Path]:
    """The homes with a server that runs, sorted; as far as this account may look at their processes.

    A server holds the lock file of its data open as long as it lives (`process.ServerProcess`), so this needs no register.
    """
    try:
        import psutil
    except ImportError:  # installed without the extra `embedded`: no home has servers
        return []
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            found |= {Path(file.path).parents[2] for file in process.open_files() if _is_lock(Path(file.path))}
    return sorted(found)


def nothing_runs(settings: Settings) -> SettingError:
    """The error for a home in which no server runs: where it looked, and which homes would do."""
    unset = not (settings.redis_url or settings.timescale_url)
    return SettingError(
        f"no server runs in the home {settings.home}{f', and no {REDIS_URL} or {TIMESCALE_URL} is set' * unset}: "
        f"{others(settings)}start servers here with `trading-data services start`, or everything with `trading-data up`"
    )


def others(settings: Settings) -> str:
    """The other homes that have running servers, as advice that ends with `; or `; empty if there is none."""
    homes = [home for home in running_homes() if home != settings.home.resolve()]
    if not homes:
        return ""
    return f"servers run in {', '.join(map(str, homes))}: choose with `export {HOME}={homes[0]}`; or "


def home_of(settings: Settings) -> Path | None:
    """The other home of this machine whose embedded servers the set URLs name, None if there is none."""
    given = {REDIS_URL: settings.redis_url, TIMESCALE_URL: settings.timescale_url}
    for home in running_homes():
        if home != settings.home.resolve():
            theirs = embedded(replace(settings, home=home))
            if any(url and theirs.get(name) == url for name, url in given.items()):
                return home
    return None


def _is_lock(path: Path) -> bool:
    return path.name == "in-use" and path.parent.name in ROLES and path.parents[1].name == "services"
