"""Writes that are whole or not at all: a key's commands, its publication, and what has to be so before, in one transaction.

A single server takes any number of keys in one transaction. In a cluster each key has a slot of its own, so a transaction
has one key there: what consists of several is done step by step, in an order that may be cut short anywhere and repeated.

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
"""Fields a call: a script takes no more than some thousand arguments."""
_HEAD = "#!lua flags=allow-oom\n"
_SET_FIELDS = "return redis.call('HSET', KEYS[1], unpack(ARGV))"


def run(client: Client, script: str, key: str, *arguments: str | bytes | int) -> Any:
    """What a Lua script answers that uses one key; it runs whether or not there is memory left.

    Raises:
        LiveTierError: the server is away, or refuses the script.
    """
    with live_errors(client):
        return client.eval(_HEAD + script, 1, key, *cast(Sequence[str], arguments))


def set_fields(client: Client, key: str, fields: Mapping[str, str | bytes]) -> None:
    """HSET, names as `live.journal.raw` makes them; raises as `run`."""
    pairs = iter(fields.items())
    while block := [part for name, value in islice(pairs, _FIELDS) for part in (raw(name), value)]:
        run(client, _SET_FIELDS, key, *block)


WRITES_PER_TRANSACTION = 100
"""A transaction of so many hashes of ten fields takes the server half a millisecond, in which no other client is served."""
_ATTEMPTS = 100
"""How often a step is begun anew because a key it depends on changed meanwhile."""
_MOVES = 3
"""How often a key of a cluster is looked for anew because it is with another node now."""
_CHANGED = "Watched variable changed"
"""Words of redis-py's WatchError for a change; the others are about a connection that was lost."""

T = TypeVar("T")
Command = tuple[Any, ...]


@dataclass(frozen=True)
class Write:
    """What is to be done to one key, and published on the channel of its name.

    `adds` says that what is there stays, so that the key has to be of its own type already, or absent.
    """

    key: LiveKey
    name: str
    commands: Sequence[Command]
    message: str
    adds: bool = False

    @classmethod
    def of_hash(cls, key: LiveKey, name: str, fields: Mapping[str, str], message: str) -> "Write":
        """Replace a hash whole, with the lifetime that its key declares."""
        flat = [raw(part) for pair in fields.items() for part in pair]
        commands: list[Command] = [("DEL", raw(name)), ("HSET", raw(name), *flat)]
        if key.ttl is not None:
            commands.append(("EXPIRE", raw(name), int(key.ttl.total_seconds())))
        return cls(key, name, commands, message)

    @classmethod
    def removal(cls, key: LiveKey, name: str, about: Mapping[str, str]) -> "Write":
        """Delete a key; `about` is what its name carries."""
        return cls(key, name, [("DEL", raw(name))], json.dumps({**about, "removed": True}))

    @property
    def all_commands(self) -> list[Command]:
        """The commands and the publication."""
        return [*self.commands, ("PUBLISH", raw(self.name), self.message)]


class Phase(Enum):
    """When a step's plan is made: for all steps at once, or in a cluster first to look and then to do."""

    WHOLE = "whole"
    LOOK = "look"
    DO = "do"


@dataclass(frozen=True)
class TransactionStep:
    """One step of a move: the key it depends on, and what then is to be done.

    `plan` reads what it needs through the pipeline it is given, whose commands are answered at once, and returns the write,
    or None if there is nothing to do, or raises Refused. With `watch`, the write happens only if the key stays as it was.
    """

    key: LiveKey
    name: str
    plan: Callable[[Any, Phase], Write | None]
    watch: bool = True


def is_cluster(client: object) -> bool:
    """Whether a client talks to a Redis Cluster."""
    return isinstance(client, LateCluster | RedisCluster)


def publisher(client: Any, pipeline: Any) -> Callable[[str, str], object]:
    """How to publish within a pipeline: in a cluster, at the node of the key, after what the pipeline did to it."""
    if not is_cluster(client):
        return cast(Callable[[str, str], object], pipeline.publish)

    def publish(name: str, message: str) -> object:
        return pipeline.execute_command("PUBLISH", name, message, target_nodes=client.get_node_from_key(name))

    return publish


def commit(client: Client, writes: Sequence[Write]) -> list[list[Any]]:
    """Do the writes, each whole or not at all; on a single server so many in one transaction.

    Returns:
        The replies to each write's commands.

    Raises:
        LiveTierFull: `refused` has the positions of those not done, which are all from one on.
        WrongContent: a key that is added to is of another type; nothing of its transaction was done.
        LiveTierError: the server is away.
    """
    done: list[list[Any]] = []
    block = 1 if is_cluster(client) else WRITES_PER_TRANSACTION
    for start in range(0, len(writes), block):
        part = writes[start : start + block]
        try:
            done += _at_home(client, part[0].name, partial(_transaction, writes=part))
        except LiveTierFull as error:
            taken = f" ({start} of {len(writes)} were written)" if len(writes) > 1 else ""
            raise LiveTierFull(f"{error}{taken}", range(start, len(writes))) from error
    return done


def take_steps(client: Client, steps: Sequence[TransactionStep]) -> None:
    """Take steps that belong together.

    On a single server they are one transaction: all plans are made, then all writes are done, or none. In a cluster all plans
    are made to see whether they hold, and then each step is a transaction for itself, in the order given.

    Raises:
        Refused: a plan does not hold, or no longer; on a single server nothing was done.
        LiveTierFull: on a single server nothing was done; in a cluster the steps before were.
        WrongContent: a key is of another type; as LiveTierFull.
        LiveTierError: the server is away, or went away while it was at it: the message says whether that is known.
    """
    if not is_cluster(client):
        _at_home(client, steps[0].name, partial(_watched, steps=steps, stage=Phase.WHOLE))
        return
    for step in steps:
        _at_home(client, step.name, partial(_watched, steps=[step], stage=Phase.LOOK))
    for at, step in enumerate(steps):
        try:
            _at_home(client, step.name, partial(_watched, steps=[step], stage=Phase.DO))
        except TradingDataError as error:
            if at:
                done = ", ".join(other.name for other in steps[:at])
                rest = "" if isinstance(error, Refused) else "; the rest is done by the same call again"
                error.args = (f"{error} (done before, and kept: {done}{rest})",)
            raise


def check_type(found: str, key: LiveKey, name: str) -> None:
    """Raise WrongContent unless a key of that type, as TYPE says it, may stand under `name`."""
    if found not in (key.type, "none"):
        raise wrong_type(key, name, found)


def wrong_type(key: LiveKey, name: str, found: str) -> WrongContent:
    """The error for a key of another type than its own."""
    return WrongContent(
        name,
        f"{name!r} is a {found}, not a {key.type}: another program wrote it; rename or delete it, and write it again",
    )


def type_of(client: Any, name: str) -> str:
    """What TYPE says of a key."""
    return cast(bytes, client.type(raw(name))).decode()


def _at_home(client: Client, name: str, action: Callable[[Redis], T]) -> T:
    """Do something on the server that has the key; in a cluster it may have moved to another one meanwhile."""
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
        for write, found in zip(adding, types.execute(), strict=True):
            check_type(found.decode(), write.key, write.name)
    with server.pipeline(transaction=True) as pipeline:
        return _executed(pipeline, writes)


def _watched(server: Redis, steps: Sequence[TransactionStep], stage: Phase) -> None:
    """Make the plans of steps whose keys are all on this server, and unless it is only to look, do the writes at once."""
    for _ in range(_ATTEMPTS):
        writes: list[Write] = []
        made: Any = server.pipeline(transaction=True)
        with made as pipeline:
            try:
                pipeline.watch(*(raw(step.name) for step in steps if step.watch or len(steps) == 1))
                for step in steps:
                    check_type(type_of(pipeline, step.name), step.key, step.name)
                planned = [step.plan(pipeline, stage) for step in steps]
                if stage is Phase.LOOK or not any(planned):
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
                        f"the connection was lost while {names} were written: whether they were is not known. Look at them, "
                        "or repeat the call: it is refused if it was done"
                    ) from error
    names = ", ".join(step.name for step in steps if step.watch)
    raise LiveTierError(f"{names} changed at each of {_ATTEMPTS} attempts; nothing was done: repeat the call")


def _executed(pipeline: Any, writes: Sequence[Write]) -> list[list[Any]]:
    """Execute a transaction of writes, with the errors in this package's words; the replies to each write's commands."""
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
    for write, answers in zip(writes, out, strict=True):
        failed = next((answer for answer in answers if isinstance(answer, RedisError)), None)
        if failed is not None:
            raise LiveTierError(
                f"{write.name} was refused ({failed}), and the other keys of this step were written: "
                f"{', '.join(other.name for other in writes if other is not write) or 'none'}"
            ) from failed
    return out
