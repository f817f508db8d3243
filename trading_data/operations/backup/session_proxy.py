"""One session of a server lent to several programs in turn, so that they see the same transaction.

The embedded engine has a single session: while `pg_dump` is in its transaction, no other client can share its snapshot. So
`pg_dump` connects to this proxy, which does not pass on the end of its session: the next client is still inside that
transaction, and can count exactly what was dumped.

It works with a server on this machine that needs no password.
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from trading_data.archive.database import parts_of
from trading_data.errors import ArchiveTierError
from trading_data.settings import without_password

_PROTOCOL = 196608
_ASKS_FOR_TLS = (80877103, 80877104)
_TERMINATE = b"X"


@contextmanager
def lent_session(url: str) -> Iterator[str]:
    """The URL under which programs share, one after the other, one session of the server at `url`.

    Raises:
        ArchiveTierError: the server does not answer.
    """
    parts = parts_of(url)
    try:
        server = socket.create_connection((parts.host or "127.0.0.1", parts.port or 5432), timeout=30)
    except OSError as error:
        raise ArchiveTierError(f"the archive at {without_password(url)} does not answer: {error}") from error
    with closing(server), closing(socket.create_server(("127.0.0.1", 0))) as listener:
        greeting = _greeting(server, parts.username or "postgres", parts.database or "postgres")
        server.settimeout(None)
        thread = threading.Thread(target=_serve, args=(listener, server, greeting), daemon=True)
        thread.start()
        try:
            yield parts.set(host="127.0.0.1", port=listener.getsockname()[1]).render_as_string(hide_password=False)
        finally:
            for end in (server, listener):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join(timeout=10)


def _serve(listener: socket.socket, server: socket.socket, greeting: bytes) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with closing(client), suppress(OSError, EOFError):
            _welcome(client, greeting)
            over = threading.Event()
            replies = threading.Thread(target=_pass_replies, args=(server, client, over), daemon=True)
            replies.start()
            try:
                _pass_requests(client, server)
            finally:
                over.set()
                replies.join()


def _pass_requests(client: socket.socket, server: socket.socket) -> None:
    """Pass on all messages of the client but Terminate."""
    while True:
        kind = _exactly(client, 1)
        length = _exactly(client, 4)
        if kind == _TERMINATE:
            return
        server.sendall(kind + length + _exactly(client, struct.unpack("!I", length)[0] - 4))


def _pass_replies(server: socket.socket, client: socket.socket, over: threading.Event) -> None:
    server.settimeout(0.1)
    while not over.is_set():
        try:
            data = server.recv(1 << 18)
        except TimeoutError:
            continue
        except OSError:
            break
        if not data:
            break
        with suppress(OSError):
            client.sendall(data)
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)


def _welcome(client: socket.socket, greeting: bytes) -> None:
    while True:
        length, code = struct.unpack("!II", _exactly(client, 8))
        _exactly(client, length - 8)
        if code not in _ASKS_FOR_TLS:
            client.sendall(greeting)
            return
        client.sendall(b"N")


def _greeting(server: socket.socket, user: str, database: str) -> bytes:
    """Begin the session. Returns the server's messages up to and including ReadyForQuery."""
    parameters = b"".join(word.encode() + b"\0" for word in ("user", user, "database", database)) + b"\0"
    server.sendall(struct.pack("!II", len(parameters) + 8, _PROTOCOL) + parameters)
    greeting = bytearray()
    while True:
        head = _exactly(server, 5)
        greeting += head + _exactly(server, struct.unpack("!I", head[1:])[0] - 4)
        if head[:1] == b"E":
            raise ArchiveTierError(f"the archive refused a session: {greeting[5:].decode(errors='replace')}")
        if head[:1] == b"Z":
            return bytes(greeting)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        received = sock.recv(size - len(data))
        if not received:
            raise EOFError
        data += received
    return bytes(data)
