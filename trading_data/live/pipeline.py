"""Many commands at one go, as bytes that are packed here and replies that are taken as they come.

redis-py spends more on a command and its reply than the server does. Its own way is kept where it knows more than a socket
does: in a cluster which node has which key, behind sentinels that a master is none any more.

Belongs here: sending, receiving, and what a lost connection means. Does not: which commands, and what replies say.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hiredis
import redis

from trading_data.live.connection import Client
from trading_data.live.writes import Command, publisher

_BLOCK = 1 << 16
_PACKED = 500
"""Commands that are packed and sent together."""


def exchange(client: Client, commands: Sequence[Command]) -> list[Any]:
    """Send commands and return their replies, errors of the server among them for what it refused.

    As with redis-py's pipelines, all of them are sent again, as often as the client retries, where the connection is lost.

    Raises:
        redis.ConnectionError, redis.TimeoutError: it stays lost; which commands were done is not known.
    """
    if not _can_pack(client):
        return _through_redis_py(client, commands)
    pool = client.connection_pool
    connection: Any = pool.get_connection()
    try:
        found: list[Any] = connection.retry.call_with_retry(
            lambda: _exchange(connection, commands), lambda _: connection.disconnect()
        )
    except BaseException:
        connection.disconnect()  # replies may be on their way that nobody waits for
        raise
    finally:
        pool.release(connection)
    return found


@contextmanager
def socket_errors() -> Iterator[None]:
    """Raise redis-py's errors for those of a socket."""
    try:
        yield
    except TimeoutError as error:
        raise redis.TimeoutError("the server did not answer in time") from error
    except OSError as error:
        raise redis.ConnectionError(str(error)) from error


def closed() -> redis.ConnectionError:
    """The error for a connection that the server has closed."""
    return redis.ConnectionError("the server closed the connection")


def _can_pack(client: Client) -> bool:
    """Whether a client talks to one server, at an address that stays."""
    return type(client) is redis.Redis and type(client.connection_pool) is redis.ConnectionPool


def _through_redis_py(client: Client, commands: Sequence[Command]) -> list[Any]:
    pipeline: Any = client.pipeline(transaction=False)
    publish = publisher(client, pipeline)
    for command in commands:
        if command[0] == "PUBLISH":
            publish(*command[1:])
        else:
            pipeline.execute_command(*command)
    replies: list[Any] = pipeline.execute(raise_on_error=False)
    return replies


def _exchange(connection: Any, commands: Sequence[Command]) -> list[Any]:
    """The server works on what it has while the next commands are packed; its replies wait in the socket, being short."""
    for start in range(0, len(commands), _PACKED):
        block = commands[start : start + _PACKED]
        connection.send_packed_command([b"".join(map(hiredis.pack_command, block))], check_health=start == 0)
    reader = hiredis.Reader(replyError=connection._parser.parse_error)
    replies: list[Any] = []
    with socket_errors():
        while len(replies) < len(commands):
            received = connection._sock.recv(_BLOCK)
            if not received:
                raise closed()
            reader.feed(received)
            while (reply := reader.gets()) is not False:  # it has no whole one any more
                replies.append(reply)
    for reply in replies:
        if isinstance(reply, redis.ConnectionError):
            raise reply
    return replies
