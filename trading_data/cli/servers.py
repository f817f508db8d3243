"""Which servers and which home a command works on: what the environment names, else this home's embedded servers if they run.

Belongs here: this choice, and refusing a home that is certainly the wrong one. Does not: starting anything.
"""

import os
from dataclasses import replace
from pathlib import Path

from trading_data.errors import SettingError
from trading_data.local.homes import embedded, home_of, nothing_runs
from trading_data.settings import BACKUP_URI, DAGSTER_URL, HOME, INTAKE_URI, REDIS_URL, TIMESCALE_URL, Settings


def settings_of_running(*, needed: bool = True) -> Settings:
    """The environment's settings, completed with the addresses of the embedded servers that run in this home.

    Args:
        needed: refuse a home where there is no tier to work on; else say nothing and leave the addresses out.

    Raises:
        SettingError: a variable has the wrong form. No server of this home runs and no URL is set. Or the URLs are those of another
            home's servers, so that its batches on their way would be looked for, and written, where nobody reads them.
    """
    settings = Settings.from_env()
    running = embedded(settings)
    found = replace(
        settings,
        redis_url=settings.redis_url or running.get(REDIS_URL),
        timescale_url=settings.timescale_url or running.get(TIMESCALE_URL),
        dagster_url=settings.dagster_url or running.get(DAGSTER_URL),
    )
    if needed and not (found.redis_url or found.timescale_url or found.owner_url):
        raise nothing_runs(settings)
    if needed and not running and not os.environ.get(INTAKE_URI) and (other := home_of(settings)):
        raise SettingError(
            f"the servers that are set belong to the home {other}, but {HOME} is {settings.home}, whose intake nobody reads: "
            f"`export {HOME}={other}`, or name the intake with {INTAKE_URI}"
        )
    return found


def dagster_home(settings: Settings) -> Path | None:
    """Where Dagster's instance is described (DAGSTER_HOME, else this home's), None if there is none."""
    home = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster")
    return home if (home / "dagster.yaml").is_file() else None


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that tell a program of this system what `settings_of_running` found, Dagster's home among them."""
    home = dagster_home(settings)
    found = {
        HOME: str(settings.home),
        REDIS_URL: settings.redis_url,
        TIMESCALE_URL: settings.timescale_url,
        DAGSTER_URL: settings.dagster_url,
        INTAKE_URI: settings.intake_uri,
        BACKUP_URI: settings.backup_uri,
        "DAGSTER_HOME": str(home) if home else None,
    }
    return {name: value for name, value in found.items() if value}
