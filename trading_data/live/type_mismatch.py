"""Keys that bear a name of this system and are of another type than it says: somebody else writes them.

Such a key is left alone: what it stands for is not archived and not read, and nothing else is held up by it. A test of
types is the only thing that shows it, for a SCAN by type passes it over.

Belongs here: finding them. Does not: how they are shown (`orchestration.metadata`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from trading_data.datasets.declaration import Dataset
from trading_data.live.connection import Client
from trading_data.live.journal import execute, find_keys, raw
from trading_data.live.keys import KEYS, KeyType, LiveKey

MOST = 1000
"""Keys reported at most; who writes more of them finds out by the first."""
_KEYS_PER_PIPELINE = 300


@dataclass(frozen=True)
class WrongType:
    """A key (as `live.journal.text` writes it), the type that its name stands for, and the one it has."""

    key: str
    expected: KeyType
    found: str

    @property
    def said(self) -> str:
        """In words, printable whatever bytes the key is made of."""
        return f"`{raw(self.key).decode('utf-8', 'backslashreplace')}` is a {self.found}, not a {self.expected}"


def keys_of(dataset: Dataset) -> list[LiveKey]:
    """The kinds of keys that a dataset is drained from."""
    return [kind for kind in KEYS.values() if kind.pattern in (dataset.journal, dataset.latest)]


def wrong_types(client: Client, kinds: Iterable[LiveKey] | None = None) -> list[WrongType]:
    """The keys of `kinds` (None: all that there are) whose type is not the declared one; the first thousand.

    Raises:
        LiveTierError: the server is away.
    """
    found: list[WrongType] = []
    for kind in KEYS.values() if kinds is None else kinds:
        names = find_keys(client, kind.prefix, None) if "{" in kind.pattern else [kind.pattern]
        for start in range(0, len(names), _KEYS_PER_PIPELINE):
            block = names[start : start + _KEYS_PER_PIPELINE]
            pipeline = client.pipeline(transaction=False)
            for name in block:
                pipeline.type(cast(str, raw(name)))
            types = [reply.decode() for reply in execute(client, pipeline, b"none")]
            found += [
                WrongType(name, kind.type, type_)
                for name, type_ in zip(block, types, strict=True)
                if type_ not in (kind.type, "none")
            ]
            if len(found) >= MOST:
                return found[:MOST]
    return found
