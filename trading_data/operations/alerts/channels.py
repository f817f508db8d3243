"""The channels of alerts: the log, a webhook, mail, other services. Each delivers a message or raises the reason why not.

Belongs here: the channels and their names. Does not: how a service is reached (`services`), what is due, and repeating what was not
delivered (`notify`).
"""

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from trading_data.errors import SettingError, TradingDataError
from trading_data.operations.alerts import services
from trading_data.operations.alerts.message import Message, paragraph
from trading_data.operations.alerts.services import Email, Webhook
from trading_data.operations.alerts.settings import AlertSettings
from trading_data.operations.alerts.state import CLEARED
from trading_data.operations.health.thresholds import ERROR

if TYPE_CHECKING:
    from apprise import NotifyBase


class NotDelivered(TradingDataError):
    """A message was not delivered; the text names destination and reason, without secrets."""


class Channel(Protocol):
    """A way on which alerts are delivered."""

    @property
    def name(self) -> str:
        """Never changes: the state of the channel is saved under it."""

    def send(self, message: Message) -> None:
        """Deliver a message.

        Raises:
            NotDelivered: it was not delivered.
        """


class LogChannel:
    """The log; always used."""

    name = "log"

    def __init__(self, logger: logging.Logger) -> None:
        """Write to `logger`."""
        self._logger = logger

    def send(self, message: Message) -> None:
        """A log record for each alert, at the level of its severity."""
        for alert in message.alerts:
            is_error = alert.finding.severity == ERROR
            level = logging.INFO if alert.status == CLEARED else logging.ERROR if is_error else logging.WARNING
            self._logger.log(level, "alert: %s", paragraph(alert))


@dataclass(frozen=True)
class ServiceChannel:
    """A service that takes messages. `shown` names it without secrets; `make` builds its client; `secrets` are hidden in errors."""

    name: str
    shown: str
    make: Callable[[Message], "NotifyBase"]
    secrets: Callable[[], Iterable[str]]

    def send(self, message: Message) -> None:
        """Deliver the message, with one retry."""
        try:
            reason = services.deliver(self.make(message), message, self.secrets())
        except SettingError as error:
            reason = f"has an invalid setting: {error}"
        if reason is not None:
            raise NotDelivered(f"{self.shown} {reason}")


def webhook_channel(settings: Webhook, timeout: float = services.TIMEOUT) -> ServiceChannel:
    """A channel that posts our JSON; any 2xx response counts as delivered."""
    return ServiceChannel(
        "webhook",
        f"the webhook {settings.shown}",
        lambda message: services.webhook(settings, message, timeout),
        lambda: {*services.secrets_of(settings.path), settings.token.read()},
    )


def email_channels(settings: Email, timeout: float = services.TIMEOUT) -> list[ServiceChannel]:
    """A channel for each address, so that a refused address neither delays the others nor repeats their messages."""

    def to(address: str, name: str) -> ServiceChannel:
        return ServiceChannel(
            name,
            f"the mail server {settings.shown}",
            lambda _: services.mail(settings, address, timeout),
            lambda: [settings.password.read()],
        )

    return [to(address, f"email.{address}" if number else "email") for number, address in enumerate(settings.to)]


def service_channel(url: str) -> ServiceChannel:
    """The channel of a service's URL. Its name has four hex digits of the URL's hash, which reveal no secret."""
    scheme = url.partition("://")[0].lower()
    digits = hashlib.sha256(url.encode()).hexdigest()[:4]
    return ServiceChannel(
        f"{scheme}.{digits}", scheme, lambda _: services.named(url), partial(services.secrets_of, url)
    )


def channels(settings: AlertSettings, logger: logging.Logger) -> list[Channel]:
    """All configured channels, and the log."""
    used: list[Channel] = [LogChannel(logger)]
    if settings.webhook is not None:
        used.append(webhook_channel(settings.webhook))
    if settings.email is not None:
        used += email_channels(settings.email)
    return [*used, *map(service_channel, settings.urls)]
