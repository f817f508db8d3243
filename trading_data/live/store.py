"""`LiveStore`: the API of the live tier for producers and strategies. The archiver's view of the journals is `live.journal`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import accumulate, chain
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, ParamSpec, TypeVar

from redis.exceptions import OutOfMemoryError, RedisError

from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.datasets.declaration import Dataset
from trading_data.datasets.records import Bar, Fill, Measurement
from trading_data.errors import BadInput, LiveTierError, LiveTierFull
from trading_data.live import keys
from trading_data.live.cache import Cached, cached
from trading_data.live.channels import EVERY_BAR
from trading_data.live.connection import Client, connect, full_error, live_errors
from trading_data.live.latest_state import LatestState
from trading_data.live.listener import HEARTBEAT_SECONDS
from trading_data.live.pipeline import exchange
from trading_data.live.position_transitions import PositionTransitions
from trading_data.live.subscribe import AsyncSubscription, Subscription
from trading_data.live.validation import checked_records
from trading_data.live.writes import Command
from trading_data.printable import counted
from trading_data.settings import first_partition
from trading_data.times import day_start

_PIPELINE = 500
"""Records per pipeline: enough to hide the round trip, few enough not to hold up other clients."""
_LIFETIME = int(keys.LATEST_TTL.total_seconds())


class Recorder:
    """Writes records and remembers the newest time of each subject: an older record does not change the latest value."""

    def __init__(self, client: Client) -> None:
        """Nothing is sent before the first record."""
        self._client = client
        self._newest: dict[str, datetime] = {}

    def write(self, dataset: Dataset, records: Sequence[Mapping[str, str]]) -> list[str]:
        """Write records as `live.validation` returns them; returns the id of each record's journal entry.

        Raises:
            LiveTierFull: the server's memory is full; the error's `refused` has the positions of the records not taken.
            LiveTierError: the server is unavailable.
        """
        ids: list[str] = []
        form = _json_form(dataset)
        for start in range(0, len(records), _PIPELINE):
            commands = [self._commands(dataset, record, form) for record in records[start : start + _PIPELINE]]
            with live_errors(self._client):
                replies = exchange(self._client, list(chain.from_iterable(commands)))
            ends = accumulate(map(len, commands), initial=0)
            entries = [replies[at] for at, _ in zip(ends, commands, strict=False)]
            ids += _accepted(entries, replies, start, len(records))
        return ids

    def _commands(self, dataset: Dataset, record: Mapping[str, str], form: str) -> list[Command]:
        """The commands of one record; the first is its journal entry."""
        subject = record[dataset.subject]
        channel = journal = dataset.journal_of(subject)
        entry = [part for name in dataset.fields for part in (name, record[name])]
        commands: list[Command] = [("XADD", journal, "*", *entry)]
        if dataset.latest is not None and self._is_newest(dataset, record):
            channel = dataset.latest_prefix + subject if dataset.latest_prefix else journal
            commands += [("HSET", channel, *entry), ("EXPIRE", channel, _LIFETIME)]
        elif dataset is METRICS:
            channel = keys.PERFORMANCE
            commands.append(("HSET", channel, subject, record["value"]))
        commands.append(("PUBLISH", channel, form % tuple(map(quoted, record.values()))))
        return commands

    def _is_newest(self, dataset: Dataset, record: Mapping[str, str]) -> bool:
        subject, moment = record[dataset.subject], datetime.fromisoformat(record[dataset.key[1]])
        known = self._newest.get(subject)
        if known is not None and moment < known:
            return False
        self._newest[subject] = moment
        return True


def _json_form(dataset: Dataset) -> str:
    """A template for quoted texts that yields the output of `json.dumps` for a record, in a quarter of the time."""
    return "{" + ", ".join(f'"{name}": %s' for name in dataset.names) + "}"


def _accepted(ids: list[Any], replies: list[Any], start: int, total: int) -> list[str]:
    """The ids of one pipeline's entries, or an error with every record not taken, those not sent yet included."""
    accepted = [id_.decode() for id_ in ids if isinstance(id_, bytes)]
    failed = next((reply for reply in replies if isinstance(reply, RedisError)), None)
    if failed is None:
        return accepted
    refused = [start + at for at, id_ in enumerate(ids) if not isinstance(id_, bytes)]
    refused += range(start + len(ids), total)
    if isinstance(failed, OutOfMemoryError):
        raise LiveTierFull(
            f"{full_error()} ({total - len(refused)} of {counted(total, 'record')} taken)", refused
        ) from failed
    raise LiveTierError(
        f"the live tier refused {counted(len(refused), 'record') if refused else 'the latest value of some records'}: {failed}"
    ) from failed


P = ParamSpec("P")
R = TypeVar("R")

_Bars = Bar | Mapping[str, object] | Iterable[Bar | Mapping[str, object]]
_Fills = Fill | Mapping[str, object] | Iterable[Fill | Mapping[str, object]]
_Measurements = Measurement | Mapping[str, object] | Iterable[Measurement | Mapping[str, object]]


class LiveStore(LatestState, PositionTransitions):
    """The live tier, for producers and strategies.

    Records are written in pipelines: the journal entry first, then the latest value with its lifetime, then the publication
    on the channel with the key's own name. A refused write raises; nothing is dropped silently.
    """

    def __init__(self, client: Client, first_day: date | None = None) -> None:
        """Use `client`; `from_url` makes one. `first_day` is the archive's first day partition, as in `from_url`."""
        self._client = client
        self._earliest = day_start(first_partition() if first_day is None else first_day)
        self._recorder = Recorder(client)

    @classmethod
    def from_url(cls, url: str, first_day: date | None = None) -> "LiveStore":
        """A store for a URL of one of the forms in `settings`; connects with the first command.

        Args:
            url: of the live tier.
            first_day: the archive's first day partition; earlier records are refused. The default is `TRADING_DATA_START`
                in the environment.

        Raises:
            SettingError: the URL or `TRADING_DATA_START` has the wrong form.
        """
        return cls(connect(url), first_day)

    @property
    def client(self) -> Client:
        """The redis-py client underneath."""
        return self._client

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def record_prices(self, bars: _Bars) -> list[str]:
        """Journal bars, or one bar, set each symbol's latest value, and publish them.

        The latest value of a symbol is its newest bar: a late bar is journalled and published, but does not change it.

        Returns:
            The id of each bar's journal entry, in order.

        Raises:
            BadInput: a bar breaks a rule of the dataset; none was written.
            LiveTierFull: the server's memory is full; the error's `refused` has the positions of the bars not taken.
            LiveTierError: the server is unavailable.
        """
        return self.record(PRICE, bars)

    def record_trades(self, fills: _Fills) -> list[str]:
        """Journal fills, or one, and publish them on `journal:trade`; returns and raises as `record_prices`."""
        return self.record(TRADE, fills)

    def record_metrics(self, measurements: _Measurements) -> list[str]:
        """Journal measurements, or one, set `metrics:performance`, publish them; returns and raises as `record_prices`."""
        return self.record(METRICS, measurements)

    def record(self, dataset: Dataset, records: Any) -> list[str]:
        """Write one record, or an iterable of them, of any declared dataset with a journal; as the three methods above."""
        if not dataset.journal:
            raise BadInput(f"{dataset.title} come from files: `trading-data import {dataset.plural} FILE`")
        several = [records] if isinstance(records, Bar | Fill | Measurement | Mapping) else records
        return self._recorder.write(dataset, checked_records(dataset, several, self._span()))

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
            kinds: names in `live.keys.KEYS`; by default every bar, late ones included.
            heartbeat: seconds of silence after which the server is pinged, and until the connection then counts as lost.

        Raises:
            BadInput: no symbols, or an unknown kind.
            LiveTierError: the server is unavailable now; later the subscription waits for it.
        """
        return Subscription(self._client, symbols, kinds, heartbeat=heartbeat)

    def subscribe_async(
        self,
        symbols: str | Iterable[str] | None,
        kinds: str | Iterable[str] = EVERY_BAR,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> AsyncSubscription:
        """As `subscribe`, for asyncio: `async with` or `async for` subscribes."""
        return AsyncSubscription(self._client, symbols, kinds, heartbeat=heartbeat)

    def cached(self, name: str, ttl: timedelta | float, **options: Any) -> Callable[[Callable[P, R]], Cached[P, R]]:
        """Decorate a function whose results are kept for `ttl` and shared by all processes; see `live.cache.cached`."""
        return cached(self._client, name, ttl, **options)
