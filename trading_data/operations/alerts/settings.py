"""The `TRADING_DATA_ALERT_*` variables of the environment, read once and checked: see `AlertSettings.from_env`.

Belongs here: their names, forms and defaults. Does not: sending.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from trading_data.errors import SettingError
from trading_data.operations.alerts.services import Email, Secret, Webhook, named
from trading_data.operations.health.thresholds import WARN, Finding

WEBHOOK = "TRADING_DATA_ALERT_WEBHOOK"
WEBHOOK_TOKEN = "TRADING_DATA_ALERT_WEBHOOK_TOKEN"  # noqa: S105 - a name
EMAIL = "TRADING_DATA_ALERT_EMAIL"
EMAIL_PASSWORD = "TRADING_DATA_ALERT_EMAIL_PASSWORD"  # noqa: S105 - a name
URL = "TRADING_DATA_ALERT_URL"
EVERY = "TRADING_DATA_ALERT_EVERY"
ALERT_SETTINGS = "alert_settings"
T = TypeVar("T")
_DEFAULT_MINUTES = 30

_BETWEEN_URLS = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)|\s+")
"""A comma followed by a scheme; a URL may have commas of its own, between the addresses of a mailto://."""
_EMAIL_FORM = (
    "smtp://user@host:587?from=alerts@example.com&to=me@example.com (smtps:// for TLS from the first byte; several "
    "`to` by commas)"
)


@dataclass(frozen=True)
class AlertSettings:
    """Where alerts go besides the log, and how many seconds lie between two notifications of one finding.

    `urls` name services by the forms of apprise; each may hold secrets. `errors` has a line for each invalid
    variable, which is ignored: its name and the right form, without secrets.
    """

    webhook: Webhook | None
    email: Email | None
    every: float
    urls: tuple[str, ...] = field(default=(), repr=False)
    errors: tuple[str, ...] = ()

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "AlertSettings":
        """Read the variables of `env` (default: the process environment).

        An invalid variable costs its own channel only, or the interval that it would set, and is in `errors`; nothing is raised.
        """
        env = os.environ if env is None else env
        errors: list[str] = []
        return cls(
            _valid(lambda: _webhook(env), None, errors),
            _valid(lambda: _email(env), None, errors),
            _valid(lambda: _every(env), float(_DEFAULT_MINUTES), errors) * 60,
            _valid(lambda: _urls(env, errors), (), errors),
            tuple(errors),
        )


def wrong_settings(settings: AlertSettings) -> list[Finding]:
    """The finding that variables are invalid, if any is."""
    if not settings.errors:
        return []
    return [
        Finding(
            key=ALERT_SETTINGS,
            severity=WARN,
            message=f"invalid settings of alerts are ignored: {'; '.join(settings.errors)}",
            command="trading-data doctor",
            priority=460,
        )
    ]


def _valid(read: Callable[[], T], default: T, errors: list[str]) -> T:
    """What `read` returns; if it raises SettingError, the default, and a line more in `errors`."""
    try:
        return read()
    except SettingError as error:
        errors.append(str(error))
        return default


def _webhook(env: Mapping[str, str]) -> Webhook | None:
    url = env.get(WEBHOOK)
    if not url:
        return None
    parts = _split(url, WEBHOOK, "https://host/path")
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise SettingError(f"{WEBHOOK} must look like https://host/path, not {parts.scheme}://…")
    if "@" in parts.netloc:
        raise SettingError(f"{WEBHOOK} must have no user or password in it: put a token into {WEBHOOK_TOKEN}_FILE")
    token = _secret(env, WEBHOOK_TOKEN)
    if token and parts.scheme == "http" and not _is_local(parts.hostname):
        raise SettingError(
            f"{WEBHOOK} is http://, and {WEBHOOK_TOKEN} would go over the network in the clear: use https://"
        )
    return Webhook(url, token)


def _email(env: Mapping[str, str]) -> Email | None:
    url = env.get(EMAIL)
    if not url:
        return None
    parts = _split(url, EMAIL, _EMAIL_FORM)
    options = dict(parse_qsl(parts.query))
    unknown = sorted(set(options) - {"from", "to", "tls"})
    to = tuple(part.strip() for part in options.get("to", "").split(",") if part.strip())
    sender = options.get("from", "").strip()
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or unknown or not to or not sender:
        odd = f"; it has no option {', '.join(unknown)}" if unknown else ""
        raise SettingError(f"{EMAIL} must look like {_EMAIL_FORM}{odd}")
    if parts.password is not None:
        raise SettingError(
            f"{EMAIL} must have no password in it: put it into {EMAIL_PASSWORD} or {EMAIL_PASSWORD}_FILE"
        )
    invalid = [
        address for address in (*to, sender) if "@" not in address or any(letter.isspace() for letter in address)
    ]
    if invalid:
        raise SettingError(f"{EMAIL}: {invalid[0]!r} is no address; it must look like {_EMAIL_FORM}")
    if options.get("tls", "yes") not in ("yes", "no"):
        raise SettingError(f"{EMAIL}: tls must be yes or no, not {options['tls']!r}")
    encryption = "tls" if parts.scheme == "smtps" else "starttls" if options.get("tls", "yes") == "yes" else "none"
    user = unquote(parts.username or "")
    if user and encryption == "none" and not _is_local(parts.hostname):
        raise SettingError(
            f"{EMAIL} says tls=no, and the password would go over the network in the clear: leave that out"
        )
    port = parts.port or (465 if encryption == "tls" else 587)
    return Email(parts.hostname, port, user, _secret(env, EMAIL_PASSWORD), sender, to, encryption)


def _urls(env: Mapping[str, str], errors: list[str]) -> tuple[str, ...]:
    """The URLs of services, separated by blanks, line breaks or commas; an invalid one is left out and goes to `errors`."""
    try:
        text = _secret(env, URL).read()
    except SettingError as error:
        raise SettingError(f"{URL}: {error}") from error
    urls = []
    for number, url in enumerate(filter(None, _BETWEEN_URLS.split(text.strip())), 1):
        try:
            named(url)
            urls.append(url)
        except SettingError as error:
            errors.append(
                f"{URL} must be URLs of services such as slack://… or mailtos://…, with blanks between them; "
                f"number {number}, {error}"
            )
    return tuple(urls)


def _every(env: Mapping[str, str]) -> float:
    value = env.get(EVERY) or str(_DEFAULT_MINUTES)
    if not value.isascii() or not value.isdecimal() or not 1 <= int(value) <= 10_080:
        raise SettingError(
            f"{EVERY} must be whole minutes from 1 to 10080 (a week), not {value!r}; {_DEFAULT_MINUTES} are used"
        )
    return float(value)


def _secret(env: Mapping[str, str], name: str) -> Secret:
    file = env.get(f"{name}_FILE")
    if file and env.get(name):
        raise SettingError(f"{name} and {name}_FILE are both set: keep one")
    return Secret(env.get(name, ""), Path(file).expanduser() if file else None)


def _split(url: str, name: str, form: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise SettingError(f"{name} must look like {form}; its host or port cannot be read") from None
    return parts


def _is_local(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
