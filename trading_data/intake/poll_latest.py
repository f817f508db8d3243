"""Values of producers that only set the latest value and do not write to the journals, once per change.

Such a value was accepted at an unknown moment between the last poll and this one. So it replaces rows accepted before the last
poll; where its order to a row is unknown, it goes to quarantine (`archive.order`).

Belongs here: which latest values have no journal entry. Does not: the journals themselves (`intake.snapshot`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from trading_data.datasets.declaration import Dataset
from trading_data.intake.batch import Batch, JournalRange
from trading_data.intake.entries import Entries, to_table
from trading_data.intake.snapshot import DrainedBatch, describe
from trading_data.intake.store import Intake
from trading_data.live import keys, writes
from trading_data.live.connection import Client, live_errors
from trading_data.live.journal import (
    ROWS_PER_PIPELINE,
    EntryId,
    Reading,
    ReadRange,
    execute,
    find_keys,
    inspect,
    newest_entries,
    raw,
    read,
    server_ms,
    text,
)
from trading_data.times import now

_NEWEST = 16
"""How many of a journal's newest entries are compared with the latest value first: late bars may follow its entry."""
_LOOKED = "looked_at"
"""The field with the moment of the last poll, in milliseconds of the server's clock. No key of a value has this name."""

_Values = dict[str, Mapping[bytes, bytes]]


def poll_latest(
    client: Client, intake: Intake, dataset: Dataset, *, earliest: datetime, run_id: str = ""
) -> DrainedBatch | None:
    """Write to the intake the latest values that changed since the last call and have no journal entry.

    Call it after a snapshot. A value counts as seen only once it is durable, so a kill in between writes it again.

    Returns:
        The batch, or None if there was nothing to write.
    """
    if dataset.latest_prefix is None:
        return None
    polled = server_ms(client)
    values, changed, unjournalled, last_poll = _poll(client, dataset)
    drained = None
    if unjournalled:
        accepted = f"{server_ms(client)}-0".encode()
        entries = Entries()
        for key, fields in unjournalled.items():
            entries.add(Reading(dataset.journal_of(key[len(dataset.latest_prefix) :]), [(accepted, _flat(fields))]))
        table = to_table(dataset, entries, earliest, intake.keep)
        moment = accepted.decode()
        ranges = tuple(JournalRange(key, "0-0", moment, moment, 1) for key in unjournalled)
        since = datetime.fromtimestamp(last_poll / 1000, UTC)
        batch = Batch(dataset.name, "latest", now(), run_id, ranges, table, since)
        drained = describe(dataset, intake.put(batch), batch)
    if values:
        digests = {key: _digest(fields) for key, fields in changed.items()}
        writes.set_fields(client, keys.sampled(dataset.name), {**digests, _LOOKED: str(polled)})
    return drained


def values_left(client: Client, dataset: Dataset) -> int:
    """How many values `poll_latest` would write now."""
    return 0 if dataset.latest_prefix is None else len(_poll(client, dataset)[2])


def _poll(client: Client, dataset: Dataset) -> tuple[_Values, _Values, _Values, int]:
    """All latest values, those changed since the last poll, those of them without a journal entry; and when that poll was (ms)."""
    values = _read(client, find_keys(client, dataset.latest_prefix or "", "hash"))
    with live_errors(client):
        kept = cast(dict[bytes, bytes], client.hgetall(keys.sampled(dataset.name)))
    seen = {text(name): digest for name, digest in kept.items()}
    changed = {key: fields for key, fields in values.items() if seen.get(key) != _digest(fields)}
    last_poll = int(seen.get(_LOOKED, b"0"))
    return values, changed, _without_journal(client, dataset, changed, EntryId(last_poll, 0)), last_poll


def _read(client: Client, names: Sequence[str]) -> dict[str, Mapping[bytes, bytes]]:
    values: dict[str, Mapping[bytes, bytes]] = {}
    for start in range(0, len(names), ROWS_PER_PIPELINE):
        block = names[start : start + ROWS_PER_PIPELINE]
        pipeline = client.pipeline(transaction=False)
        for name in block:
            pipeline.hgetall(cast(str, raw(name)))
        replies: list[dict[bytes, bytes]] = execute(client, pipeline, {})
        values.update((name, reply) for name, reply in zip(block, replies, strict=True) if reply)
    return values


def _without_journal(
    client: Client, dataset: Dataset, values: Mapping[str, Mapping[bytes, bytes]], last_poll: EntryId
) -> dict[str, Mapping[bytes, bytes]]:
    """The values without an entry in their journal that was accepted since the last poll."""
    prefix = len(dataset.latest_prefix or "")
    journal = {key: dataset.journal_of(key[prefix:]) for key in values}
    newest = newest_entries(client, list(journal.values()), _NEWEST) if values else {}
    not_newest = {
        key: fields
        for key, fields in values.items()
        if _digest(fields) not in {_digest(_pairs(entry)) for _, entry in newest[journal[key]]}
    }
    journalled: dict[str, set[bytes]] = {}
    infos = inspect(client, [journal[key] for key in not_newest])
    since = [
        ReadRange(name, last_poll.preceding(), info.last, info.length) for name, info in infos.items() if info.length
    ]
    for reading in read(client, since):
        journalled.setdefault(reading.journal, set()).update(_digest(_pairs(entry)) for _, entry in reading.entries)
    return {
        key: fields for key, fields in not_newest.items() if _digest(fields) not in journalled.get(journal[key], ())
    }


def _pairs(entry: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(entry[::2], entry[1::2], strict=False))


def _flat(fields: Mapping[bytes, bytes]) -> list[bytes]:
    return [part for pair in fields.items() for part in pair]


def _digest(fields: Mapping[bytes, bytes]) -> bytes:
    return hashlib.sha256(repr(sorted(fields.items())).encode()).hexdigest()[:32].encode()
