"""What the environment says, read once and checked: see `Settings.from_env`.

Belongs here: names, forms and defaults of the `TRADING_DATA_*` and `DAGSTER_POSTGRES_URL` variables.
Does not: connections, and any default that only one module needs.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from trading_data.errors import SettingError
from trading_data.live.urls import parse
from trading_data.live.urls import without_password as without_password

REDIS_URL = "TRADING_DATA_REDIS_URL"
TIMESCALE_URL = "TRADING_DATA_TIMESCALE_URL"
DAGSTER_URL = "DAGSTER_POSTGRES_URL"
HOME = "TRADING_DATA_HOME"
INTAKE_URI = "TRADING_DATA_INTAKE_URI"
BACKUP_URI = "TRADING_DATA_BACKUP_URI"
START = "TRADING_DATA_START"
CALENDAR = "TRADING_DATA_CALENDAR"


@dataclass(frozen=True)
class Settings:
    """The environment, checked.

    `redis_url`, `timescale_url` and `dagster_url` are None where nothing points at a server; the two PostgreSQL
    URLs always name the psycopg2 driver (`postgresql+psycopg2://`), because SQLAlchemy 2.1 takes a bare
    `postgresql://` for psycopg 3. `calendar` names the exchange whose sessions say which bars there should be.
    """

    redis_url: str | None
    timescale_url: str | None
    dagster_url: str | None
    home: Path
    intake_uri: str
    backup_uri: str
    start: date
    calendar: str = "XNYS"

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "Settings":
        """Read and check the variables of `env` (default: the process environment).

        Raises:
            SettingError: a value has the wrong form; the message names the variable and the form expected.
        """
        env = os.environ if env is None else env
        home = Path(env.get(HOME) or ".trading_data").expanduser().absolute()
        return cls(
            redis_url=_redis_url(env),
            timescale_url=_postgres_url(env, TIMESCALE_URL),
            dagster_url=_postgres_url(env, DAGSTER_URL),
            home=home,
            intake_uri=env.get(INTAKE_URI) or str(home / "intake"),
            backup_uri=env.get(BACKUP_URI) or str(home / "backups"),
            start=_day(env, START, date(2000, 1, 1)),
            calendar=env.get(CALENDAR) or "XNYS",
        )

    def require_redis_url(self) -> str:
        """The live tier's URL, or a SettingError that says how to get one."""
        return self.redis_url or _missing(REDIS_URL)

    def require_timescale_url(self) -> str:
        """The archive tier's URL, or a SettingError that says how to get one."""
        return self.timescale_url or _missing(TIMESCALE_URL)


def _missing(name: str) -> str:
    raise SettingError(
        f"{name} is not set, so there is no server to talk to: "
        "set it, or start the embedded servers with `trading-data services start` "
        'and take their addresses with `eval "$(trading-data services env)"`'
    )


def _redis_url(env: Mapping[str, str]) -> str | None:
    value = env.get(REDIS_URL)
    return parse(value, REDIS_URL).text if value else None


def _postgres_url(env: Mapping[str, str], name: str) -> str | None:
    value = env.get(name)
    if not value:
        return None
    scheme, _, rest = value.partition("://")
    if scheme not in ("postgresql", "postgres", "postgresql+psycopg2") or not rest:
        raise SettingError(
            f"{name} must look like postgresql://user@host:5432/database, not {without_password(value)!r}"
        )
    return f"postgresql+psycopg2://{rest}"


def _day(env: Mapping[str, str], name: str, default: date) -> date:
    value = env.get(name)
    if not value:
        return default
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise SettingError(f"{name} must be a day like 2000-01-01, not {value!r}") from None
