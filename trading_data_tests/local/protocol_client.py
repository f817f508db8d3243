"""A client of the PostgreSQL protocol, for messages that psycopg2 never sends and for disconnecting at any moment."""

import socket
import struct
from urllib.parse import urlsplit


class Wire:
    """One connection, after its start-up."""

    def __init__(self, url: str, **parameters: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60)
        words = {"user": parts.username or "", "database": parts.path[1:], **parameters}
        body = struct.pack("!i", 196608) + b"".join(f"{k}\0{v}\0".encode() for k, v in words.items()) + b"\0"
        self.socket.sendall(struct.pack("!i", len(body) + 4) + body)
        self.greeting = self.until_ready()

    def send(self, *messages: bytes) -> None:
        self.socket.sendall(b"".join(messages))

    def receive(self) -> tuple[str, bytes]:
        """The next message: its type and its body."""
        kind, length = struct.unpack("!ci", self._exactly(5))
        return kind.decode(), self._exactly(length - 4)

    def until_ready(self) -> list[tuple[str, bytes]]:
        """Everything up to ReadyForQuery or the end of the connection."""
        messages: list[tuple[str, bytes]] = []
        while not messages or messages[-1][0] != "Z":
            try:
                messages.append(self.receive())
            except ConnectionError:
                break
        return messages

    def kinds(self) -> str:
        """The types of everything up to ReadyForQuery."""
        return "".join(kind for kind, _ in self.until_ready())

    def close(self) -> None:
        self.socket.close()

    def _exactly(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = self.socket.recv(count - len(parts))
            if not part:
                raise ConnectionResetError
            parts += part
        return bytes(parts)


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def query(sql: str) -> bytes:
    return message("Q", sql.encode() + b"\0")


def parse(sql: str, name: str = "") -> bytes:
    return message("P", f"{name}\0{sql}\0".encode() + b"\0\0")


def bind(name: str = "") -> bytes:
    return message("B", f"\0{name}\0".encode() + bytes(6))


def execute() -> bytes:
    return message("E", bytes(5))


SYNC = message("S")
FLUSH = message("H")
