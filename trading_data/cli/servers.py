"""Which servers a command talks to: those that the environment names, else this home's embedded ones if they run.

Belongs here: this choice. Does not: starting anything.
"""

import os
from dataclasses import replace
from pathlib import Path

from trading_data.settings import DAGSTER_URL, REDIS_URL, TIMESCALE_URL, Settings


def settings_of_running() -> Settings:
    """The environment's settings, completed with the addresses of the embedded servers that run in this home.

    Raises:
        SettingError: a variable has the wrong form.
    """
    settings = Settings.from_env()
    if settings.redis_url and settings.timescale_url and settings.dagster_url:
        return settings
    try:
        from trading_data.services.stack import Stack
    except ImportError:  # installed without the extra `embedded`
        return settings
    running = Stack(settings).env()
    return replace(
        settings,
        redis_url=settings.redis_url or running.get(REDIS_URL),
        timescale_url=settings.timescale_url or running.get(TIMESCALE_URL),
        dagster_url=settings.dagster_url or running.get(DAGSTER_URL),
    )


def dagster_home(settings: Settings) -> Path | None:
    """Where Dagster's instance is described (DAGSTER_HOME, else this home's), None if there is none."""
    home = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster")
    return home if (home / "dagster.yaml").is_file() else None
