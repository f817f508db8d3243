"""The settings from the environment, read once and checked: see `Settings.from_env`.

Belongs here: names, forms and defaults of the `TRADING_DATA_*` and `DAGSTER_POSTGRES_URL` variables.
Does not: connections, and defaults that only one module needs.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from trading_data.errors import SettingError
from trading_data.first_day import first_day

FORMS = "redis://host:6379/0, rediss://…, unix://…, redis+cluster://host:port or redis+sentinel://host:port/service/0"
_KINDS: dict[str, Literal["server", "cluster", "sentinel"]] = {
    "redis": "server",
    "rediss": "server",
    "unix": "server",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
}
_PORTS = {"server": 6379, "cluster": 6379, "sentinel": 26379}
_OF_SENTINELS = "sentinel_"


@dataclass(frozen=True)
class LiveUrl:
    """A parsed URL of the live tier: `hosts` are the nodes or sentinels, `service` is the sentinels' name of the master."""

    text: str
    kind: Literal["server", "cluster", "sentinel"]
    hosts: tuple[tuple[str, int], ...]
    service: str
    database: int

    @property
    def shown(self) -> str:
        """The URL for messages: without user, password and options."""
        parts = urlsplit(self.text)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def of_server(self, host: str, port: int) -> str:
        """The plain URL of a single server, with the same user, password, database, options and TLS."""
        parts = urlsplit(self.text)
        user, at, _ = parts.netloc.rpartition("@")
        query = urlencode(
            [(option, value) for option, value in parse_qsl(parts.query) if not option.startswith(_OF_SENTINELS)]
        )
        name = f"[{host}]" if ":" in host else host
        scheme = parts.scheme.partition("+")[0]
        return f"{scheme}://{user}{at}{name}:{port}/{self.database}" + (f"?{query}" if query else "")

    @property
    def of_sentinels(self) -> dict[str, str]:
        """User and password for the sentinels themselves, under redis-py's names."""
        pairs = parse_qsl(urlsplit(self.text).query)
        return {name.removeprefix(_OF_SENTINELS): value for name, value in pairs if name.startswith(_OF_SENTINELS)}


def parse(url: str, what: str = "the live tier's URL") -> LiveUrl:
    """Parse a URL of the live tier.

    Raises:
        SettingError: it has none of the forms above; the message begins with `what`.
    """
    parts = urlsplit(url)
    kind = _KINDS.get(parts.scheme)
    if kind is None:
        raise SettingError(f"{what} must look like {FORMS}, not {without_password(url)!r}")
    if kind == "server":
        return LiveUrl(url, kind, (), "", 0)
    try:
        nodes = [urlsplit(f"//{part}") for part in parts.netloc.rpartition("@")[2].split(",")]
        hosts = tuple((node.hostname or "", node.port or _PORTS[kind]) for node in nodes)
        path = [part for part in parts.path.split("/") if part]
        service = path.pop(0) if kind == "sentinel" else ""
        database = int(path.pop(0)) if path else 0
    except (ValueError, IndexError):
        hosts, path, service, database = (), [], "", 0
    if not hosts or path or not all(host for host, _ in hosts) or (kind == "cluster" and database):
        form = "host:port[,host:port…]" + ("/service[/db]" if kind == "sentinel" else ", and has database 0 only")
        raise SettingError(f"{what} must look like {parts.scheme}://{form}; {without_password(url)!r} does not")
    return LiveUrl(url, kind, hosts, service, database)


def without_password(url: str) -> str:
    """`url` for logs and messages: without its passwords, also those in options."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    name, colon, password = user.partition(":")
    if password:
        parts = parts._replace(netloc=f"{name}{colon}***{at}{hosts}")
    options = parts.query.split("&")
    hidden = [
        f"{option.partition('=')[0]}=***" if option.partition("=")[0].endswith("password") else option
        for option in options
    ]
    return url if not password and hidden == options else parts._replace(query="&".join(hidden)).geturl()


REDIS_URL = "TRADING_DATA_REDIS_URL"
TIMESCALE_URL = "TRADING_DATA_TIMESCALE_URL"
DAGSTER_URL = "DAGSTER_POSTGRES_URL"
HOME = "TRADING_DATA_HOME"
INTAKE_URI = "TRADING_DATA_INTAKE_URI"
BACKUP_URI = "TRADING_DATA_BACKUP_URI"
START = "TRADING_DATA_START"
CALENDAR = "TRADING_DATA_CALENDAR"
OWNER_URL = "TRADING_DATA_TIMESCALE_OWNER_URL"
ADMIN_URL = "TRADING_DATA_TIMESCALE_ADMIN_URL"
DRILL_URL = "TRADING_DATA_DRILL_URL"
REDIS_BACKUP_URL = "TRADING_DATA_REDIS_BACKUP_URL"
UI_URL = "TRADING_DATA_UI_URL"
"""The address of Dagster's page, such as https://dagster.example.com: links in alerts begin with it."""
ARCHIVE_CRON = "TRADING_DATA_ARCHIVE_CRON"
"""The cron expression of `archive_schedule`; every five minutes if it is not set."""
HEALTH_SCHEDULE = "TRADING_DATA_HEALTH_SCHEDULE"
"""`off` stops `health_sensor`: for programs that count their own rows, such as the demo."""
SECRETS = (REDIS_URL, REDIS_BACKUP_URL, TIMESCALE_URL, OWNER_URL, ADMIN_URL, DRILL_URL, DAGSTER_URL)
"""Variables that can come from files: `NAME_FILE` names a file with the URL, `…_PASSWORD_FILE` one with its password."""


@dataclass(frozen=True)
class Settings:
    """The environment, checked.

    `redis_url`, `timescale_url` and `dagster_url` are None if not set. The PostgreSQL URLs always name the psycopg2 driver
    (`postgresql+psycopg2://`), because SQLAlchemy 2.1 uses psycopg 3 for a bare `postgresql://`.
    `calendar` names the exchange whose sessions define the expected bars.
    `redis_backup_url` is the live tier with a user that may copy it and do nothing else.
    `owner_url` is the archive with the owner of its tables, for migrations, compression and retention.
    `start` is the first day from which rows are accepted; Dagster's partitions may begin later, see `first_shown_day`.
    `ui_url` is the address of Dagster's page, without a slash at its end; empty if not set.
    `drill_url` is a server for restore drills: only a superuser can restore, and this process should not know production's.
    """

    redis_url: str | None = field(repr=False)
    timescale_url: str | None = field(repr=False)
    dagster_url: str | None = field(repr=False)
    home: Path
    intake_uri: str
    backup_uri: str
    start: date
    calendar: str = "XNYS"
    owner_url: str | None = field(default=None, repr=False)
    redis_backup_url: str | None = field(default=None, repr=False)
    drill_url: str | None = field(default=None, repr=False)
    ui_url: str = ""

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "Settings":
        """Read and check the variables of `env` (default: the process environment).

        Raises:
            SettingError: a value has the wrong form; the message names the variable and the form expected.
        """
        env = with_secrets(os.environ if env is None else env)
        home = Path(env.get(HOME) or ".trading_data").expanduser().absolute()
        return cls(
            redis_url=_redis_url(env, REDIS_URL),
            timescale_url=postgres_url(env, TIMESCALE_URL),
            dagster_url=postgres_url(env, DAGSTER_URL),
            home=home,
            intake_uri=env.get(INTAKE_URI) or str(home / "intake"),
            backup_uri=env.get(BACKUP_URI) or str(home / "backups"),
            start=first_partition(env),
            calendar=env.get(CALENDAR) or "XNYS",
            owner_url=postgres_url(env, OWNER_URL),
            redis_backup_url=_redis_url(env, REDIS_BACKUP_URL),
            drill_url=postgres_url(env, DRILL_URL),
            ui_url=(env.get(UI_URL) or "").rstrip("/"),
        )

    def require_redis_url(self) -> str:
        """The live tier's URL. Raises SettingError, with the remedy, if it is not set."""
        return self.redis_url or _missing(REDIS_URL)

    def require_timescale_url(self) -> str:
        """The archive tier's URL. Raises SettingError, with the remedy, if it is not set."""
        return self.timescale_url or _missing(TIMESCALE_URL)

    def require_redis_backup_url(self) -> str:
        """The live tier's URL for backups; the common one if no other is set."""
        return self.redis_backup_url or self.require_redis_url()

    def require_owner_url(self) -> str:
        """The archive tier's URL for its owner; the common one if no other is set."""
        return self.owner_url or self.require_timescale_url()


def first_partition(env: Mapping[str, str] | None = None) -> date:
    """The first day partition of the archive, from `TRADING_DATA_START` in `env` (default: the process environment).

    Raises:
        SettingError: the value is not a day.
    """
    return _day(os.environ if env is None else env, START, date(2000, 1, 1))


def first_shown_day(env: Mapping[str, str] | None = None) -> date:
    """The first day that Dagster shows: `TRADING_DATA_START`, else the first day with data in this home."""
    given = os.environ if env is None else env
    settings = Settings.from_env(given)
    return settings.start if given.get(START) else first_day(settings.home) or settings.start


def password_file(name: str) -> str:
    """The variable for the file with the password of the URL in the variable `name`."""
    return f"{name.removesuffix('_URL')}_PASSWORD_FILE"


def with_secrets(env: Mapping[str, str]) -> dict[str, str]:
    """`env` with the URLs and passwords read from files; the variables for the files are removed.

    Raises:
        SettingError: a file cannot be read or is empty, or a secret is given twice. The message names variables and files.
    """
    out = dict(env)
    for name in SECRETS:
        if file := out.pop(f"{name}_FILE", ""):
            if out.get(name):
                raise SettingError(f"both {name} and {name}_FILE are set: unset one of them")
            out[name] = _from_file(f"{name}_FILE", file)
        if file := out.pop(password_file(name), ""):
            out[name] = _with_password(out.get(name, ""), _from_file(password_file(name), file), name)
    return out


def without_secrets(env: Mapping[str, str]) -> dict[str, str]:
    """`env` without the variables for files of secrets, for a process that gets its URLs directly."""
    files = {file for name in SECRETS for file in (f"{name}_FILE", password_file(name))}
    return {name: value for name, value in env.items() if name not in files}


def _from_file(variable: str, file: str) -> str:
    try:
        content = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingError(f"{variable} names {file}, which cannot be read ({reason}): correct it") from None
    if not content or "\n" in content:
        raise SettingError(f"{variable} names {file}, which must hold exactly one line: correct it")
    return content


def _with_password(url: str, password: str, name: str) -> str:
    scheme, mark, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    user, at, host = place.rpartition("@")
    if not mark or not at or not user or ":" in user:
        raise SettingError(
            f"{password_file(name)} is set, so {name} must name a user and no password, as in scheme://user@host, "
            f"not {without_password(url)!r}"
        )
    return f"{scheme}://{user}:{quote(password, safe='')}@{host}{slash}{path}"


def _missing(name: str) -> str:
    raise SettingError(
        f"{name} is not set, so there is no server to connect to: "
        "set it, or start the embedded servers with `trading-data services start` "
        'and take their addresses with `eval "$(trading-data services env)"`'
    )


def _redis_url(env: Mapping[str, str], name: str) -> str | None:
    value = env.get(name)
    return parse(value, name).text if value else None


def postgres_url(env: Mapping[str, str], name: str) -> str | None:
    """The URL in a variable, with the driver; None if it is not set. Raises SettingError for another form."""
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
