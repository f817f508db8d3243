"""Redis Cluster, made to behave as one server does for the rest of this package.

redis-py's client of a cluster connects as soon as it is made, builds a dict for each stream entry whatever it is told,
and, where a node is away, asks for it anew for every command of a pipeline. This one connects with the first use, hands
out what it is told to as it came, and gives a pipeline up with the first command that fails for good.

Keys of one pipeline lie on several nodes: each node keeps the order of its own commands, and only that.

Belongs here: that. Does not: what is asked of a cluster.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

from redis.cluster import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError


class LateCluster(RedisCluster):
    """A `redis.RedisCluster` that is what it is from its first use on: until then it has none of its attributes."""

    def __init__(self, options: Callable[[], Mapping[str, Any]], failed: Callable[[Exception], Exception]) -> None:
        """`options` are those of a RedisCluster; `failed` turns the error of a first use into the one to raise."""
        self._options, self._failed = options, failed
        self._opening = threading.RLock()
        self._opened: bool | None = False
        """None while it is being opened, which itself looks for attributes."""
        self._as_they_come: dict[str, Callable[..., Any]] = {}
        self._own = (*self.__dict__, "_own")

    def __getattr__(self, name: str) -> Any:
        """What is not there yet, after connecting; afterwards, what is not there at all."""
        if name.startswith("__"):
            raise AttributeError(name)
        with self._opening:
            if self._opened is False:
                self._open()
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(name) from None

    def pipeline(self, transaction: bool | None = None, shard_hint: Any = None) -> Any:
        """A pipeline over all nodes, without a transaction."""
        made = cast(Any, super()).pipeline(transaction, shard_hint)
        again = made.parent_execute_command
        gone: list[Exception] = []

        def once(*args: Any, **options: Any) -> Any:
            if gone:
                raise gone[0]
            try:
                return again(*args, **options)
            except (RedisConnectionError, RedisTimeoutError) as error:
                gone.append(error)
                raise

        made.parent_execute_command = once
        return made

    def set_response_callback(self, command: str, callback: Callable[..., Any]) -> None:
        """Set what turns the replies to a command into values, on every node that there is or will be."""
        with self._opening:
            self._as_they_come[command] = callback
            for node in cast(Any, self).get_nodes() if self._opened else ():
                cast(Any, self).get_redis_connection(node).set_response_callback(command, callback)

    def info_of_each(self, section: str) -> list[dict[str, Any]]:
        """INFO of each primary."""
        found: Any = self.info(section, target_nodes=RedisCluster.PRIMARIES)
        return list(found.values()) if all(isinstance(one, dict) for one in found.values()) else [found]

    def addresses(self) -> list[tuple[str, int]]:
        """Hosts and ports of the primaries."""
        return [(node.host, node.port) for node in cast(Any, self).get_primaries()]

    def close(self) -> None:
        """Close the connections; the next use connects anew."""
        with self._opening:
            if self._opened:
                super().close()
                self._forget()

    def _open(self) -> None:
        self._opened = None
        try:
            super().__init__(**self._options())
        except (RedisClusterException, RedisError, OSError) as error:
            self._forget()
            raise self._failed(error) from error
        manager = cast(Any, self.nodes_manager)
        make = manager.create_redis_node

        def make_node(*args: Any, **options: Any) -> Any:
            node = make(*args, **options)
            for command, callback in self._as_they_come.items():
                node.set_response_callback(command, callback)
            return node

        manager.create_redis_node = make_node
        self._opened = True
        for command, callback in tuple(self._as_they_come.items()):
            self.set_response_callback(command, callback)

    def _forget(self) -> None:
        for name in self.__dict__.keys() - set(self._own):
            del self.__dict__[name]
        self._opened = False
