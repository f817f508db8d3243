"""A client for Redis Cluster that behaves like the client of a single server.

redis-py's cluster client connects in its constructor, builds a dict for each stream entry regardless of response callbacks,
and, where a node is unavailable, looks it up again for every command of a pipeline. This one connects on first use, honours
response callbacks, and abandons a pipeline at the first command that fails for good.

The keys of a pipeline lie on several nodes: each node keeps the order of its own commands only.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

from redis.cluster import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError


class LateCluster(RedisCluster):
    """A `redis.RedisCluster` that connects on first use; until then it has none of its attributes."""

    def __init__(self, options: Callable[[], Mapping[str, Any]], failed: Callable[[Exception], Exception]) -> None:
        """`options` returns those of a RedisCluster; `failed` translates the error of the first connection."""
        self._options, self._failed = options, failed
        self._opening = threading.RLock()
        self._opened: bool | None = False
        """None while it is connecting, which itself looks up attributes."""
        self._as_they_come: dict[str, Callable[..., Any]] = {}
        self._own = (*self.__dict__, "_own")

    def __getattr__(self, name: str) -> Any:
        """An attribute, after connecting where that has not happened yet."""
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
        pipeline = cast(Any, super()).pipeline(transaction, shard_hint)
        retry_alone = pipeline.parent_execute_command
        failures: list[Exception] = []

        def until_first_failure(*args: Any, **options: Any) -> Any:
            if failures:
                raise failures[0]
            try:
                return retry_alone(*args, **options)
            except (RedisConnectionError, RedisTimeoutError) as error:
                failures.append(error)
                raise

        pipeline.parent_execute_command = until_first_failure
        return pipeline

    def set_response_callback(self, command: str, callback: Callable[..., Any]) -> None:
        """Set the response callback of a command on every node, present and future."""
        with self._opening:
            self._as_they_come[command] = callback
            for node in cast(Any, self).get_nodes() if self._opened else ():
                cast(Any, self).get_redis_connection(node).set_response_callback(command, callback)

    def info_of_each(self, section: str) -> list[dict[str, Any]]:
        """INFO of each primary."""
        reply: Any = self.info(section, target_nodes=RedisCluster.PRIMARIES)  # one node's reply comes without its name
        return list(reply.values()) if all(isinstance(info, dict) for info in reply.values()) else [reply]

    def addresses(self) -> list[tuple[str, int]]:
        """Hosts and ports of the primaries."""
        return [(node.host, node.port) for node in cast(Any, self).get_primaries()]

    def close(self) -> None:
        """Close the connections; the next use connects again."""
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
