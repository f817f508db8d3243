"""The live tier's URL: one server, a cluster, or a master that sentinels know, with or without TLS.

    redis://[user:password@]host:port/db              one server; rediss:// with TLS, unix:///path?db=0 a socket
    redis+cluster://host:port[,host:port…]            a Redis Cluster, found by any of the nodes named; rediss+cluster://
    redis+sentinel://host:port[,…]/service[/db]       the master of `service`, as the sentinels say; rediss+sentinel://

What follows a `?` are redis-py's options (`ssl_ca_certs=…`), and for sentinels `sentinel_username`, `sentinel_password`.

Belongs here: taking a URL apart, and showing it without its secrets. Does not: connections.
"""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from trading_data.errors import SettingError

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
    """A URL, taken apart: `hosts` are the nodes or sentinels named, `service` what the sentinels call their master."""

    text: str
    kind: Literal["server", "cluster", "sentinel"]
    hosts: tuple[tuple[str, int], ...]
    service: str
    database: int

    @property
    def shown(self) -> str:
        """Where it points, for messages: without user, password and options."""
        parts = urlsplit(self.text)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def of_server(self, host: str, port: int) -> str:
        """The plain URL of one server behind it: the same user, password, database, options and TLS."""
        parts = urlsplit(self.text)
        user, at, _ = parts.netloc.rpartition("@")
        query = urlencode([one for one in parse_qsl(parts.query) if not one[0].startswith(_OF_SENTINELS)])
        name = f"[{host}]" if ":" in host else host
        scheme = parts.scheme.partition("+")[0]
        return f"{scheme}://{user}{at}{name}:{port}/{self.database}" + (f"?{query}" if query else "")

    @property
    def of_sentinels(self) -> dict[str, str]:
        """User and password of the sentinels themselves, as redis-py names them."""
        pairs = parse_qsl(urlsplit(self.text).query)
        return {name.removeprefix(_OF_SENTINELS): value for name, value in pairs if name.startswith(_OF_SENTINELS)}


def parse(url: str, what: str = "the live tier's URL") -> LiveUrl:
    """Take a URL apart.

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
        named = [urlsplit(f"//{one}") for one in parts.netloc.rpartition("@")[2].split(",")]
        hosts = tuple((one.hostname or "", one.port or _PORTS[kind]) for one in named)
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
    """`url` fit for a log or an error text: without its passwords, those among the options included."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    name, colon, password = user.partition(":")
    if password:
        parts = parts._replace(netloc=f"{name}{colon}***{at}{hosts}")
    options = parts.query.split("&")
    hidden = [f"{one.partition('=')[0]}=***" if one.partition("=")[0].endswith("password") else one for one in options]
    return url if not password and hidden == options else parts._replace(query="&".join(hidden)).geturl()
