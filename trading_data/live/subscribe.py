"""Subscriptions: typed updates as they are published, and a report of every gap.

Publications are delivered at most once. A lost or silent connection is replaced, with growing pauses between attempts, for as
long as it takes; the first thing delivered after that is a `Missed`. In a cluster every node receives all publications, so a
connection to any one node is enough.

Belongs here: connecting and listening. Does not: the state of a subscription (`live.listener`), the meaning of messages
(`live.channels`), and the recovery of missed updates (`live.gap_recovery`).
"""

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, cast

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from trading_data.live.channels import Update
from trading_data.live.connection import Client, live_errors, url_for_messages
from trading_data.live.gap_recovery import Missed, find_missed
from trading_data.live.listener import CONNECT_SECONDS, LOST, SLICE_SECONDS, Listener


class Subscription(Listener):
    """Updates, and a `Missed` after every gap: iterate over it, or call `get` with a time-out.

    The constructor subscribes. One thread reads; any thread may close it, which ends the iteration.
    """

    def __init__(self, client: Client, symbols: str | Iterable[str] | None, *args: Any, **options: Any) -> None:
        """As `Listener`, and subscribe."""
        super().__init__(client, symbols, *args, **options)
        self._reading = threading.Lock()
        try:
            with live_errors(client):
                self._connect()
        except BaseException:
            self._drop()
            raise

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Update | Missed]:
        return self

    def __next__(self) -> Update | Missed:
        update = self.get()
        if update is None:
            raise StopIteration
        return update

    def get(self, timeout: float | None = None) -> Update | Missed | None:
        """The next one; None if it is closed, or if `timeout` seconds pass (and some more, while it connects anew)."""
        until = None if timeout is None else time.monotonic() + timeout
        with self._reading:
            try:
                while not self.closed:
                    left = SLICE_SECONDS if until is None else until - time.monotonic()
                    if (update := self._next()) is not None:
                        return update
                    self._step(max(0.0, min(left, SLICE_SECONDS)))
                    if left <= 0:
                        return self._next()
                return None
            finally:
                if self.closed:
                    self._drop()

    def close(self) -> None:
        """Stop listening. A thread that waits for the next update returns within a quarter of a second."""
        self._closed.set()
        if self._reading.acquire(timeout=2 * SLICE_SECONDS):
            try:
                self._drop()
            finally:
                self._reading.release()

    def _step(self, wait: float) -> None:
        try:
            if self._pubsub is None:
                pause = self._next_attempt - time.monotonic()
                if pause > 0:
                    self._closed.wait(min(pause, wait))
                else:
                    self._connect()
            elif message := self._pubsub.get_message(timeout=wait):
                self._take(message)
            elif self._should_ask():
                self._pubsub.ping()
        except LOST:
            self._drop()

    def _connect(self) -> None:
        url = url_for_messages(self._client)
        server = redis.Redis.from_url(url, **self._options(url, Retry(NoBackoff(), 0)))
        self._server, self._pubsub = server, cast(Any, server).pubsub()
        missing = len(self._wanted.channels) + len(self._wanted.patterns)
        for command, names in self._commands():
            getattr(self._pubsub, command)(*names)
        while missing:
            message = self._pubsub.get_message(timeout=CONNECT_SECONDS)
            if message is None:
                raise RedisTimeoutError("a subscription was not confirmed")
            missing -= self._take(message)
        gap = self._gap()
        self._connected(find_missed(self._client, self._wanted, *gap) if gap else None)

    def _drop(self) -> None:
        for connection in self._forget():
            if connection is not None:
                connection.close()


class AsyncSubscription(Listener):
    """As `Subscription`, for asyncio: `async with`, `async for`, `await get(…)`; the first of these subscribes.

    One task reads; any task may close it.
    """

    _reads = False

    async def __aenter__(self) -> "AsyncSubscription":
        await self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> "AsyncSubscription":
        return self

    async def __anext__(self) -> Update | Missed:
        update = await self.get()
        if update is None:
            raise StopAsyncIteration
        return update

    async def get(self, timeout: float | None = None) -> Update | Missed | None:
        """The next one; None if it is closed, or if `timeout` seconds pass (and some more, while it connects anew)."""
        await self._begin()
        until = None if timeout is None else time.monotonic() + timeout
        self._reads = True
        try:
            while not self.closed:
                left = SLICE_SECONDS if until is None else until - time.monotonic()
                if (update := self._next()) is not None:
                    return update
                await self._step(max(0.0, min(left, SLICE_SECONDS)))
                if left <= 0:
                    return self._next()
            return None
        finally:
            self._reads = False
            if self.closed:
                await self._drop()

    async def close(self) -> None:
        """Stop listening. A task that waits for the next update returns within a quarter of a second."""
        self._closed.set()
        if not self._reads:
            await self._drop()

    async def _begin(self) -> None:
        if self._pubsub is not None or self._since is not None or self.closed:
            return
        try:
            with live_errors(self._client):
                await self._connect()
        except BaseException:
            await self._drop()
            self._since = None
            raise

    async def _step(self, wait: float) -> None:
        try:
            if self._pubsub is None:
                pause = self._next_attempt - time.monotonic()
                if pause > 0:
                    await asyncio.sleep(min(pause, wait))
                else:
                    await self._connect()
            elif message := await self._pubsub.get_message(timeout=wait):
                self._take(message)
            elif self._should_ask():
                await self._pubsub.ping()
        except LOST:
            await self._drop()

    async def _connect(self) -> None:
        url = await asyncio.to_thread(url_for_messages, self._client)
        server = cast(Any, redis.asyncio.Redis).from_url(url, **self._options(url, AsyncRetry(NoBackoff(), 0)))
        self._server, self._pubsub = server, server.pubsub()
        missing = len(self._wanted.channels) + len(self._wanted.patterns)
        for command, names in self._commands():
            await getattr(self._pubsub, command)(*names)
        while missing:
            message = await self._pubsub.get_message(timeout=CONNECT_SECONDS)
            if message is None:
                raise RedisTimeoutError("a subscription was not confirmed")
            missing -= self._take(message)
        gap = self._gap()
        self._connected(await asyncio.to_thread(find_missed, self._client, self._wanted, *gap) if gap else None)

    async def _drop(self) -> None:
        for connection in self._forget():
            if connection is not None:
                with suppress(*LOST):
                    await connection.aclose()
        await asyncio.sleep(0)  # redis-py does not wait for the socket, which closes with the loop's next turn
