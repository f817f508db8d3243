"""The ways an alert goes: a webhook, e-mail, the log. Each either delivers a message or says why not.

Belongs here: sending, with time-outs and few retries. Does not: what is due, and what happens to what did not arrive
(`tell`).
"""

import http.client
import json
import logging
import smtplib
import ssl
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Any, Protocol

from trading_data import __version__
from trading_data.alerts.message import Message, paragraph
from trading_data.alerts.settings import AlertSettings, Email, Webhook
from trading_data.alerts.state import CLEARED
from trading_data.errors import SettingError, TradingDataError
from trading_data.health.thresholds import ERROR

TIMEOUT = 5.0
"""Seconds for connecting and for each reply."""
_PAUSE = 0.3
_log = logging.getLogger(__name__)
_AGAIN = {429, 500, 502, 503, 504}


class NotDelivered(TradingDataError):
    """A message did not arrive; the text says where to and why, without secrets."""


class Channel(Protocol):
    """A way for alerts."""

    @property
    def name(self) -> str:
        """The same for ever: what was told is remembered by it."""

    def send(self, message: Message) -> None:
        """Deliver a message.

        Raises:
            NotDelivered: it did not arrive.
        """


class LogChannel:
    """The log: always there."""

    name = "log"

    def __init__(self, logger: logging.Logger) -> None:
        """Write to `logger`."""
        self._logger = logger

    def send(self, message: Message) -> None:
        """A record an alert, at the level of its severity."""
        for one in message.alerts:
            errors = one.finding.severity == ERROR
            level = logging.INFO if one.status == CLEARED else logging.ERROR if errors else logging.WARNING
            self._logger.log(level, "alert: %s", paragraph(one))


class WebhookChannel:
    """A JSON POST; any 2xx answer is delivery. Certificates are verified, redirections are not followed."""

    name = "webhook"

    def __init__(self, settings: Webhook, *, timeout: float = TIMEOUT, tries: int = 2) -> None:
        """Post to what the settings name; `timeout` in seconds."""
        self._settings, self._timeout, self._tries = settings, timeout, tries
        self._opener = urllib.request.build_opener(_NoRedirection)

    def send(self, message: Message) -> None:
        """Post it; a refused connection and answers like 503 are tried once more, a time-out is not."""
        try:
            request = self._request(message)
        except SettingError as error:
            raise NotDelivered(f"the webhook {self._settings.shown} has no token: {error}") from error
        for left in reversed(range(self._tries)):
            said, again = self._post(request)
            if said is None:
                return
            if not left or not again:
                raise NotDelivered(f"the webhook {self._settings.shown} {said}")
            time.sleep(_PAUSE)

    def _request(self, message: Message) -> urllib.request.Request:
        body = json.dumps(message.as_json(), ensure_ascii=False, allow_nan=False).encode()
        headers = {"Content-Type": "application/json", "User-Agent": f"trading_data/{__version__}"}
        token = self._settings.token.read()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return urllib.request.Request(self._settings.url, data=body, headers=headers, method="POST")  # noqa: S310

    def _post(self, request: urllib.request.Request) -> tuple[str | None, bool]:
        """Why it was not delivered (None if it was), and whether it is worth another try."""
        try:
            with self._opener.open(request, timeout=self._timeout):
                return None, False
        except urllib.error.HTTPError as error:
            with error:
                return f"answered {error.code}", error.code in _AGAIN
        except TimeoutError:
            return f"did not answer within {self._timeout:g} s", False
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                return f"did not answer within {self._timeout:g} s", False
            return f"cannot be reached ({type(reason).__name__})", not isinstance(reason, ssl.SSLError)


class EmailChannel:
    """A plain text message over SMTP, by STARTTLS unless told otherwise; certificates are verified."""

    name = "email"

    def __init__(self, settings: Email, *, timeout: float = TIMEOUT, context: ssl.SSLContext | None = None) -> None:
        """Send by the server that the settings name; `context` replaces the system's certificates."""
        self._settings, self._timeout = settings, timeout
        self._context = context

    def send(self, message: Message) -> None:
        """Hand it over to the server."""
        mail = EmailMessage()
        mail["Subject"] = message.subject
        mail["From"], mail["To"] = self._settings.sender, ", ".join(self._settings.to)
        mail["Date"] = format_datetime(datetime.fromtimestamp(message.at, UTC))
        mail["Message-ID"] = make_msgid(idstring=message.id, domain="trading_data")
        mail.set_content(message.as_text())
        try:
            self._hand_over(mail)
        except SettingError as error:
            raise NotDelivered(f"the mail server {self._settings.shown} gets no password: {error}") from error
        except smtplib.SMTPResponseException as error:
            raise NotDelivered(f"the mail server {self._settings.shown} answered {error.smtp_code}") from error
        except smtplib.SMTPRecipientsRefused as error:
            refused = ", ".join(error.recipients)
            raise NotDelivered(f"the mail server {self._settings.shown} refused {refused}") from error
        except (smtplib.SMTPException, OSError) as error:
            slow = isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)
            why = f"within {self._timeout:g} s" if slow else f"({type(error).__name__}: {error})"
            raise NotDelivered(f"the mail server {self._settings.shown} did not take it {why}") from error

    def _hand_over(self, mail: EmailMessage) -> None:
        one = self._settings
        context = self._context or ssl.create_default_context()
        kind: Any = smtplib.SMTP_SSL if one.encryption == "tls" else smtplib.SMTP
        options = {"context": context} if one.encryption == "tls" else {}
        with kind(one.host, one.port, timeout=self._timeout, **options) as server:
            if one.encryption == "starttls":
                server.starttls(context=context)
            if one.user:
                server.login(one.user, one.password.read())
            refused = server.send_message(mail, one.sender, list(one.to))
        if refused:  # the others have it: sending it again would tell them twice
            _log.warning("the mail server %s refused %s of %s", one.shown, ", ".join(refused), ", ".join(one.to))


def channels(settings: AlertSettings, logger: logging.Logger) -> list[Channel]:
    """All channels that are set, the log among them."""
    found: list[Channel] = [LogChannel(logger)]
    if settings.webhook is not None:
        found.append(WebhookChannel(settings.webhook))
    if settings.email is not None:
        found.append(EmailChannel(settings.email))
    return found


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET without the alert, and take the token to wherever it is sent."""

    def redirect_request(self, *_: Any) -> None:
        return None
