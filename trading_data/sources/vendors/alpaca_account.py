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
    """An account and the data it reads. Its `repr` has neither key nor secret.

    Attributes:
        key, secret: as issued by Alpaca.
        feed: `iex`, one exchange, free of charge; or `sip`, all US exchanges, by subscription.
        url: base URL of the history, before `/v2/stocks/bars`; None for Alpaca's own.
        stream_url: base URL of the stream, before `/v2/iex`; None for Alpaca's own.
        corrections: whether the live feed follows corrections of trades. Alpaca only sends them to subscribers of all trades,
            which are many if there are many symbols.
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
        """The `source` of its bars; it names the feed, because feeds differ in which trades they count."""
        return f"alpaca:{self.feed}"

    def scrub(self, text: object) -> str:
        """A foreign text made safe for a log: without key and secret, on one line, at most 300 characters."""
        shown = " ".join(str(text).replace(self.secret, "***").replace(self.key, "***").split())
        return shown if len(shown) <= 300 else shown[:299] + "…"


def _first(env: Mapping[str, str], names: tuple[str, ...]) -> str:
    value = next((value for name in names if (value := env.get(name, "").strip())), None)
    if value is None:
        raise SettingError(
            f"{names[0]} (or {names[1]}) is not set, and Alpaca needs a key: set {' and '.join(n[0] for n in (KEYS, SECRETS))} "
            "to the key and the secret that its dashboard shows"
        )
    if not value.isascii() or not value.isprintable() or " " in value:
        raise SettingError(f"{names[0]} (or {names[1]}) has characters that no key of Alpaca has: copy it again")
    return value


def _base(env: Mapping[str, str], name: str, schemes: tuple[str, str]) -> str | None:
    value = env.get(name, "").strip().rstrip("/")
    parts = urlsplit(value)
    if value and (parts.scheme not in schemes or not parts.netloc or parts.query or parts.fragment):
        raise SettingError(
            f"{name} must look like {schemes[0]}://host, without /v2 or anything after it, not {without_password(value)!r}"
        )
    return value or None
