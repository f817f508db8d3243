"""Pipelines packed and parsed by hiredis, without redis-py in between.

redis-py spends more time on a command and its reply than the server does. Its own pipelines are kept where they know more than
a socket does: in a cluster the node of each key, behind sentinels whether a master is still one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hiredis
import redis

from trading_data.live.connection import Client
from trading_data.live.redis_internals import error_maker, socket_of
from trading_data.live.writes import Command, publisher

_BLOCK = 1 << 16
_PACKED = 500
"""Commands that are packed and sent together."""


def exchange(client: Client, commands: Sequence[Command]) -> list[Any]:
    """Send commands and return their replies; a command that the server refused has an error as its reply.

    As with redis-py's pipelines, all commands are sent again after a lost connection, as often as the client retries.

    Raises:
        redis.ConnectionError, redis.TimeoutError: it stays lost; which commands were done is not known.
    """
    if not _can_pack(client):
        return _through_redis_py(client, commands)
    pool = client.connection_pool
    connection: Any = pool.get_connection()
    try:
        replies: list[Any] = connection.retry.call_with_retry(
            lambda: _exchange(connection, commands), lambda _: connection.disconnect()
        )
    except BaseException:
        connection.disconnect()  # replies that nobody waits for may still arrive
        raise
    finally:
        pool.release(connection)
    return replies


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
    """Send in blocks, so that the server works while the next block is packed; the replies are short and wait in the socket."""
    for start in range(0, len(commands), _PACKED):
        block = commands[start : start + _PACKED]
        connection.send_packed_command([b"".join(map(hiredis.pack_command, block))], check_health=start == 0)
    reader = hiredis.Reader(replyError=error_maker(connection))
    server = socket_of(connection)
    replies: list[Any] = []
    with socket_errors():
        while len(replies) < len(commands):
            received = server.recv(_BLOCK)
            if not received:
                raise closed()
            reader.feed(received)
            while (reply := reader.gets()) is not False:  # False: no complete reply left
                replies.append(reply)
    for reply in replies:
        if isinstance(reply, redis.ConnectionError):
            raise reply
    return replies
