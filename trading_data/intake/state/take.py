"""Reading the state of the live tier: every key that `live.keys` counts as state."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from trading_data.intake.state.document import Key, KeyGroup, Problem, StateSnapshot, Value
from trading_data.live.connection import Client, live_errors
from trading_data.live.journal import execute, find_keys, raw, text
from trading_data.live.keys import KEYS, LiveKey

_KEYS_PER_PIPELINE = 100
"""A position's hash has about ten fields: other clients wait for a thousand fields, half a millisecond."""

_OF_ANOTHER_TYPE = object()

Read = Callable[[Any, str], object]


def take_state(client: Client, *, run_id: str = "", keys: Mapping[str, LiveKey] = KEYS) -> StateSnapshot:
    """The whole state: every key of each kind that `keys` counts as state, empty kinds included.

    The state is not atomic. Keys are found by SCAN and read one after the other between `began` and `ended`, both by the
    server's clock; of two keys that a producer changes meanwhile, one may be read before and the other after the change. Each
    key is read by one command, so it is consistent, and in memory as a whole; its lifetime is read just before. A key that
    appeared after `began` may be missing; a key that was deleted before it was read is missing. A key of another type than
    declared becomes a problem and does not stop the rest.

    Raises:
        LiveTierError: the server is unavailable or refuses.
    """
    began = _server_time(client)
    kinds, problems = [], []
    for name, declared in keys.items():
        if declared.state:
            read = list(_read(client, name, declared))
            keys_read = tuple(key for key in read if isinstance(key, Key))
            kinds.append(KeyGroup(name, declared.pattern, declared.type, keys_read))
            problems += [problem for problem in read if isinstance(problem, Problem)]
    return StateSnapshot(began, _server_time(client), run_id, tuple(kinds), tuple(problems))


def _read(client: Client, kind: str, declared: LiveKey) -> Iterator[Key | Problem]:
    single = declared.prefix == declared.pattern
    names = [declared.pattern] if single else find_keys(client, declared.prefix, None)
    read, value_of = _READ[declared.type]
    for start in range(0, len(names), _KEYS_PER_PIPELINE):
        block = names[start : start + _KEYS_PER_PIPELINE]
        for name, (ttl_ms, reply, type_) in zip(block, _replies(client, block, read), strict=True):
            if reply is _OF_ANOTHER_TYPE:
                yield Problem(kind, name, declared.type, type_)
            elif reply or isinstance(reply, bytes):
                yield Key(name, value_of(reply), ttl_ms if ttl_ms >= 0 else None)


def _replies(client: Client, names: Sequence[str], read: Read) -> list[tuple[int, Any, str]]:
    """Lifetime in milliseconds (negative for none), content or `_OF_ANOTHER_TYPE`, and type of each key."""
    pipeline = client.pipeline(transaction=False)
    for name in names:
        key = cast(str, raw(name))
        pipeline.pttl(key)
        read(pipeline, key)
        pipeline.type(key)
    replies = execute(client, pipeline, _OF_ANOTHER_TYPE)
    return [(ttl_ms, reply, text(type_)) for ttl_ms, reply, type_ in zip(*[iter(replies)] * 3, strict=True)]


def _server_time(client: Client) -> datetime:
    with live_errors(client):
        seconds, micros = client.time()
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)


def _hash(reply: Mapping[bytes, bytes]) -> Value:
    return {text(name): text(value) for name, value in reply.items()}


def _zset(reply: Sequence[tuple[bytes, float]]) -> Value:
    return [(text(member), score) for member, score in reply]


_READ: Mapping[str, tuple[Read, Callable[[Any], Value]]] = {
    "hash": (lambda pipeline, key: pipeline.hgetall(key), _hash),
    "set": (lambda pipeline, key: pipeline.smembers(key), lambda reply: [text(member) for member in sorted(reply)]),
    "zset": (lambda pipeline, key: pipeline.zrange(key, 0, -1, withscores=True), _zset),
    "string": (lambda pipeline, key: pipeline.get(key), text),
}
