"""Connections to the live tier, with time-outs on everything, and its errors in this package's words.

Belongs here: making clients and translating errors. Does not: commands.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from trading_data.errors import LiveTierError, LiveTierFull
from trading_data.settings import without_password

Client = redis.Redis


def connect(url: str, *, timeout: float = 10.0, retries: int = 2) -> Client:
    """A client for `url`; nothing is sent before the first command. Replies are bytes.

    `timeout` bounds connecting and every reply, in seconds; a command that failed for the connection's sake is tried
    `retries` times more. Every command this package sends may be repeated: a repeated journal entry is an unchanged row.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        socket_keepalive=True,
        health_check_interval=30,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), retries),
        protocol=2,
    )


def connect_for_archiver(url: str, *, timeout: float = 30.0) -> Client:
    """A client that hands out stream entries as they come over the wire, without building a dict for each."""
    client = connect(url, timeout=timeout)
    for command in ("XRANGE", "XREVRANGE"):
        client.set_response_callback(command, _as_it_is)
    return client


def _as_it_is(reply: Any, **_: Any) -> Any:
    return reply


@contextmanager
def live_errors(client: Client) -> Iterator[None]:
    """Raise this package's errors for redis-py's, each saying which server and what to do next."""
    try:
        yield
    except OutOfMemoryError as error:
        raise full_error() from error
    except (RedisConnectionError, RedisTimeoutError) as error:
        raise LiveTierError(
            f"the live tier at {address(client)} does not answer ({error}): "
            "start it or correct TRADING_DATA_REDIS_URL; what it held is drained when it is back"
        ) from error
    except RedisError as error:
        raise LiveTierError(f"the live tier at {address(client)} answered: {error}") from error


def full_error() -> LiveTierFull:
    """The error for a write that was refused because the memory limit is reached."""
    return LiveTierFull(
        "the live tier is full and refused the write: nothing of it was lost there, it was not taken. "
        "Run `dagster job launch archive_job` or raise `maxmemory`, then write it again"
    )


def address(client: Client) -> str:
    """Where a client's server is, without its password."""
    options = client.connection_pool.connection_kwargs
    if "path" in options:
        return f"unix:{options['path']}"
    return without_password(
        f"redis://{options.get('host', 'localhost')}:{options.get('port', 6379)}/{options.get('db', 0)}"
    )
