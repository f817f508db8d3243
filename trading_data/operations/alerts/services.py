"""Services that take alerts, all through `apprise`: a webhook, mail, and any other that an `apprise` URL names.

Belongs here: the destinations, and every use of `apprise`. Does not: what is due (`state`), and repeating what was not
delivered (`notify`).
"""

import logging
import os
import re
import ssl
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from trading_data import __version__
from trading_data.errors import SettingError
from trading_data.operations.alerts.message import Message

if TYPE_CHECKING:
    from apprise import AppriseAsset, NotifyBase


@dataclass(frozen=True)
class Secret:
    """A text that is never shown, or the file that holds it; the file is read on each use, so it may be changed."""

    text: str = field(default="", repr=False)
    file: Path | None = None

    def read(self) -> str:
        """The text, empty if unset.

        Raises:
            SettingError: the file cannot be read.
        """
        if self.file is None:
            return self.text
        try:
            return self.file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"the secret in {self.file} cannot be read: {error}") from error

    def __bool__(self) -> bool:
        """Whether it is set."""
        return bool(self.text or self.file)


@dataclass(frozen=True)
class Webhook:
    """Where alerts are posted as JSON. The URL may itself be a secret: show `shown`."""

    url: str = field(repr=False)
    token: Secret

    @property
    def shown(self) -> str:
        """Scheme and host only."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def path(self) -> str:
        """What follows the host."""
        return self.url.partition("://")[2].partition("/")[2]


@dataclass(frozen=True)
class Email:
    """A mail server, the sender and the addresses. `encryption` is `starttls`, `tls`, or `none`."""

    host: str
    port: int
    user: str
    password: Secret
    sender: str
    to: tuple[str, ...]
    encryption: str

    @property
    def shown(self) -> str:
        """Host and port."""
        return f"{'smtps' if self.encryption == 'tls' else 'smtp'}://{self.host}:{self.port}"


TIMEOUT = 5.0
"""Seconds for connecting and for each reply."""
_TOGETHER = 20.0
"""Seconds for a message with its retry; a tick of a Dagster sensor may take a minute."""
_BETWEEN_PIECES = 1
"""Seconds between the parts of a split message, and before a retry: the default of apprise, 5.5, would exceed the limit."""
_LOGGERS = ("apprise", "urllib3.connectionpool")
"""Their log records hold whole URLs, with tokens."""
_OF_APPRISE = ("version", "title", "message", "attachments", "type")
_SHORTEST_SECRET = 3
_LONGEST_REASON = 300
_TRIED = re.compile(r"Attempt \d+/\d+ ")
"""Log lines that say that a try failed, without the reason."""


def webhook(settings: Webhook, message: Message, timeout: float = TIMEOUT) -> "NotifyBase":
    """A client that posts our JSON and nothing else.

    Raises:
        SettingError: the token cannot be read.
    """
    with quiet():
        from apprise.plugins.custom_json import NotifyJSON

        parts = urlsplit(settings.url)
        headers = {"User-Agent": f"trading_data/{__version__}"}
        token = settings.token.read()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        make: Any = NotifyJSON
        service: NotifyBase = make(
            asset=_asset(),
            schema="jsons" if parts.scheme == "https" else "json",
            host=parts.netloc.rpartition(":")[0] if parts.port else parts.netloc,
            port=parts.port,
            fullpath=parts.path,
            params=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers=headers,
            payload={**dict.fromkeys(_OF_APPRISE, ""), **message.as_json()},
            cto=timeout,
            rto=timeout,
        )
        service.request_rate_per_sec = 0
    return service


def mail(settings: Email, to: str, timeout: float = TIMEOUT) -> "NotifyBase":
    """A client that mails plain text to one address.

    Raises:
        SettingError: the password cannot be read.
    """
    with quiet():
        from apprise.plugins.email import NotifyEmail

        make: Any = NotifyEmail
        service: NotifyBase = make(
            asset=_asset(),
            schema="mailtos" if settings.encryption != "none" else "mailto",
            host=settings.host,
            smtp_host=settings.host,
            port=settings.port,
            user=quote(settings.user) or None,
            password=quote(settings.password.read()) or None,
            from_addr=settings.sender,
            targets=to,
            secure_mode={"tls": "ssl", "starttls": "starttls", "none": "insecure"}[settings.encryption],
            format="text",
            cto=timeout,
            rto=timeout,
        )
        service.request_rate_per_sec = 0
    return service


def named(url: str) -> "NotifyBase":
    """The client of the service that a URL in the form of apprise names; it splits messages that are too long.

    Raises:
        SettingError: it names none; the text shows only the scheme of the URL.
    """
    with quiet() as log_lines:
        from apprise import Apprise, OverflowMode

        service = Apprise.instantiate(url, asset=_asset())
    if service is None:
        scheme = url.partition("://")[0] if "://" in url else "no scheme"
        raise SettingError(f"{scheme}://… is not taken: {reason(log_lines, secrets_of(url)) or 'it names no service'}")
    if not re.search(r"[?&]overflow=", url):
        service.overflow_mode = OverflowMode.SPLIT
    service.request_rate_per_sec = min(service.request_rate_per_sec, _BETWEEN_PIECES)
    return service


def secrets_of(url: str) -> set[str]:
    """All parts of a service's URL but its scheme: depending on the service, a token stands in the place of a host or a topic."""
    parts = {part for text in (url, unquote(url)) for part in re.split(r"[/?&=:@,;#\s]+", text)}
    scheme, mark, _ = url.partition("://")
    return parts - {scheme if mark else ""}


def deliver(service: "NotifyBase", message: Message, secrets: Iterable[str]) -> str | None:
    """Send a message by a service. Returns None if it was delivered, else the reason, without `secrets`."""
    from apprise import Apprise, AppriseResultStatus, NotifyFormat

    _trust(service)
    with quiet() as log_lines:
        result = Apprise([service], asset=service.asset).notify(
            body=message.as_text(), title=message.subject, body_format=NotifyFormat.TEXT, notify_type=message.kind
        )
    if result:
        return None
    if result.status == AppriseResultStatus.TIMEOUT:
        return f"did not take it within {_TOGETHER:g} s"
    return f"did not take it: {reason(log_lines, secrets) or 'it gives no reason'}"


def reason(log_lines: Iterable[str], secrets: Iterable[str]) -> str:
    """The log lines of a failure, each once, without secrets."""
    text = " ".join(dict.fromkeys(" ".join(line.split()) for line in log_lines))
    for secret in sorted({*secrets, *map(quote, secrets)}, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"


class _FailureLog(logging.Handler):
    """Keeps the log lines about failures: warnings, and errors of connections."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            self.lines += [] if _TRIED.match(text) else [text]
        elif text.startswith("Socket Exception: "):
            inner = re.search(r"Caused by (.*)\)$", text)  # of requests: what it says before repeats the address
            self.lines.append(f"({inner[1] if inner else text.removeprefix('Socket Exception: ')})")


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Keep the log records of apprise out of every log; yields its lines about failures."""
    handler, loggers = _FailureLog(), [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.propagate = False
    loggers[0].addHandler(handler)
    loggers[0].setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "'imghdr' is deprecated", DeprecationWarning
            )  # while its plugins are loaded
            yield handler.lines
    finally:
        loggers[0].removeHandler(handler)
        for logger, (propagate, level) in zip(loggers, before, strict=True):
            logger.propagate = propagate
            logger.setLevel(level)


def _asset() -> "AppriseAsset":
    """One retry; redirects are not followed: a redirected POST would send the token to another host."""
    from apprise import AppriseAsset

    return AppriseAsset(
        app_id="trading_data",
        app_desc="trading_data",
        http_redirects=False,
        default_service_retry=1,
        service_timeout=_TOGETHER,
    )


def _trust(service: "NotifyBase") -> None:
    """Verify certificates against those of the system, or of SSL_CERT_FILE; `requests` would use neither."""
    paths = ssl.get_default_verify_paths()
    if not service.verify_certificate:
        return
    for path in filter(None, (paths.cafile, paths.capath)):
        if Path(path).is_file() or any(os.scandir(path)):
            certificates: Any = path
            service.verify_certificate = certificates
            return
