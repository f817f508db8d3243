"""`LiveStore`: how producers write to the live tier and strategies read from it.

Belongs here: the public API of the live tier. Does not: the archiver's view of the journals (`live.journal`).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar, cast

from redis.exceptions import OutOfMemoryError, RedisError

from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.datasets.declaration import Dataset
from trading_data.datasets.records import Bar, Fill, Measurement
from trading_data.errors import LiveTierError, LiveTierFull
from trading_data.live import keys
from trading_data.live.cache import Cached, cached
from trading_data.live.channels import EVERY_BAR
from trading_data.live.connection import Client, connect, full_error, live_errors
from trading_data.live.door import checked_fields
from trading_data.live.listener import HEARTBEAT_SECONDS
from trading_data.live.moves import Moves
from trading_data.live.state import State
from trading_data.live.subscribe import AsyncSubscription, Subscription
from trading_data.live.writes import publisher

P = ParamSpec("P")
R = TypeVar("R")

_PIPELINE = 500
"""Records a pipeline: enough to hide the round trip, few enough not to hold up other clients."""


class LiveStore(State, Moves):
    """The live tier, for producers and strategies.

    Every write is one pipeline a block of records: the journal entry first, then the latest value with its lifetime,
    then the publication on the channel that has the key's own name. What the server refuses is an error, never a
    silent drop.
    """

    def __init__(self, client: Client) -> None:
        """Use `client`; `from_url` makes one."""
        self._client = client
        self._newest: dict[str, datetime] = {}

    @classmethod
    def from_url(cls, url: str) -> "LiveStore":
        """A store for a URL of one of the forms in `live.urls`; connects with the first command."""
        return cls(connect(url))

    @property
    def client(self) -> Client:
        """The redis-py client underneath."""
        return self._client

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def record_prices(self, bars: Iterable[Bar | Mapping[str, object]]) -> list[str]:
        """Journal bars, set each symbol's latest value, publish them.

        The latest value of a symbol is its newest bar: a late bar is journalled and published, and leaves it alone.

        Returns:
            The journal entry's id of each bar, in order.

        Raises:
            BadInput: a bar breaks a rule of the dataset; none was written.
            LiveTierFull: the server's memory is full; `refused` of the error has the positions of those not taken.
            LiveTierError: the server is away.
        """
        return self.record(PRICE, bars)

    def record_trades(self, fills: Iterable[Fill | Mapping[str, object]]) -> list[str]:
        """Journal fills and publish them on `journal:trade`; returns and raises as `record_prices`."""
        return self.record(TRADE, fills)

    def record_metrics(self, measurements: Iterable[Measurement | Mapping[str, object]]) -> list[str]:
        """Journal measurements, set `metrics:performance`, publish them; returns and raises as `record_prices`."""
        return self.record(METRICS, measurements)

    def record(self, dataset: Dataset, records: Iterable[Any]) -> list[str]:
        """The writer behind the three above, for any declared dataset."""
        checked = [checked_fields(dataset, record, at) for at, record in enumerate(records)]
        ids: list[str] = []
        for start in range(0, len(checked), _PIPELINE):
            ids += self._write(dataset, checked, start)
        return ids

    def subscribe(
        self,
        symbols: str | Iterable[str] | None,
        kinds: str | Iterable[str] = EVERY_BAR,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> Subscription:
        """Updates of `symbols` (None: all) as they are published, and a `Missed` after each gap; see `live.subscribe`.

        Args:
            symbols: one, several, or None for all.
            kinds: names in `live.keys.KEYS` of what to hear; by default every bar, late ones included.
            heartbeat: seconds of silence after which the server is asked if it is there, and as many until it is given up.

        Raises:
            BadInput: no symbols, or an unknown kind.
            LiveTierError: the server is away now; when it goes away later, it is waited for.
        """
        return Subscription(self._client, symbols, kinds, heartbeat=heartbeat)

    def subscribe_async(
        self,
        symbols: str | Iterable[str] | None,
        kinds: str | Iterable[str] = EVERY_BAR,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> AsyncSubscription:
        """As `subscribe`, for asyncio: `async with` or `async for`, with which it subscribes."""
        return AsyncSubscription(self._client, symbols, kinds, heartbeat=heartbeat)

    def cached(self, name: str, ttl: timedelta | float, **options: Any) -> Callable[[Callable[P, R]], Cached[P, R]]:
        """Decorate a function whose results are kept for `ttl` and shared by all processes; see `live.cache.cached`."""
        return cached(self._client, name, ttl, **options)

    def _write(self, dataset: Dataset, records: list[dict[str, str]], start: int) -> list[str]:
        """Write one pipeline of the records, from position `start`."""
        pipeline = self._client.pipeline(transaction=False)
        publish = publisher(self._client, pipeline)
        journalled = []
        for record in records[start : start + _PIPELINE]:
            journalled.append(len(pipeline))
            subject = record[dataset.subject]
            entry = {name: record[name] for name in dataset.fields}
            journal = dataset.journal_of(subject)
            pipeline.xadd(journal, cast(Any, entry))
            channel = journal
            if dataset.latest is not None and self._is_newest(dataset, record):
                channel = dataset.latest_prefix + subject if dataset.latest_prefix else journal
                pipeline.hset(channel, mapping=cast(Any, entry))
                pipeline.expire(channel, keys.LATEST_TTL)
            elif dataset is METRICS:
                channel = keys.PERFORMANCE
                pipeline.hset(channel, subject, record["value"])
            publish(channel, json.dumps(record))
        with live_errors(self._client):
            replies = pipeline.execute(raise_on_error=False)
        return _accepted([replies[at] for at in journalled], replies, start, len(records))

    def _is_newest(self, dataset: Dataset, record: Mapping[str, str]) -> bool:
        subject, moment = record[dataset.subject], datetime.fromisoformat(record[dataset.key[1]])
        known = self._newest.get(subject)
        if known is not None and moment < known:
            return False
        self._newest[subject] = moment
        return True


def _accepted(ids: list[Any], replies: list[Any], start: int, total: int) -> list[str]:
    """The ids of one pipeline's entries, or the error that names every record not taken, those not sent yet included."""
    accepted = [one.decode() for one in ids if isinstance(one, bytes)]
    failed = next((reply for reply in replies if isinstance(reply, RedisError)), None)
    if failed is None:
        return accepted
    refused = [start + at for at, one in enumerate(ids) if not isinstance(one, bytes)]
    refused += range(start + len(ids), total)
    if isinstance(failed, OutOfMemoryError):
        raise LiveTierFull(
            f"{full_error()} ({total - len(refused)} of {total} records were taken)", refused
        ) from failed
    raise LiveTierError(
        f"the live tier refused {len(refused) or 'the latest value of some'} records: {failed}"
    ) from failed
