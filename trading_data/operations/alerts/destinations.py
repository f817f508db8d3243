"""Where alerts go: a webhook, a mail server, and their secrets."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from trading_data.errors import SettingError


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
