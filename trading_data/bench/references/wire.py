"""The live tier without a client library: packed commands on a socket, whose replies are counted but not parsed.

No client can be faster. An ECHO after the commands marks the end of the replies.
"""

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import hiredis
from redis.exceptions import ResponseError

_MARK = b"end of replies"
_END = b"$%d\r\n%s\r\n" % (len(_MARK), _MARK)
_BUFFER = 1 << 20


def packed(*command: Any) -> bytes:
    """A command in the form of the protocol."""
    return cast(bytes, hiredis.pack_command(command))


_ECHO = packed("ECHO", _MARK)


class Wire:
    """An authenticated socket to the live tier."""

    def __init__(self, sock: socket.socket) -> None:
        """Use `wire`, which opens one."""
        self._sock = sock
        self._buffer = bytearray(_BUFFER)

    def send(self, commands: bytes) -> int:
        """Send packed commands and an ECHO, and receive all replies; returns their size in bytes.

        Raises:
            ResponseError: the first reply is an error.
            ConnectionError: the server closed the connection.
        """
        self._sock.sendall(commands + _ECHO)
        total, tail = 0, b""
        view = memoryview(self._buffer)
        while not tail.endswith(_END):
            count = self._sock.recv_into(view)
            if not count:
                raise ConnectionError("the live tier closed the connection of a bench: see its log")
            if total == 0 and view[0] == ord("-"):
                raise ResponseError(bytes(view[:count]).partition(b"\r\n")[0].decode())
            total += count
            tail = (tail + view[max(0, count - len(_END)) : count])[-len(_END) :]
        return total - len(_END)


@contextmanager
def wire(client: Any) -> Iterator[Wire]:
    """A socket to the server of a redis-py client, opened and authenticated by the library, then used without it."""
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        yield Wire(connection._sock)
    finally:
        connection.disconnect()
        pool.release(connection)


def send_all(line: Wire, blocks: Iterable[bytes]) -> int:
    """Send blocks of commands one after the other; returns the bytes of all replies."""
    return sum(line.send(block) for block in blocks)
