"""The account of a live tier's keys: numbers by kind, and digests that change with any of them.

A digest is over the logical value of a key (members sorted, entries in order), not its encoding, so that it is the same in every
server. Keys that expire are counted by the hour in which they do: after that hour they may be gone.

Belongs here: counting and comparing. Does not: copying keys (`copy_keys`).
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, TypeVar, cast

from trading_data.live.connection import Client, live_errors
from trading_data.live.journal import text
from trading_data.live.keys import KEYS
from trading_data.printable import counted

_KEYS = 200
_ENTRIES = 2000
_HOUR_MS = 3_600_000
_WRAP = 1 << 64
Item = TypeVar("Item")


def account(client: Client) -> dict[str, Any]:
    """The account of one server's database.

    Returns:
        `kinds`: kind → [keys, digest], of keys without expiry. `expiring`: kind → {hour since 1970: [keys, digest]}. `journals`:
        name → {length, first, last, newest, added, digest}.

    Raises:
        LiveTierError: the server is away.
    """
    kinds: dict[str, list[Any]] = defaultdict(lambda: [0, 0])
    expiring: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    journals = {}
    with live_errors(client):
        for names in batched_keys(client):
            for name, kind, expires, digest, journal in _digests(client, names):
                counts = kinds[kind] if expires < 0 else expiring[kind][str(expires // _HOUR_MS)]
                counts[0] += 1
                counts[1] = (counts[1] + digest) % _WRAP
                if journal:
                    journals[text(name)] = journal
    return {
        "kinds": {kind: _as_hex(counts) for kind, counts in sorted(kinds.items())},
        "expiring": {
            kind: {hour: _as_hex(counts) for hour, counts in hours.items()} for kind, hours in sorted(expiring.items())
        },
        "journals": journals,
    }


def together(accounts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The account of several servers that share the keys."""
    kinds: dict[str, list[Any]] = {}
    expiring: dict[str, dict[str, list[Any]]] = {}
    journals: dict[str, Any] = {}
    for account in accounts:
        for kind, counts in account["kinds"].items():
            kinds[kind] = _sum(kinds.get(kind), counts)
        for kind, hours in account["expiring"].items():
            total = expiring.setdefault(kind, {})
            for hour, counts in hours.items():
                total[hour] = _sum(total.get(hour), counts)
        journals |= account["journals"]
    return {"kinds": kinds, "expiring": expiring, "journals": journals}


def differences(expected: dict[str, Any], restored: dict[str, Any], now_ms: int) -> list[str]:
    """A line for each difference between an account and the one in the manifest; keys that may have expired are left out."""
    lines = [*_differing_kinds(expected["kinds"], restored["kinds"], "")]
    hour = now_ms // _HOUR_MS
    for kind in sorted({*expected["expiring"], *restored["expiring"]}):
        sides = [
            {at: counts for at, counts in side["expiring"].get(kind, {}).items() if int(at) > hour}
            for side in (expected, restored)
        ]
        lines += _differing_kinds(sides[0], sides[1], f"{kind} that expire in hour ")
    for name in sorted({*expected["journals"], *restored["journals"]}):
        before, after = expected["journals"].get(name), restored["journals"].get(name)
        if before != after:
            lines.append(f"{name} holds {_journal_text(after)}; the backup has {_journal_text(before)}")
    return lines


def keys_of(account: dict[str, Any]) -> int:
    """The number of keys in an account."""
    lasting = sum(counts[0] for counts in account["kinds"].values())
    return int(lasting + sum(hour[0] for hours in account["expiring"].values() for hour in hours.values()))


def batched(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """The items in tuples of `size`; the last may be shorter."""
    remaining = iter(items)
    while batch := tuple(islice(remaining, size)):
        yield batch


def batched_keys(client: Client, size: int = _KEYS) -> Iterator[tuple[bytes, ...]]:
    """All keys in batches, each key once: SCAN may return a key twice. Nothing may write meanwhile."""
    seen: set[bytes] = set()
    for names in batched(cast(Iterable[bytes], client.scan_iter(count=1000)), size):
        fresh = tuple(name for name in dict.fromkeys(names) if name not in seen)
        seen.update(fresh)
        if fresh:
            yield fresh


def type_and_expiry(client: Client, names: Sequence[bytes]) -> list[tuple[str, int]]:
    """Type and expiry (ms since 1970; -1: never) of each key."""
    pipeline: Any = client.pipeline(transaction=False)
    for name in names:
        pipeline.type(name)
        pipeline.execute_command("PEXPIRETIME", name)
    replies = pipeline.execute()
    return [(kind.decode(), int(at)) for kind, at in batched(replies, 2)]


def entries(client: Client, name: bytes) -> Iterator[list[tuple[bytes, list[bytes]]]]:
    """A stream's entries in order, in pages: the id and the flat list of fields of each."""
    after = b"-"
    while page := cast(Any, client).execute_command("XRANGE", name, after, "+", "COUNT", _ENTRIES):
        yield page
        after = b"(" + page[-1][0]


def _digests(client: Client, names: Sequence[bytes]) -> Iterator[tuple[bytes, str, int, int, dict[str, Any] | None]]:
    types = type_and_expiry(client, names)
    pipeline: Any = client.pipeline(transaction=False)
    for name, (kind, _) in zip(names, types, strict=True):
        pipeline.execute_command(*_READ_COMMAND.get(kind, ("TYPE",)), name, *_READ_RANGE.get(kind, ()))
    for name, (kind, expires), value in zip(names, types, pipeline.execute(), strict=True):
        if kind == "none":
            continue  # it has expired
        if kind == "stream":
            digest, journal = _stream(client, name, value)
        else:
            digest, journal = _digest([name, kind.encode(), *_canonical(kind, value)]), None
        yield name, _kind(text(name)), expires, int.from_bytes(digest[:8]), journal if kind == "stream" else None


_READ_COMMAND = {
    "string": ("GET",),
    "hash": ("HGETALL",),
    "set": ("SMEMBERS",),
    "zset": ("ZRANGE",),
    "list": ("LRANGE",),
    "stream": ("XINFO STREAM",),
}
_READ_RANGE = {"zset": (0, -1, "WITHSCORES"), "list": (0, -1)}


def _canonical(kind: str, value: Any) -> list[bytes]:
    if kind == "hash":
        pairs = value.items() if isinstance(value, dict) else batched(value, 2)
        return [*chain.from_iterable(sorted(pairs))]
    if kind == "set":
        return sorted(value)
    if kind == "zset":
        scored = [(repr(float(score)).encode(), member) for member, score in _scored(value)]
        return [*chain.from_iterable(sorted(scored))]
    return value if kind == "list" else [value if isinstance(value, bytes) else repr(value).encode()]


def _scored(members: Sequence[Any]) -> Iterable[tuple[bytes, Any]]:
    return members if not members or isinstance(members[0], tuple | list) else batched(members, 2)


def _stream(client: Client, name: bytes, info: Any) -> tuple[bytes, dict[str, Any]]:
    hashed = hashlib.blake2b(digest_size=16)
    first, last, length = "", "", 0
    for page in entries(client, name):
        parts = [*chain.from_iterable((entry_id, *fields) for entry_id, fields in page)]
        hashed.update(",".join(map(str, map(len, parts))).encode())
        hashed.update(b"".join(parts))
        first, last, length = first or page[0][0].decode(), page[-1][0].decode(), length + len(page)
    journal = {
        "length": length,
        "first": first,
        "last": last,
        "newest": info["last-generated-id"].decode(),
        "added": int(info["entries-added"]),
        "digest": hashed.hexdigest(),
    }
    return _digest([name, *(str(field).encode() for field in journal.values())]), journal


def _digest(parts: Sequence[bytes]) -> bytes:
    hashed = hashlib.blake2b(",".join(map(str, map(len, parts))).encode(), digest_size=16)
    hashed.update(b"".join(parts))
    return hashed.digest()


def _kind(name: str) -> str:
    """The declared kind with the longest prefix of the key's name."""
    fitting = [(len(key.prefix), kind) for kind, key in KEYS.items() if _fits(name, key.prefix, bool(key.about))]
    return max(fitting)[1] if fitting else name.partition(":")[0] if name.startswith("archive:") else "other"


def _fits(name: str, prefix: str, more: bool) -> bool:
    return name.startswith(prefix) if more else name == prefix


def _as_hex(counts: list[Any]) -> list[Any]:
    return [counts[0], f"{counts[1]:016x}"]


def _sum(before: list[Any] | None, counts: list[Any]) -> list[Any]:
    return (
        counts
        if before is None
        else [before[0] + counts[0], f"{(int(before[1], 16) + int(counts[1], 16)) % _WRAP:016x}"]
    )


def _differing_kinds(expected: dict[str, Any], restored: dict[str, Any], heading: str) -> Iterator[str]:
    for kind in sorted({*expected, *restored}):
        before, after = expected.get(kind, [0, ""]), restored.get(kind, [0, ""])
        if before != after:
            differs = "" if before[0] != after[0] else ", with other contents"
            yield f"{heading}{kind}: {counted(after[0], 'key')}{differs}; the backup has {before[0]:,}"


def _journal_text(journal: dict[str, Any] | None) -> str:
    if journal is None:
        return "nothing"
    return (
        f"{counted(journal['length'], 'entry', 'entries')} ({journal['first']} to {journal['last']}, {journal['added']:,} ever, "
        f"{journal['digest'][:8]})"
    )
