"""The snapshot of a live-tier server, read as a replica does: a child process sends it, other clients are served meanwhile.

A diskless server needs no free disk space for it, and a managed server no shell. Only the snapshot is requested (`rdb-only`), so
the server sends nothing after it.

Belongs here: the replication handshake, and the two forms in which a snapshot comes. Does not: what is in it.
"""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.exceptions import RedisError

from trading_data.errors import BackupError
from trading_data.live.connection import Client, info_of_each, live_errors, socket_options
from trading_data.live.redis_internals import socket_of
from trading_data.settings import without_password

_SILENCE = 90.0
"""Time-out in seconds without a byte: while it makes the snapshot, a server sends an empty line every ten."""
_MARK = 40
_HEADER = re.compile(rb"(REDIS|VALKEY)(\d+)")


class Snapshot:
    """The bytes of a snapshot, read in blocks; `version` (of the format) is known after the first."""

    def __init__(self, stream: "_Stream", where: str) -> None:
        """Begin to read the reply to SYNC."""
        self._stream, self._where = stream, where
        self.version = 0
        head = stream.line()
        if not head.startswith(b"$"):
            raise stream.broken(f"it sent {head[:80]!r} in place of a snapshot")
        self._mark = head[5:] if head.startswith(b"$EOF:") else b""
        if not self._mark and not head[1:].isdigit():
            raise stream.broken(f"it sent {head[:80]!r} in place of a snapshot")
        self._left = 0 if self._mark else int(head[1:])
        self._ended = False

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; none at the end.

        Raises:
            BackupError: the server broke off.
        """
        if self._ended:
            return b""
        data = self._marked(size) if self._mark else self._counted(size)
        if not self.version and data:
            match = _HEADER.match(data)
            if match is None:
                raise self._stream.broken(f"what it sent is no snapshot: {data[:9]!r}")
            self.version = int(match[2])
        return data

    def _counted(self, size: int) -> bytes:
        data = self._stream.take(min(size if size > 0 else self._left, self._left))
        self._left -= len(data)
        self._ended = not self._left
        return data

    def _marked(self, size: int) -> bytes:
        """All received bytes but the last 40, which may be the end mark."""
        buffer = self._stream.buffer
        while len(buffer) <= _MARK and buffer != self._mark:
            self._stream.more()
        if buffer == self._mark:
            self._ended = True
            return b""
        return self._stream.take(min(size if size > 0 else len(buffer), len(buffer) - _MARK))


@contextmanager
def snapshot(url: str, *, through_disk: bool = False) -> Iterator[Snapshot]:
    """Request a snapshot from the single server at `url`; it is complete when reading begins.

    With `through_disk` the server writes a file first and announces its length, in place of sending directly.

    Raises:
        BackupError: the server refuses, or breaks off.
        LiveTierError: it does not answer.
    """
    where = without_password(url)
    client = redis.Redis.from_url(url, **socket_options(url, _SILENCE))
    with live_errors(client):
        connection: Any = client.connection_pool.make_connection()
        connection.connect()  # with TLS, user, password and database as the URL says
    try:
        stream = _Stream(socket_of(connection), where)
        if not through_disk:
            stream.ask("REPLCONF", "capa", "eof")
        stream.ask("REPLCONF", "rdb-only", "1")
        refusal = stream.begin("SYNC") and stream.begin("PSYNC", "?", "-1")
        if refusal:
            raise BackupError(
                f"the live tier at {where} refuses to be read as by a replica ({refusal}): its user needs the permissions "
                "+psync +replconf +sync; `ACL SETUSER name +psync +replconf +sync`"
            )
        yield Snapshot(stream, where)
    finally:
        connection.disconnect()
        client.close()


class _Stream:
    """A socket with a buffer of bytes that were received and not used."""

    def __init__(self, sock: socket.socket, where: str) -> None:
        self._sock, self._where = sock, where
        self.buffer = bytearray()

    def ask(self, *words: str) -> str:
        """Send a command. Returns the error text, or an empty one."""
        self._send(*words)
        reply = self.line()
        return reply[1:].decode(errors="replace") if reply.startswith(b"-") else ""

    def begin(self, *words: str) -> str:
        """Request the snapshot. Returns the error text, or an empty one; then the snapshot's head is the next to read."""
        self._send(*words)
        reply = self.line()
        if reply.startswith(b"-"):
            return reply[1:].decode(errors="replace")
        if not reply.startswith(b"+"):  # not the answer to PSYNC, which comes before the snapshot
            self.buffer[:0] = reply + b"\r\n"
        return ""

    def line(self) -> bytes:
        """The next line that is not empty."""
        while True:
            while b"\n" not in self.buffer:
                self.more()
            line, _, _ = bytes(self.buffer).partition(b"\n")
            del self.buffer[: len(line) + 1]
            if line.strip():
                return line.strip()

    def take(self, size: int) -> bytes:
        """At least one byte and up to `size`; none if `size` is 0."""
        if size and not self.buffer:
            self.more()
        data = bytes(self.buffer[:size])
        del self.buffer[: len(data)]
        return data

    def more(self) -> None:
        """Read once."""
        try:
            data = self._sock.recv(1 << 18)
        except (OSError, RedisError) as error:
            raise self.broken(str(error)) from error
        if not data:
            raise self.broken("it closed the connection")
        self.buffer += data

    def broken(self, reason: str) -> BackupError:
        """The error for an incomplete snapshot."""
        return BackupError(
            f"the live tier at {self._where} did not send its whole snapshot ({reason}): its data are not affected. Check "
            "its log and its memory, then take the backup again"
        )

    def _send(self, *words: str) -> None:
        parts = [f"*{len(words)}\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in words)]
        self._sock.sendall("".join(parts).encode())


def persistence(client: Client) -> list[dict[str, Any]]:
    """The state of the append-only file and of the last saves, of each server that takes writes."""
    fields = (
        "aof_enabled", "aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status",
        "rdb_last_save_time", "rdb_changes_since_last_save",
    )  # fmt: skip
    return [{name: info.get(name) for name in fields} for info in info_of_each(client, "persistence")]
