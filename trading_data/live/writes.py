"""Atomic writes: a key's commands, its publication and its preconditions in one transaction.

A single server takes any number of keys in one transaction. In a cluster each key has its own slot, so a transaction has
one key there: a change of several keys is done step by step, in an order that may be interrupted anywhere and repeated.

Belongs here: transactions and their errors. Does not: which commands (`live.latest_state`, `live.position_transitions`).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import islice
from typing import Any, TypeVar, cast

from redis import Redis, RedisCluster
from redis.exceptions import ExecAbortError, MovedError, OutOfMemoryError, RedisError, WatchError

from trading_data.errors import LiveTierError, LiveTierFull, Refused, TradingDataError, WrongContent
from trading_data.live.cluster import LateCluster
from trading_data.live.connection import Client, full_error, live_errors
from trading_data.live.keys import LiveKey, raw

_FIELDS = 1000
"""Fields per call: a script takes only some thousand arguments."""
_HEAD = "#!lua flags=allow-oom\n"
_SET_FIELDS = "return redis.call('HSET', KEYS[1], unpack(ARGV))"


def run(client: Client, script: str, key: str, *arguments: str | bytes | int) -> Any:
    """The reply of a Lua script on one key; it runs whether or not there is memory left.

    Raises:
        LiveTierError: the server is unavailable, or refuses the script.
    """
    with live_errors(client):
        return client.eval(_HEAD + script, 1, key, *cast(Sequence[str], arguments))


def set_fields(client: Client, key: str, fields: Mapping[str, str | bytes]) -> None:
    """HSET, names as `live.journal.raw` makes them; raises as `run`."""
    pairs = iter(fields.items())
    while block := [part for name, value in islice(pairs, _FIELDS) for part in (raw(name), value)]:
        run(client, _SET_FIELDS, key, *block)


WRITES_PER_TRANSACTION = 100
"""A transaction of this many hashes of ten fields takes the server half a millisecond, and no other client is served then."""
_ATTEMPTS = 100
"""How often a step is restarted because a key it depends on changed."""
_MOVES = 3
"""How often a cluster's key is looked up again because it has moved to another node."""
_CHANGED = "Watched variable changed"
"""The words of redis-py's WatchError for a change; its other messages are about a lost connection."""

T = TypeVar("T")
Command = tuple[Any, ...]


@dataclass(frozen=True)
class Write:
    """The commands on one key, and the message to publish on the channel of its name.

    `adds`: the present content stays, so the key must already have its declared type, or be absent.
    """

    key: LiveKey
    name: str
    commands: Sequence[Command]
    message: str
    adds: bool = False

    @classmethod
    def of_hash(cls, key: LiveKey, name: str, fields: Mapping[str, str], message: str) -> "Write":
        """Replace a whole hash, with the lifetime that its key declares."""
        flat = [raw(part) for pair in fields.items() for part in pair]
        commands: list[Command] = [("DEL", raw(name)), ("HSET", raw(name), *flat)]
        if key.ttl is not None:
            commands.append(("EXPIRE", raw(name), int(key.ttl.total_seconds())))
        return cls(key, name, commands, message)

    @classmethod
    def removal(cls, key: LiveKey, name: str, about: Mapping[str, str]) -> "Write":
        """Delete a key; `about` has the parts of its name."""
        return cls(key, name, [("DEL", raw(name))], json.dumps({**about, "removed": True}))

    @property
    def all_commands(self) -> list[Command]:
        """The commands and the publication."""
        return [*self.commands, ("PUBLISH", raw(self.name), self.message)]


class Phase(Enum):
    """When a step's plan is made: once for all steps, or in a cluster first for a check of all steps and then for each commit."""

    ATOMIC = "atomic"
    PRECHECK = "precheck"
    COMMIT = "commit"


@dataclass(frozen=True)
class TransactionStep:
    """One step of a transition: the key it depends on, and the plan of its write.

    `plan` reads through the pipeline it is given, whose commands are answered at once, and returns the write, or None if
    there is nothing to do, or raises Refused. With `watch`, the write happens only if the key has not changed since.
    """

    key: LiveKey
    name: str
    plan: Callable[[Any, Phase], Write | None]
    watch: bool = True


def is_cluster(client: object) -> bool:
    """Whether a client talks to a Redis Cluster."""
    return isinstance(client, LateCluster | RedisCluster)


def publisher(client: Any, pipeline: Any) -> Callable[[str, str], object]:
    """A function that publishes within a pipeline: in a cluster, at the key's node, after the pipeline's commands on the key."""
    if not is_cluster(client):
        return cast(Callable[[str, str], object], pipeline.publish)

    def publish(name: str, message: str) -> object:
        return pipeline.execute_command("PUBLISH", name, message, target_nodes=client.get_node_from_key(name))

    return publish


def commit(client: Client, writes: Sequence[Write]) -> list[list[Any]]:
    """Do the writes, each atomically; on a single server up to `WRITES_PER_TRANSACTION` of them in one transaction.

    Returns:
        The replies to each write's commands.

    Raises:
        LiveTierFull: `refused` has the positions of the writes not done: all from some position on.
        WrongContent: a key to add to has another type; nothing of its transaction was done.
        LiveTierError: the server is unavailable.
    """
    done: list[list[Any]] = []
    block = 1 if is_cluster(client) else WRITES_PER_TRANSACTION
    for start in range(0, len(writes), block):
        part = writes[start : start + block]
        try:
            done += _on_server_of(client, part[0].name, partial(_transaction, writes=part))
        except LiveTierFull as error:
            taken = f" ({start} of {len(writes)} were written)" if len(writes) > 1 else ""
            raise LiveTierFull(f"{error}{taken}", range(start, len(writes))) from error
    return done


def take_steps(client: Client, steps: Sequence[TransactionStep]) -> None:
    """Take steps that belong together.

    On a single server they are one transaction: all plans are made, then all writes are done, or none. In a cluster all plans
    are checked first, and then each step is its own transaction, in the order given.

    Raises:
        Refused: a precondition does not hold, or no longer; on a single server nothing was done.
        LiveTierFull: on a single server nothing was done; in a cluster the earlier steps were.
        WrongContent: a key has another type; otherwise as LiveTierFull.
        LiveTierError: the server is unavailable, or became so during the call: the message says whether the outcome is known.
    """
    if not is_cluster(client):
        _on_server_of(client, steps[0].name, partial(_watched, steps=steps, phase=Phase.ATOMIC))
        return
    for step in steps:
        _on_server_of(client, step.name, partial(_watched, steps=[step], phase=Phase.PRECHECK))
    for at, step in enumerate(steps):
        try:
            _on_server_of(client, step.name, partial(_watched, steps=[step], phase=Phase.COMMIT))
        except TradingDataError as error:
            if at:
                done = ", ".join(other.name for other in steps[:at])
                rest = "" if isinstance(error, Refused) else "; repeat the call to complete the rest"
                error.args = (f"{error} (already done, and kept: {done}{rest})",)
            raise


def check_type(actual: str, key: LiveKey, name: str) -> None:
    """Raise WrongContent unless the reply of TYPE for `name` is the type of its kind, or none."""
    if actual not in (key.type, "none"):
        raise wrong_type(key, name, actual)


def wrong_type(key: LiveKey, name: str, actual: str) -> WrongContent:
    """The error for a key of another type than declared."""
    return WrongContent(
        name,
        f"{name!r} is a {actual}, not a {key.type}: another program wrote it; rename or delete it, then write it again",
    )


def type_of(client: Any, name: str) -> str:
    """The reply of TYPE for a key."""
    return cast(bytes, client.type(raw(name))).decode()


def _on_server_of(client: Client, name: str, action: Callable[[Redis], T]) -> T:
    """Call `action` with the server that has the key; in a cluster the key may move to another server meanwhile."""
    with live_errors(client):
        if not is_cluster(client):
            return action(client)
        cluster: Any = client
        for _ in range(_MOVES):
            try:
                return action(cluster.get_redis_connection(cluster.get_node_from_key(raw(name))))
            except MovedError:
                cluster.nodes_manager.initialize()
        return action(cluster.get_redis_connection(cluster.get_node_from_key(raw(name))))


def _transaction(server: Redis, writes: Sequence[Write]) -> list[list[Any]]:
    adding = [write for write in writes if write.adds]
    if adding:
        types = server.pipeline(transaction=False)
        for write in adding:
            types.type(raw(write.name))
        for write, type_ in zip(adding, types.execute(), strict=True):
            check_type(type_.decode(), write.key, write.name)
    with server.pipeline(transaction=True) as pipeline:
        return _executed(pipeline, writes)


def _watched(server: Redis, steps: Sequence[TransactionStep], phase: Phase) -> None:
    """Plan steps whose keys are all on this server and, except in the precheck, do their writes in one transaction."""
    for _ in range(_ATTEMPTS):
        writes: list[Write] = []
        transaction: Any = server.pipeline(transaction=True)
        with transaction as pipeline:
            try:
                pipeline.watch(*(raw(step.name) for step in steps if step.watch or len(steps) == 1))
                for step in steps:
                    check_type(type_of(pipeline, step.name), step.key, step.name)
                planned = [step.plan(pipeline, phase) for step in steps]
                if phase is Phase.PRECHECK or not any(planned):
                    return
                if not any(step.watch for step in steps):
                    pipeline.unwatch()
                pipeline.multi()
                writes = [write for write in planned if write is not None]
                _executed(pipeline, writes)
                return
            except WatchError as error:
                if writes and not str(error).startswith(_CHANGED):
                    names = ", ".join(write.name for write in writes)
                    raise LiveTierError(
                        f"the connection was lost while writing {names}: they may or may not have been written. Check them, "
                        "or repeat the call: it is refused if it had succeeded"
                    ) from error
    names = ", ".join(step.name for step in steps if step.watch)
    raise LiveTierError(f"{names} changed during each of {_ATTEMPTS} attempts; nothing was done: repeat the call")


def _executed(pipeline: Any, writes: Sequence[Write]) -> list[list[Any]]:
    """Execute a transaction of writes, with this package's errors; returns the replies to each write's commands."""
    for write in writes:
        for command in write.all_commands:
            pipeline.execute_command(*command)
    try:
        replies = iter(pipeline.execute(raise_on_error=False))
    except OutOfMemoryError as error:
        raise full_error() from error
    except ExecAbortError as error:
        if "OOM" in str(error):
            raise full_error() from error
        raise
    out = [[next(replies) for _ in write.all_commands][:-1] for write in writes]
    for write, of_write in zip(writes, out, strict=True):
        failed = next((reply for reply in of_write if isinstance(reply, RedisError)), None)
        if failed is not None:
            raise LiveTierError(
                f"{write.name} was refused ({failed}), but the other keys of this step were written: "
                f"{', '.join(other.name for other in writes if other is not write) or 'none'}"
            ) from failed
    return out
