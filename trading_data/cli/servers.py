"""Which servers a command talks to: those that the environment names, else this home's embedded ones if they run.

Belongs here: this choice. Does not: starting anything.
"""

from dataclasses import replace

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
