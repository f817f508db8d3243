"""What the environment says about alerts, read once and checked: see `AlertSettings.from_env`.

Belongs here: names, forms and defaults of the `TRADING_DATA_ALERT_*` variables. Does not: sending.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from trading_data.errors import SettingError
from trading_data.operations.alerts.destinations import Email, Secret, Webhook
from trading_data.operations.alerts.services import named
from trading_data.operations.health.thresholds import WARN, Finding

WEBHOOK = "TRADING_DATA_ALERT_WEBHOOK"
WEBHOOK_TOKEN = "TRADING_DATA_ALERT_WEBHOOK_TOKEN"  # noqa: S105 - a name
EMAIL = "TRADING_DATA_ALERT_EMAIL"
EMAIL_PASSWORD = "TRADING_DATA_ALERT_EMAIL_PASSWORD"  # noqa: S105 - a name
URL = "TRADING_DATA_ALERT_URL"
EVERY = "TRADING_DATA_ALERT_EVERY"
ALERT_SETTINGS = "alert_settings"

_BETWEEN_URLS = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)|\s+")
"""A comma may stand within a URL, too: between the addresses of a mailto://."""
_EMAIL_FORM = (
    "smtp://user@host:587?from=alerts@example.com&to=me@example.com (smtps:// for TLS from the first byte; several "
    "`to` by commas)"
)


@dataclass(frozen=True)
class AlertSettings:
    """Where alerts go besides the log, and how many seconds lie between two tellings of one trouble.

    `urls` are those of services that apprise knows; each may hold secrets.
    """

    webhook: Webhook | None
    email: Email | None
    every: float
    urls: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "AlertSettings":
        """Read and check the variables of `env` (default: the process environment).

        Raises:
            SettingError: a value has the wrong form; the message names the variable and the form, and shows no secret.
        """
        env = os.environ if env is None else env
        return cls(_webhook(env), _email(env), _every(env) * 60, _urls(env))


def wrong_settings(error: SettingError) -> Finding:
    """The finding that the settings have a wrong form."""
    return Finding(
        key=ALERT_SETTINGS,
        severity=WARN,
        message=f"alerts go to the log only: {error}",
        command="trading-data doctor",
        harm=460,
    )


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
    if token and parts.scheme == "http" and not _is_here(parts.hostname):
        raise SettingError(
            f"{WEBHOOK} is http://, and {WEBHOOK_TOKEN} would go over the net for all to read: use https://"
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
        odd = f"; it does not know {', '.join(unknown)}" if unknown else ""
        raise SettingError(f"{EMAIL} must look like {_EMAIL_FORM}{odd}")
    if parts.password is not None:
        raise SettingError(
            f"{EMAIL} must have no password in it: put it into {EMAIL_PASSWORD} or {EMAIL_PASSWORD}_FILE"
        )
    wrong = [one for one in (*to, sender) if "@" not in one or any(letter.isspace() for letter in one)]
    if wrong:
        raise SettingError(f"{EMAIL}: {wrong[0]!r} is no address; it must look like {_EMAIL_FORM}")
    if options.get("tls", "yes") not in ("yes", "no"):
        raise SettingError(f"{EMAIL}: tls must be yes or no, not {options['tls']!r}")
    encryption = "tls" if parts.scheme == "smtps" else "starttls" if options.get("tls", "yes") == "yes" else "none"
    user = unquote(parts.username or "")
    if user and encryption == "none" and not _is_here(parts.hostname):
        raise SettingError(
            f"{EMAIL} says tls=no, and the password would go over the net for all to read: leave that out"
        )
    port = parts.port or (465 if encryption == "tls" else 587)
    return Email(parts.hostname, port, user, _secret(env, EMAIL_PASSWORD), sender, to, encryption)


def _urls(env: Mapping[str, str]) -> tuple[str, ...]:
    """URLs of services, between which are blanks, line breaks or commas; checked one by one."""
    urls = tuple(part for part in _BETWEEN_URLS.split(_secret(env, URL).read().strip()) if part)
    if urls:
        for number, url in enumerate(urls, 1):
            try:
                named(url)
            except SettingError as error:
                raise SettingError(
                    f"{URL} must be URLs of services such as slack://… or mailtos://…, with blanks between them; "
                    f"number {number}, {error}"
                ) from None
    return urls


def _every(env: Mapping[str, str]) -> float:
    value = env.get(EVERY) or "30"
    if not value.isascii() or not value.isdecimal() or not 1 <= int(value) <= 10_080:
        raise SettingError(f"{EVERY} must be whole minutes from 1 to 10080 (a week), not {value!r}")
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


def _is_here(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
