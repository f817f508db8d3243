"""`LiveStore`: how producers write to the live tier and strategies read from it.

Belongs here: the public API of the live tier. Does not: the archiver's view of the journals (`live.journal`).
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, cast

from redis.exceptions import OutOfMemoryError, RedisError

from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.datasets.codec import LARGEST, plain
from trading_data.datasets.declaration import Column, Dataset
from trading_data.datasets.records import Bar, Fill, Measurement
from trading_data.errors import BadInput, LiveTierError, LiveTierFull
from trading_data.live import keys
from trading_data.live.connection import Client, connect, full_error, live_errors
from trading_data.times import utc

_PIPELINE = 500
"""Records a pipeline: enough to hide the round trip, few enough not to hold up other clients."""


class LiveStore:
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
        """A store for a `redis://`, `rediss://` or `unix://` URL; connects with the first command."""
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
        checked = [_fields(dataset, record, at) for at, record in enumerate(records)]
        ids: list[str] = []
        for start in range(0, len(checked), _PIPELINE):
            ids += self._write(dataset, checked, start)
        return ids

    def latest_prices(self, symbols: Sequence[str]) -> dict[str, dict[str, str]]:
        """The latest value of each symbol that has one, fields as text."""
        pipeline = self._client.pipeline(transaction=False)
        for symbol in symbols:
            pipeline.hgetall(keys.PRICE.format(symbol=symbol))
        with live_errors(self._client):
            replies = cast(list[dict[bytes, bytes]], pipeline.execute())
        return {
            symbol: {name.decode(): value.decode() for name, value in reply.items()}
            for symbol, reply in zip(symbols, replies, strict=True)
            if reply
        }

    def _write(self, dataset: Dataset, records: list[dict[str, str]], start: int) -> list[str]:
        """Write one pipeline of the records, from position `start`."""
        pipeline = self._client.pipeline(transaction=False)
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
            pipeline.publish(channel, json.dumps(record))
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


_GETTERS = {kind: attrgetter(*(field.name for field in fields(kind))) for kind in (Bar, Fill, Measurement)}
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in (Bar, Fill, Measurement)}


def _fields(dataset: Dataset, record: object, at: int) -> dict[str, str]:
    """The text fields of one record, checked by the dataset's rules."""
    kind = type(record)
    if kind in _GETTERS:
        values: Mapping[str, object] = dict(zip(_NAMES[kind], _GETTERS[kind](record), strict=True))
    elif isinstance(record, Mapping):
        values = record
    else:
        raise BadInput(f"{dataset.title}[{at}] is a {kind.__name__}; give a record class of trading_data or a mapping")
    if values.keys() != dataset.column.keys():
        missing, unknown = dataset.column.keys() - values.keys(), values.keys() - dataset.column.keys()
        raise BadInput(
            f"{dataset.title}[{at}]: missing {sorted(missing)}, unknown {sorted(unknown)}; nothing was written"
        )
    out = {column.name: _field(column, values[column.name], f"{dataset.title}[{at}]") for column in dataset.columns}
    for low, high in dataset.ordered:
        if float(out[low]) > float(out[high]):
            raise BadInput(f"{dataset.title}[{at}]: {low} {out[low]} is above {high} {out[high]}; nothing was written")
    return out


def _field(column: Column, value: object, where: str) -> str:
    name = f"{where}.{column.name}"
    if column.type == "time":
        if not isinstance(value, datetime | str):
            raise BadInput(f"{name} must be an aware datetime, not {value!r}; nothing was written")
        return utc(value, name).isoformat()
    if column.type == "text":
        if not isinstance(value, str) or (column.name_like and not value.strip()):
            raise BadInput(f"{name} must be a text that is not empty, not {value!r}; nothing was written")
        if column.choices and value not in column.choices:
            raise BadInput(f"{name} must be one of {', '.join(column.choices)}, not {value!r}; nothing was written")
        return value
    text = plain(value)
    try:
        number = float(text) if column.type == "float" else Decimal(text)
    except (ValueError, ArithmeticError):
        raise BadInput(f"{name} must be a number, not {value!r}; nothing was written") from None
    if not math.isfinite(number) or abs(float(number)) > LARGEST:
        raise BadInput(f"{name} must be finite and within {LARGEST:g}, not {value!r}; nothing was written")
    if (column.least is not None and number < column.least) or (column.above is not None and number <= column.above):
        raise BadInput(f"{name} {text} is too small; nothing was written")
    return text
