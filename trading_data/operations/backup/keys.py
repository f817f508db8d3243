"""The account of a live tier's keys: how many of each kind, and digests that any change of any of them changes.

A digest is over what a key means (its members sorted, its entries in order), not over how a server keeps it, so that it is the
same in every server. Keys that expire are counted apart, by the hour in which they do: after that hour they may be gone.

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
        `kinds`: kind → [keys, digest], of keys that stay. `expiring`: kind → {hour since 1970: [keys, digest]}. `journals`: name →
        {length, first, last, newest, added, digest}.

    Raises:
        LiveTierError: the server is away.
    """
    kinds: dict[str, list[Any]] = defaultdict(lambda: [0, 0])
    expiring: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    journals = {}
    with live_errors(client):
        for names in batched_keys(client):
            for name, kind, expires, digest, journal in _looked_at(client, names):
                found = kinds[kind] if expires < 0 else expiring[kind][str(expires // _HOUR_MS)]
                found[0] += 1
                found[1] = (found[1] + digest) % _WRAP
                if journal:
                    journals[text(name)] = journal
    return {
        "kinds": {kind: _shown(one) for kind, one in sorted(kinds.items())},
        "expiring": {
            kind: {hour: _shown(one) for hour, one in hours.items()} for kind, hours in sorted(expiring.items())
        },
        "journals": journals,
    }


def together(accounts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The account of several servers that share the keys."""
    kinds: dict[str, list[Any]] = {}
    expiring: dict[str, dict[str, list[Any]]] = {}
    journals: dict[str, Any] = {}
    for account in accounts:
        for kind, given in account["kinds"].items():
            kinds[kind] = _added(kinds.get(kind), given)
        for kind, hours in account["expiring"].items():
            mine = expiring.setdefault(kind, {})
            for hour, given in hours.items():
                mine[hour] = _added(mine.get(hour), given)
        journals |= account["journals"]
    return {"kinds": kinds, "expiring": expiring, "journals": journals}


def differences(wanted: dict[str, Any], found: dict[str, Any], now_ms: int) -> list[str]:
    """A line for each thing in which an account differs from the one in the manifest; what may have expired is left out."""
    lines = [*_kinds(wanted["kinds"], found["kinds"], "")]
    hour = now_ms // _HOUR_MS
    for kind in sorted({*wanted["expiring"], *found["expiring"]}):
        sides = [
            {at: one for at, one in side["expiring"].get(kind, {}).items() if int(at) > hour}
            for side in (wanted, found)
        ]
        lines += _kinds(sides[0], sides[1], f"{kind} that expire in hour ")
    for name in sorted({*wanted["journals"], *found["journals"]}):
        before, after = wanted["journals"].get(name), found["journals"].get(name)
        if before != after:
            lines.append(f"{name} holds {_journal_said(after)}; the backup has {_journal_said(before)}")
    return lines


def keys_of(given: dict[str, Any]) -> int:
    """How many keys an account has."""
    lasting = sum(one[0] for one in given["kinds"].values())
    return int(lasting + sum(hour[0] for hours in given["expiring"].values() for hour in hours.values()))


def batched(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """The same items, so many at a time."""
    left = iter(items)
    while some := tuple(islice(left, size)):
        yield some


def batched_keys(client: Client, size: int = _KEYS) -> Iterator[tuple[bytes, ...]]:
    """All keys, so many at a time; each once, for nobody writes meanwhile, but a server may name one twice all the same."""
    seen: set[bytes] = set()
    for names in batched(cast(Iterable[bytes], client.scan_iter(count=1000)), size):
        fresh = tuple(name for name in dict.fromkeys(names) if name not in seen)
        seen.update(fresh)
        if fresh:
            yield fresh


def type_and_expiry(client: Client, names: Sequence[bytes]) -> list[tuple[str, int]]:
    """Of each key its type, and when it expires (ms since 1970; -1: never)."""
    pipeline: Any = client.pipeline(transaction=False)
    for name in names:
        pipeline.type(name)
        pipeline.execute_command("PEXPIRETIME", name)
    replies = pipeline.execute()
    return [(kind.decode(), int(at)) for kind, at in batched(replies, 2)]


def entries(client: Client, name: bytes) -> Iterator[list[tuple[bytes, list[bytes]]]]:
    """A stream's entries in order, some at a time, each its id and its flat list of fields."""
    after = b"-"
    while found := cast(Any, client).execute_command("XRANGE", name, after, "+", "COUNT", _ENTRIES):
        yield found
        after = b"(" + found[-1][0]


def _looked_at(client: Client, names: Sequence[bytes]) -> Iterator[tuple[bytes, str, int, int, dict[str, Any] | None]]:
    told = type_and_expiry(client, names)
    pipeline: Any = client.pipeline(transaction=False)
    for name, (kind, _) in zip(names, told, strict=True):
        pipeline.execute_command(*_WHOLE.get(kind, ("TYPE",)), name, *_ALL.get(kind, ()))
    for name, (kind, expires), whole in zip(names, told, pipeline.execute(), strict=True):
        if kind == "none":
            continue  # it expired just now
        if kind == "stream":
            digest, journal = _stream(client, name, whole)
        else:
            digest, journal = _digest([name, kind.encode(), *_canonical(kind, whole)]), None
        yield name, _kind(text(name)), expires, int.from_bytes(digest[:8]), journal if kind == "stream" else None


_WHOLE = {
    "string": ("GET",),
    "hash": ("HGETALL",),
    "set": ("SMEMBERS",),
    "zset": ("ZRANGE",),
    "list": ("LRANGE",),
    "stream": ("XINFO STREAM",),
}
_ALL = {"zset": (0, -1, "WITHSCORES"), "list": (0, -1)}


def _canonical(kind: str, whole: Any) -> list[bytes]:
    if kind == "hash":
        pairs = whole.items() if isinstance(whole, dict) else batched(whole, 2)
        return [*chain.from_iterable(sorted(pairs))]
    if kind == "set":
        return sorted(whole)
    if kind == "zset":
        scored = [(repr(float(score)).encode(), member) for member, score in _scored(whole)]
        return [*chain.from_iterable(sorted(scored))]
    return whole if kind == "list" else [whole if isinstance(whole, bytes) else repr(whole).encode()]


def _scored(whole: Sequence[Any]) -> Iterable[tuple[bytes, Any]]:
    return whole if not whole or isinstance(whole[0], tuple | list) else batched(whole, 2)


def _stream(client: Client, name: bytes, info: Any) -> tuple[bytes, dict[str, Any]]:
    hashed = hashlib.blake2b(digest_size=16)
    first, last, length = "", "", 0
    for page in entries(client, name):
        parts = [*chain.from_iterable((at, *fields) for at, fields in page)]
        hashed.update(",".join(map(str, map(len, parts))).encode())
        hashed.update(b"".join(parts))
        first, last, length = first or page[0][0].decode(), page[-1][0].decode(), length + len(page)
    told = {
        "length": length,
        "first": first,
        "last": last,
        "newest": info["last-generated-id"].decode(),
        "added": int(info["entries-added"]),
        "digest": hashed.hexdigest(),
    }
    return _digest([name, *(str(one).encode() for one in told.values())]), told


def _digest(parts: Sequence[bytes]) -> bytes:
    hashed = hashlib.blake2b(",".join(map(str, map(len, parts))).encode(), digest_size=16)
    hashed.update(b"".join(parts))
    return hashed.digest()


def _kind(name: str) -> str:
    """The declared kind whose name is the longest beginning of the key's."""
    fitting = [(len(key.prefix), kind) for kind, key in KEYS.items() if _fits(name, key.prefix, bool(key.about))]
    return max(fitting)[1] if fitting else name.partition(":")[0] if name.startswith("archive:") else "other"


def _fits(name: str, prefix: str, more: bool) -> bool:
    return name.startswith(prefix) if more else name == prefix


def _shown(one: list[Any]) -> list[Any]:
    return [one[0], f"{one[1]:016x}"]


def _added(one: list[Any] | None, other: list[Any]) -> list[Any]:
    return other if one is None else [one[0] + other[0], f"{(int(one[1], 16) + int(other[1], 16)) % _WRAP:016x}"]


def _kinds(wanted: dict[str, Any], found: dict[str, Any], what: str) -> Iterator[str]:
    for kind in sorted({*wanted, *found}):
        before, after = wanted.get(kind, [0, ""]), found.get(kind, [0, ""])
        if before != after:
            differs = "" if before[0] != after[0] else ", with other contents"
            yield f"{what}{kind}: {counted(after[0], 'key')}{differs}; the backup has {before[0]:,}"


def _journal_said(one: dict[str, Any] | None) -> str:
    if one is None:
        return "nothing"
    return (
        f"{counted(one['length'], 'entry', 'entries')} ({one['first']} to {one['last']}, {one['added']:,} ever, "
        f"{one['digest'][:8]})"
    )
