"""Where the state of alerts is saved: a file, or Dagster's own storage, which is available when both tiers are not.

Belongs here: loading and saving a text. Does not: its content (`notify`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from trading_data.files import replacing

KEY = "trading_data.operations.alerts"


class StateStore(Protocol):
    """One text that outlives the process."""

    def load(self) -> str:
        """The text last saved, empty if there is none."""

    def save(self, text: str) -> None:
        """Replace the text, whole or not at all."""


class FileMemory:
    """A file, written aside and renamed, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        """Use `path`; nothing is touched before the first call."""
        self.path = path

    def load(self) -> str:
        """The content of the file; empty if there is none."""
        try:
            return self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def save(self, text: str) -> None:
        """Write it; it is durable when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing(self.path) as aside:
            aside.write_text(text, encoding="utf-8")


class KeyValues(Protocol):
    """The interface of `daemon_cursor_storage` of a Dagster instance."""

    def get_cursor_values(self, keys: set[str]) -> Mapping[str, str]:
        """The values of those of the keys that have one."""

    def set_cursor_values(self, pairs: Mapping[str, str]) -> None:
        """Set values."""


class StorageMemory:
    """A key in Dagster's own storage: `StorageMemory(instance.daemon_cursor_storage)`."""

    def __init__(self, storage: KeyValues, key: str = KEY) -> None:
        """Use `key`."""
        self._storage, self._key = storage, key

    def load(self) -> str:
        """The key's value."""
        return self._storage.get_cursor_values({self._key}).get(self._key, "")

    def save(self, text: str) -> None:
        """Set the key."""
        self._storage.set_cursor_values({self._key: text})
