"""Producers that only set the latest value and have never heard of the journals: their values, once per change.

When such a value was accepted is not known: after the last look and before this one. So it replaces what was accepted before the
last look, and what it cannot be ordered with goes to quarantine (`archive.order`).

Belongs here: telling a value that a journalling producer set from one that only stands in the hash. Does not: the
journals themselves (`intake.snapshot`).
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
"""How many of a journal's newest entries are compared with the latest value first: a late bar or two may follow its entry."""
_LOOKED = "looked_at"
"""The field in which the moment of the last look is noted: milliseconds of the server's clock. No key of a value is called so."""

_Values = dict[str, Mapping[bytes, bytes]]


def poll_latest(
    client: Client, intake: Intake, dataset: Dataset, *, earliest: datetime, run_id: str = ""
) -> DrainedBatch | None:
    """Write into the intake the latest values that changed since the last call and that no journal entry explains.

    Call it after a snapshot. A value counts as seen only once it is durable; a kill in between offers it again.

    Returns:
        What was written, or None if there was nothing to write.
    """
    if dataset.latest_prefix is None:
        return None
    looking = server_ms(client)
    values, changed, strange, looked = _look(client, dataset)
    drained = None
    if strange:
        accepted = f"{server_ms(client)}-0".encode()
        entries = Entries()
        for key, fields in strange.items():
            entries.add(Reading(dataset.journal_of(key[len(dataset.latest_prefix) :]), [(accepted, _flat(fields))]))
        table = to_table(dataset, entries, earliest, intake.keep)
        moment = accepted.decode()
        ranges = tuple(JournalRange(key, "0-0", moment, moment, 1) for key in strange)
        since = datetime.fromtimestamp(looked / 1000, UTC)
        batch = Batch(dataset.name, "latest", now(), run_id, ranges, table, since)
        drained = describe(dataset, intake.put(batch), batch)
    if values:
        digests = {key: _digest(fields) for key, fields in changed.items()}
        writes.set_fields(client, keys.sampled(dataset.name), {**digests, _LOOKED: str(looking)})
    return drained


def values_left(client: Client, dataset: Dataset) -> int:
    """How many values `poll_latest` would write now."""
    return 0 if dataset.latest_prefix is None else len(_look(client, dataset)[2])


def _look(client: Client, dataset: Dataset) -> tuple[_Values, _Values, _Values, int]:
    """The latest values, those that changed since the last look, those of them that no entry explains; and when that was."""
    values = _read(client, find_keys(client, dataset.latest_prefix or "", "hash"))
    with live_errors(client):
        kept = cast(dict[bytes, bytes], client.hgetall(keys.sampled(dataset.name)))
    seen = {text(name): digest for name, digest in kept.items()}
    changed = {key: fields for key, fields in values.items() if seen.get(key) != _digest(fields)}
    looked = int(seen.get(_LOOKED, b"0"))
    return values, changed, _without_journal(client, dataset, changed, EntryId(looked, 0)), looked


def _read(client: Client, names: Sequence[str]) -> dict[str, Mapping[bytes, bytes]]:
    found: dict[str, Mapping[bytes, bytes]] = {}
    for start in range(0, len(names), ROWS_PER_PIPELINE):
        block = names[start : start + ROWS_PER_PIPELINE]
        pipeline = client.pipeline(transaction=False)
        for name in block:
            pipeline.hgetall(cast(str, raw(name)))
        replies: list[dict[bytes, bytes]] = execute(client, pipeline, {})
        found.update((name, reply) for name, reply in zip(block, replies, strict=True) if reply)
    return found


def _without_journal(
    client: Client, dataset: Dataset, values: Mapping[str, Mapping[bytes, bytes]], looked: EntryId
) -> dict[str, Mapping[bytes, bytes]]:
    """The values that no entry of their journal says which was accepted since the last look."""
    prefix = len(dataset.latest_prefix or "")
    journal = {key: dataset.journal_of(key[prefix:]) for key in values}
    newest = newest_entries(client, list(journal.values()), _NEWEST) if values else {}
    strange = {
        key: fields
        for key, fields in values.items()
        if _digest(fields) not in {_digest(_pairs(entry)) for _, entry in newest[journal[key]]}
    }
    said: dict[str, set[bytes]] = {}
    infos = inspect(client, [journal[key] for key in strange])
    since = [ReadRange(name, looked.preceding(), info.last, info.length) for name, info in infos.items() if info.length]
    for reading in read(client, since):
        said.setdefault(reading.journal, set()).update(_digest(_pairs(entry)) for _, entry in reading.entries)
    return {key: fields for key, fields in strange.items() if _digest(fields) not in said.get(journal[key], ())}


def _pairs(entry: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(entry[::2], entry[1::2], strict=False))


def _flat(fields: Mapping[bytes, bytes]) -> list[bytes]:
    return [part for pair in fields.items() for part in pair]


def _digest(fields: Mapping[bytes, bytes]) -> bytes:
    return hashlib.sha256(repr(sorted(fields.items())).encode()).hexdigest()[:32].encode()
