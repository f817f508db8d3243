"""Writing validated records (`live.validation`) to the live tier: journal entry, latest value, publication, in pipelines."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import accumulate, chain
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from redis.exceptions import OutOfMemoryError, RedisError

from trading_data.datasets import METRICS
from trading_data.datasets.declaration import Dataset
from trading_data.errors import LiveTierError, LiveTierFull
from trading_data.live import keys
from trading_data.live.connection import Client, full_error, live_errors
from trading_data.live.pipeline import exchange
from trading_data.live.writes import Command
from trading_data.printable import counted

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
