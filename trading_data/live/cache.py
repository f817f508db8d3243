"""`cached`: results that any number of processes compute once and share for a while.

    @store.cached("daily_range", timedelta(minutes=5))
    def daily_range(symbols: list[str], day: date) -> pd.DataFrame: ...

The cache is an optimisation: without a live tier, or with a full one, the function is called as if there were no cache, and
that is counted. A result is either kept exactly as the function returned it, or not at all (`live.cache_codec`).
"""

import inspect
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import update_wrapper
from typing import Any, Generic, Literal, ParamSpec, TypeVar, cast

from redis.exceptions import RedisClusterException, RedisError, ResponseError

from trading_data.errors import BadInput, LiveTierError
from trading_data.live.cache_codec import decode, digest, encode
from trading_data.live.connection import Client, live_errors
from trading_data.live.keys import KEYS

MOST_BYTES = 4 << 20
"""Most bytes of a result; a larger one is returned but not kept: it would hold up other clients."""
LOCK_SECONDS = 5.0
"""How long after the death of a process that computes a result another one takes over. A live process renews its lock."""
_AWAY_SECONDS = 5.0
"""How long to bypass a live tier that did not answer."""
_FAILED_SECONDS = 1.0
"""How long the mark of a failed computation stays, so that the waiting callers notice it and compute side by side."""
_PAUSES = (0.005, 0.01, 0.02, 0.04, 0.08)
_TOO_LARGE, _FAILED = b"0L", b"failed"

_OURS, _TAKEN, _GAVE_UP = 1, 2, 3
_ASK = f"""
local found = redis.call('GET', KEYS[1])
if found then return found end
local holder = redis.call('GET', KEYS[2])
if holder == ARGV[3] then return {_GAVE_UP} end
if holder and holder ~= ARGV[1] then return {_TAKEN} end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return {_OURS}
"""
_KEEP = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return redis.call('DEL', KEYS[2])
"""
_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_GIVE_UP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
if ARGV[2] ~= '' then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""
_FORGET = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

P = ParamSpec("P")
R = TypeVar("R")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counts:
    """Outcomes of the calls in this process: each is a hit, a wait (for another process) or a miss (computed here).

    Of the misses, `too_large` were not kept because of their size. In `errors` the live tier did not answer, refused, or had
    content of an unknown form.
    """

    hits: int = 0
    waits: int = 0
    misses: int = 0
    too_large: int = 0
    errors: int = 0


class Cached(Generic[P, R]):
    """A function with a cache before it: call it as before."""

    __name__: str

    def __init__(
        self,
        client: Client,
        function: Callable[P, R],
        name: str,
        ttl: timedelta | float,
        *,
        most_bytes: int = MOST_BYTES,
        lock_seconds: float = LOCK_SECONDS,
    ) -> None:
        """See `cached`."""
        update_wrapper(self, function)
        seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
        if seconds < 0.001 or lock_seconds < 0.001:
            raise BadInput(f"ttl and lock_seconds must be at least 0.001 s, not {seconds} s and {lock_seconds} s")
        if set(name) & set("{}"):
            raise BadInput(f"the name of a cache is part of its keys, so {name!r} must not contain braces")
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise BadInput(f"{name} is a coroutine or generator function: only a plain function can be cached")
        KEYS["cache"].name(name=name, digest="-")
        self._client, self._function, self._name = client, function, name
        self._signature = inspect.signature(function)
        self._ttl_ms, self._lock_ms, self._most = round(seconds * 1000), round(lock_seconds * 1000), most_bytes
        self._counts, self._counting = Counts(), threading.Lock()
        self._away_until = 0.0

    @property
    def counts(self) -> Counts:
        """What the calls so far came to."""
        return self._counts

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The result, from the cache or computed.

        Raises:
            BadInput: arguments by which nothing can be found again, or a result that would not come back as it is.
            Exception: whatever the function raises; that is not kept, and those who waited for it try themselves.
        """
        key, token = self._key(args, kwargs), uuid.uuid4().hex.encode()
        cached = self._find(key, token)
        if isinstance(cached, tuple):
            return cast(R, cached[0])
        self._count("misses")
        if cached == "alone":
            return self._function(*args, **kwargs)
        with self._holding(key, token):
            result = self._function(*args, **kwargs)
            data = encode(result)
        if len(data) > self._most:
            self._count("too_large")
            data = _TOO_LARGE
        self._store(key, token, data)
        return result

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Delete the result for these arguments, also one that is being computed; returns whether there was one.

        Raises:
            LiveTierError: the live tier is unavailable, and may still have it.
        """
        key = self._key(args, kwargs)
        with live_errors(self._client):
            self._client.delete(_lock(key))
            return bool(self._client.delete(key))

    def _key(self, args: Any, kwargs: Any) -> str:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return KEYS["cache"].name(name=self._name, digest=digest(bound.arguments))

    def _find(self, key: str, token: bytes) -> tuple[Any] | Literal["hold", "alone"]:
        """The cached result, after waiting for one that is being computed; or whether to compute it with or without the lock."""
        turn = 0
        while True:
            answer = self._run(_ASK, [key, _lock(key)], token, self._lock_ms, _FAILED)
            if isinstance(answer, bytes) and answer != _TOO_LARGE:
                try:
                    result = decode(answer)
                except ValueError as error:
                    _log.warning("%s has content of an unknown form (%s); the result is computed again", key, error)
                    self._count("errors")
                    if self._run(_FORGET, [key], answer) is None:
                        return "alone"
                else:
                    self._count("waits" if turn else "hits")
                    return (result,)
            elif answer == _TAKEN:
                time.sleep(_PAUSES[min(turn, len(_PAUSES) - 1)])
                turn += 1
            elif answer == _OURS:
                return "hold"
            else:
                if answer != _GAVE_UP:
                    self._count("errors" if answer is None else "too_large")
                return "alone"

    @contextmanager
    def _holding(self, key: str, token: bytes) -> Iterator[None]:
        """Renew the lock while the function runs; if it fails, release the waiting callers."""
        done = threading.Event()

        def renew() -> None:
            while not done.wait(self._lock_ms / 3000):
                self._run(_RENEW, [_lock(key)], token, self._lock_ms)

        threading.Thread(target=renew, name=f"cached {self._name}", daemon=True).start()
        try:
            yield
        except BaseException:
            self._run(_GIVE_UP, [_lock(key)], token, _FAILED, round(_FAILED_SECONDS * 1000))
            raise
        finally:
            done.set()

    def _store(self, key: str, token: bytes, data: bytes) -> None:
        if self._run(_KEEP, [key, _lock(key)], token, data, self._ttl_ms) is None:
            self._count("errors")
            self._run(_GIVE_UP, [_lock(key)], token, b"", 0)

    def _run(self, script: str, keys: list[str], *arguments: Any) -> bytes | int | None:
        """The reply of a script; None if the live tier does not answer, did not a moment ago, or refuses."""
        if time.monotonic() < self._away_until:
            return None
        try:
            return cast(bytes | int, self._client.eval(script, len(keys), *keys, *arguments))
        except (RedisError, RedisClusterException, LiveTierError) as error:
            if not isinstance(error, ResponseError):
                self._away_until = time.monotonic() + _AWAY_SECONDS
            _log.warning("%s runs without its cache: %s", self._name, error)
            return None

    def _count(self, *names: str) -> None:
        with self._counting:
            self._counts = replace(self._counts, **{name: getattr(self._counts, name) + 1 for name in names})


def cached(
    client: Client,
    name: str,
    ttl: timedelta | float,
    *,
    most_bytes: int = MOST_BYTES,
    lock_seconds: float = LOCK_SECONDS,
) -> Callable[[Callable[P, R]], Cached[P, R]]:
    """Decorate a function so that its results are kept for a while as `cache:{name}:{digest}`.

    Equal arguments have the same digest however they are passed: numbers, strings, bytes, Decimals, dates, aware times (by
    their instant), None, and lists (or tuples), sets and mappings of these. For legal results see `live.cache_codec`.

    Args:
        client: from `connect`.
        name: of the cache, without colons and braces; two functions of the same name share their results.
        ttl: how long a result is kept, a timedelta or seconds.
        most_bytes: of a result; a larger one is returned, not kept, and counted.
        lock_seconds: how long others wait after the death of a computing process.

    Returns:
        The function, with `invalidate(…)` (takes the same arguments) and `counts`.

    Raises:
        BadInput: `name` or `ttl` is not legal, or the function is a coroutine or generator.
    """
    return lambda function: Cached(client, function, name, ttl, most_bytes=most_bytes, lock_seconds=lock_seconds)


def _lock(key: str) -> str:
    """The lock of the computing process; the braces put it on the key's node in a cluster."""
    return f"cache:lock:{{{key}}}"
