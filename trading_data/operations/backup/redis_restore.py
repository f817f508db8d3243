"""Copies keys from one server to another: by DUMP and RESTORE if the versions are compatible, else by commands for each type.

Belongs here: copying every type of key, with its expiry and a stream's counters. Does not: comparing (`keys`).
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, cast

from redis.exceptions import ResponseError

from trading_data.errors import BackupError
from trading_data.live.connection import Client, live_errors
from trading_data.live.journal import text
from trading_data.operations.backup.keys import batched, batched_keys, entries, type_and_expiry

_PACKED_KEYS = 20
_ENTRIES = 1000
_MEMBERS = 5000
_NOT_TAKEN = ("DUMP payload version", "Bad data format")


def copy_keys(source: Client, into: Client, *, packed: bool = True) -> int:
    """Copy all keys but those that expire meanwhile. Returns the number of keys copied.

    Args:
        source: a server without writers.
        into: an empty one, or a cluster.
        packed: try DUMP and RESTORE first.

    Raises:
        LiveTierError: a server does not answer, or refuses a key.
        BackupError: a key has a type that only a module knows.
    """
    count = 0
    for names in batched_keys(source, _PACKED_KEYS):
        with live_errors(source):
            types = type_and_expiry(source, names)
        alive = [(name, kind, at) for name, (kind, at) in zip(names, types, strict=True) if kind != "none"]
        if packed:
            packed = _restore_packed(source, into, alive)
        if not packed:
            for name, kind, at in alive:
                _copy_by_type(source, into, name, kind, at)
        count += len(alive)
    return count


def _restore_packed(source: Client, into: Client, alive: Sequence[tuple[bytes, str, int]]) -> bool:
    """False if the server does not take the other's DUMP; none of these keys is written then."""
    with live_errors(source):
        pipeline: Any = source.pipeline(transaction=False)
        for name, _, _ in alive:
            pipeline.dump(name)
        payloads = pipeline.execute()
    with live_errors(into):
        pipeline = into.pipeline(transaction=False)
        for (name, _, at), payload in zip(alive, payloads, strict=True):
            if payload is not None:
                pipeline.execute_command(
                    "RESTORE", name, max(at, 0), payload, "REPLACE", *(["ABSTTL"] if at >= 0 else [])
                )
        refused = [reply for reply in pipeline.execute(raise_on_error=False) if isinstance(reply, Exception)]
        if not refused:
            return True
        if isinstance(refused[0], ResponseError) and any(word in str(refused[0]) for word in _NOT_TAKEN):
            return False
        raise refused[0]


def _copy_by_type(source: Client, into: Client, name: bytes, kind: str, at: int) -> None:
    commands = _COPY.get(kind)
    if commands is None:
        raise BackupError(
            f"the key {text(name)!r} is of the type {kind}, which a module made: restore it into the same kind of server"
        )
    with live_errors(source):
        to_run: Iterator[tuple[Any, ...]] = commands(source, name)
        for batch in batched(to_run, 50):
            with live_errors(into):
                pipeline: Any = into.pipeline(transaction=False)
                for command in batch:
                    pipeline.execute_command(*command)
                pipeline.execute()
    if at >= 0:
        with live_errors(into):
            into.pexpireat(name, at)


def _string(source: Client, name: bytes) -> Iterator[tuple[Any, ...]]:
    value = source.get(name)
    if value is not None:
        yield "SET", name, value


def _hash(source: Client, name: bytes) -> Iterator[tuple[Any, ...]]:
    yield from _in_batches("HSET", name, chain.from_iterable(cast(Any, source).hgetall(name).items()))


def _set(source: Client, name: bytes) -> Iterator[tuple[Any, ...]]:
    yield from _in_batches("SADD", name, cast(Any, source).smembers(name))


def _list(source: Client, name: bytes) -> Iterator[tuple[Any, ...]]:
    yield from _in_batches("RPUSH", name, cast(Any, source).lrange(name, 0, -1))


def _zset(source: Client, name: bytes) -> Iterator[tuple[Any, ...]]:
    scored = cast(Any, source).zrange(name, 0, -1, withscores=True)
    yield from _in_batches("ZADD", name, chain.from_iterable((repr(float(score)), member) for member, score in scored))


def _stream(source: Client, name: bytes) -> Iterator[tuple[Any, ...]]:
    info: dict[str, Any] = cast(Any, source).xinfo_stream(name)
    if info["groups"]:
        raise BackupError(
            f"the journal {text(name)!r} has consumer groups, which only the same kind of server takes over: restore into that"
        )
    has_entries = False
    for page in entries(source, name):
        for at, fields in page:
            has_entries = True
            yield "XADD", name, at, *fields
    newest = info["last-generated-id"]
    if not has_entries:
        yield "XADD", name, newest if newest != b"0-0" else b"0-1", "gone", "gone"
        yield "XTRIM", name, "MAXLEN", 0
    deleted = info.get("max-deleted-entry-id", b"0-0")
    yield "XSETID", name, newest, "ENTRIESADDED", info["entries-added"], "MAXDELETEDID", deleted


def _in_batches(command: str, name: bytes, values: Any) -> Iterator[tuple[Any, ...]]:
    for batch in batched(values, 2 * _MEMBERS):
        yield command, name, *batch


_COPY: dict[str, Callable[[Client, bytes], Iterator[tuple[Any, ...]]]] = {
    "string": _string,
    "hash": _hash,
    "set": _set,
    "list": _list,
    "zset": _zset,
    "stream": _stream,
}
