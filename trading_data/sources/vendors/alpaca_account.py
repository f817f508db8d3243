"""An account at Alpaca: its key, its data feed and where the servers are, from the environment.

Belongs here: names and forms of the variables. Does not: asking (`alpaca`) and streaming (`sources.feeds.alpaca`).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from trading_data.errors import SettingError
from trading_data.settings import without_password

KEYS = ("APCA_API_KEY_ID", "ALPACA_API_KEY")
SECRETS = ("APCA_API_SECRET_KEY", "ALPACA_SECRET_KEY")
FEED = "TRADING_DATA_ALPACA_FEED"
URL = "TRADING_DATA_ALPACA_URL"
STREAM_URL = "TRADING_DATA_ALPACA_STREAM_URL"
CORRECTIONS = "TRADING_DATA_ALPACA_CORRECTIONS"
FEEDS = ("iex", "sip")


@dataclass(frozen=True)
class AlpacaAccount:
    """Whose account it is, and which data it reads. Neither key nor secret is in its text.

    Attributes:
        key, secret: as Alpaca gave them.
        feed: `iex`, one exchange, free of charge; or `sip`, all US exchanges, which takes a subscription.
        url: base URL of the history (`/v2/stocks/bars` comes behind it), or None for Alpaca's own.
        stream_url: base URL of the stream (`/v2/iex` comes behind it), or None for Alpaca's own.
        corrections: whether the live feed follows corrections of trades. Alpaca sends them only to who follows all trades,
            which are many where the symbols are.
    """

    key: str = field(repr=False)
    secret: str = field(repr=False)
    feed: str = "iex"
    url: str | None = field(default=None, repr=False)
    stream_url: str | None = field(default=None, repr=False)
    corrections: bool = True

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "AlpacaAccount":
        """Read `APCA_API_KEY_ID` and `APCA_API_SECRET_KEY` (or `ALPACA_API_KEY` and `ALPACA_SECRET_KEY`) and the rest.

        Raises:
            SettingError: one is missing or has the wrong form.
        """
        env = os.environ if env is None else env
        feed = (env.get(FEED) or "iex").lower()
        if feed not in FEEDS:
            raise SettingError(f"{FEED} must be {' or '.join(FEEDS)}, not {feed!r}")
        corrections = (env.get(CORRECTIONS) or "yes").lower()
        if corrections not in ("yes", "no"):
            raise SettingError(f"{CORRECTIONS} must be yes or no, not {corrections!r}")
        return cls(
            _first(env, KEYS),
            _first(env, SECRETS),
            feed,
            _base(env, URL, ("https", "http")),
            _base(env, STREAM_URL, ("wss", "ws")),
            corrections == "yes",
        )

    @property
    def source(self) -> str:
        """What stands in the column `source` of its bars: the feeds differ in what they count as traded."""
        return f"alpaca:{self.feed}"

    def scrub(self, text: object) -> str:
        """A text that came from somebody else, fit for a log: without key and secret, on one line and not long."""
        shown = " ".join(str(text).replace(self.secret, "***").replace(self.key, "***").split())
        return shown if len(shown) <= 300 else shown[:299] + "…"


def _first(env: Mapping[str, str], names: tuple[str, ...]) -> str:
    found = next((value for name in names if (value := env.get(name, "").strip())), None)
    if found is None:
        raise SettingError(
            f"{names[0]} (or {names[1]}) is not set, so Alpaca will not answer: set {' and '.join(n[0] for n in (KEYS, SECRETS))} "
            "to the key and the secret that its dashboard shows"
        )
    if not found.isascii() or not found.isprintable() or " " in found:
        raise SettingError(f"{names[0]} (or {names[1]}) has characters in it that no key of Alpaca has: copy it again")
    return found


def _base(env: Mapping[str, str], name: str, schemes: tuple[str, str]) -> str | None:
    value = env.get(name, "").strip().rstrip("/")
    parts = urlsplit(value)
    if value and (parts.scheme not in schemes or not parts.netloc or parts.query or parts.fragment):
        raise SettingError(
            f"{name} must look like {schemes[0]}://host, without /v2 or anything behind it, not {without_password(value)!r}"
        )
    return value or None
