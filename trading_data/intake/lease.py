"""The lease on a dataset's journals: one process drains them at a time.

Its key has no TTL, because a full server evicts keys with one, and just then the journals have to be drained. Instead the value
holds its expiry in milliseconds of the server's clock: `{until} {holder}`. After a failover the clock may be behind; so an expiry
further away than a lease lasts, and as much again for a clock that steps, holds nobody up.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trading_data.datasets.declaration import Dataset
from trading_data.errors import LiveTierError
from trading_data.live import keys, writes
from trading_data.live.connection import Client

LEASE_SECONDS = 30
"""How long a drain may go without writing a batch, and how long the next drain waits after one was killed."""
PATIENCE_SECONDS = 45
_POLL_SECONDS = 0.1

_VALUE = """
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local held = redis.call('GET', KEYS[1])
local mine = held and string.match(held, ' (.*)$') == ARGV[1]
"""
_WRITE = "redis.call('SET', KEYS[1], string.format('%d %s', ms + ARGV[2], ARGV[1])) return 1"
_LEFT = "local left = (tonumber(string.match(held or '', '^(%d+) ')) or ms + 1) - ms "
_TAKE = _VALUE + _LEFT + f"if held and left > 0 and left <= 2 * ARGV[2] then return 0 end {_WRITE}"
_KEEP = _VALUE + f"if not mine then return 0 end {_WRITE}"
_GIVE_BACK = _VALUE + "if mine then redis.call('DEL', KEYS[1]) end return 1"


@contextmanager
def lease(client: Client, dataset: Dataset) -> Iterator[Callable[[], None]]:
    """Hold the lease. Call the yielded function before each step that needs it: it renews the lease for another 30 s.

    Raises:
        LiveTierError: the server is unavailable, another process keeps the lease for 45 s, or (on renewal) it is lost.
    """
    key, holder = keys.lease(dataset.name), uuid.uuid4().hex
    patience = time.monotonic() + PATIENCE_SECONDS
    while not writes.run(client, _TAKE, key, holder, LEASE_SECONDS * 1000):
        if time.monotonic() > patience:
            raise LiveTierError(
                f"another process has been draining the {dataset.name} journals for {PATIENCE_SECONDS} s: "
                "see `trading-data status`; nothing was drained, the next run tries again"
            )
        time.sleep(_POLL_SECONDS)

    def keep() -> None:
        if not writes.run(client, _KEEP, key, holder, LEASE_SECONDS * 1000):
            raise LiveTierError(
                f"the lease on the {dataset.name} journals expired during the drain, and another process may have started: "
                "nothing more was written; the next run continues"
            )

    try:
        yield keep
    finally:
        try:
            writes.run(client, _GIVE_BACK, key, holder)
        except LiveTierError:
            pass  # the server is unavailable; the lease expires by itself
