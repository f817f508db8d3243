"""Connections to the live tier, with time-outs on everything, and its errors as this package's errors.

Belongs here: making clients and translating errors. Does not: commands, and the forms of a URL (`settings`).
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from weakref import WeakKeyDictionary

import redis
from redis.backoff import ExponentialBackoff
from redis.cluster import ClusterNode
from redis.connection import SSLConnection, parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisClusterException, RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

from trading_data.errors import BadInput, LiveTierError, LiveTierFull
from trading_data.live.cluster import LateCluster
from trading_data.live.refusals import code_of, refusal_of, sentence
from trading_data.settings import LiveUrl, parse

Client = redis.Redis
"""The client of the live tier; for a cluster, a stand-in with the same methods (`live.cluster`)."""

_urls: WeakKeyDictionary[object, LiveUrl] = WeakKeyDictionary()


def connect(url: str, *, timeout: float = 10.0, retries: int = 2) -> Client:
    """A client for `url` (its forms: `settings`); nothing is sent before the first command. Replies are bytes.

    `timeout` bounds connecting and every reply, in seconds. A command is retried `retries` times after a broken connection,
    but not after a time-out: redis-py nests its retries, and the caller would wait for minutes. Every command of this
    package may be repeated: a repeated journal entry is an unchanged row.

    Raises:
        SettingError: `url` has another form.
    """
    where = parse(url)
    retry = Retry(ExponentialBackoff(cap=1.0, base=0.05), retries, supported_errors=(RedisConnectionError,))
    options = {**socket_options(url, timeout), "health_check_interval": 30, "retry": retry}
    if where.kind == "cluster":
        client = cast(
            Client, LateCluster(lambda: _of_cluster(where, options), lambda error: error_of(where.shown, error))
        )
    elif where.kind == "sentinel":
        client = _master(where, options)
    else:
        client = redis.Redis.from_url(url, **options)
    _urls[client] = where
    return client


def connect_for_archiver(url: str, *, timeout: float = 30.0) -> Client:
    """A client that returns stream entries as they came over the wire, without building a dict for each."""
    client = connect(url, timeout=timeout)
    for command in ("XRANGE", "XREVRANGE"):
        client.set_response_callback(command, _unchanged)
    return client


def socket_options(url: str, timeout: float) -> dict[str, Any]:
    """Options of every connection to `url`; connecting and each reply take `timeout` seconds at most."""
    keepalive = {} if url.startswith("unix:") else {"socket_keepalive": True}
    return {"socket_timeout": timeout, "socket_connect_timeout": timeout, **keepalive, "protocol": 2}


def url_for_messages(client: Client) -> str:
    """The plain URL of one server that receives every publication. May query sentinels or the cluster, and so block.

    Raises:
        BadInput: `client` was not made by `connect`, so its URL is unknown.
        LiveTierError: neither the cluster nor the sentinels answer.
    """
    where = _urls.get(client)
    if where is None:
        raise BadInput(
            "a subscription needs its own connection: create the store with LiveStore.from_url, then subscribe"
        )
    if (cluster := _as_cluster(client)) is not None:
        return where.of_server(*random.choice(cluster.addresses()))  # noqa: S311 - any node will do
    if where.kind == "sentinel":
        with live_errors(client):
            return where.of_server(*cast(Any, client.connection_pool).get_master_address())
    return where.text


def urls_of_servers(client: Client) -> list[str]:
    """The plain URL of each server that takes writes, in the order of `info_of_each`. May query sentinels or the cluster.

    Raises:
        BadInput: `client` was not made by `connect`.
        LiveTierError: neither the cluster nor the sentinels answer.
    """
    cluster = _as_cluster(client)
    where = _urls.get(client)
    if cluster is None or where is None:
        return [url_for_messages(client)]
    return [where.of_server(*address) for address in cluster.addresses()]


def database_of(client: Client) -> int:
    """The number of a client's database; a cluster has only 0."""
    return 0 if _as_cluster(client) is not None else int(client.connection_pool.connection_kwargs.get("db", 0))


def info_of_each(client: Client, section: str) -> list[dict[str, Any]]:
    """A section of INFO, from each server that takes writes. Raises LiveTierError when one does not answer."""
    with live_errors(client):
        cluster = _as_cluster(client)
        return [client.info(section)] if cluster is None else cluster.info_of_each(section)


@contextmanager
def live_errors(client: Client) -> Iterator[None]:
    """Turn redis-py's errors into this package's, with the server and the next step."""
    try:
        yield
    except OutOfMemoryError as error:
        raise full_error() from error
    except (RedisError, RedisClusterException) as error:
        raise error_of(address(client), error) from error


def error_of(where: str, error: Exception) -> LiveTierError:
    """This package's error for one of redis-py's."""
    translated = LiveTierError(sentence(where, error))
    translated.command = "" if not code_of(error) else refusal_of(error).command
    return translated


def full_error() -> LiveTierFull:
    """The error for a write refused at the memory limit."""
    return LiveTierFull(
        "the live tier is full and refused the write; everything it accepted before is safe. "
        "Run `trading-data archive` or raise `maxmemory`, then repeat the write"
    )


def address(client: Client) -> str:
    """The address of a client's server, without user, password and options."""
    where = _urls.get(client)
    if where is not None:
        return where.shown
    options = client.connection_pool.connection_kwargs
    if "path" in options:
        return f"unix://{options['path']}"
    return f"redis://{options.get('host', 'localhost')}:{options.get('port', 6379)}/{options.get('db', 0)}"


def _as_cluster(client: object) -> LateCluster | None:
    return client if isinstance(client, LateCluster) else None


def _of_cluster(where: LiveUrl, options: dict[str, Any]) -> dict[str, Any]:
    first, *others = where.hosts
    nodes = [cast(Any, ClusterNode)(host, port) for host, port in others]
    return {"url": where.of_server(*first), "startup_nodes": nodes, **options}


def _master(where: LiveUrl, options: dict[str, Any]) -> Client:
    """The master according to the sentinels at the time of connecting; after a failover, the new one."""
    from_url = cast(Any, parse_url)(where.of_server(*where.hosts[0]))
    secure = {"ssl": True} if from_url.pop("connection_class", None) is SSLConnection else {}
    for name in ("host", "port"):
        from_url.pop(name, None)
    tls = {name: value for name, value in from_url.items() if name.startswith("ssl_")}
    of_sentinels = {name: options[name] for name in ("socket_timeout", "socket_connect_timeout", "retry", "protocol")}
    sentinel = cast(Any, Sentinel)(where.hosts, sentinel_kwargs={**of_sentinels, **where.of_sentinels, **secure, **tls})
    master: Client = sentinel.master_for(where.service, redis_class=redis.Redis, **{**options, **from_url, **secure})
    return master


def _unchanged(reply: Any, **_: Any) -> Any:
    return reply


@dataclass(frozen=True)
class MemoryReading:
    """Memory at one time. `used` and `limit` in bytes; `limit` 0: no maxmemory is set; `at` in seconds since 1970."""

    at: float
    used: int
    limit: int

    @property
    def ratio(self) -> float:
        """The used share of the limit; 0.0 without a limit."""
        return self.used / self.limit if self.limit else 0.0


def read_memory(client: Client, at: float) -> MemoryReading:
    """One INFO call to each server; for a cluster, the reading of its fullest node, which refuses writes first.

    Raises:
        LiveTierError: a server does not answer.
    """
    readings = [
        MemoryReading(at, int(info["used_memory"]), int(info["maxmemory"])) for info in info_of_each(client, "memory")
    ]
    return max(readings, key=lambda reading: (reading.ratio, reading.used))


def seconds_until_full(readings: list[MemoryReading]) -> float | None:
    """Seconds until the limit, by a least-squares line through the readings; None without growth or enough readings."""
    if len(readings) < 2 or not readings[-1].limit:
        return None
    last = readings[-1]
    mean_at = sum(reading.at for reading in readings) / len(readings)
    mean_used = sum(reading.used for reading in readings) / len(readings)
    spread = sum((reading.at - mean_at) ** 2 for reading in readings)
    if spread <= 0:
        return None
    slope = sum((reading.at - mean_at) * (reading.used - mean_used) for reading in readings) / spread
    return max(0.0, (last.limit - last.used) / slope) if slope > 0 else None
