"""The updates that a subscription missed while its connection was lost, as far as they can be recovered.

Redis delivers a publication only to the clients that listen at that moment. Records with a journal are read from there; of other
hashes only the present content is known, and of sets nothing.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import cast

from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.datasets.declaration import Dataset
from trading_data.errors import LiveTierError
from trading_data.live.channels import Update, Wanted
from trading_data.live.connection import Client
from trading_data.live.journal import (
    EntryId,
    JournalInfo,
    ReadRange,
    execute,
    find_journals,
    find_keys,
    inspect,
    raw,
    read,
    server_ms,
    text,
)
from trading_data.live.keys import KEYS
from trading_data.times import now

MOST = 10_000
"""Most journal entries recovered; after a longer gap, use the reader (`MarketData`)."""
_MARGIN = timedelta(seconds=1)
"""Allowance for the difference of two clocks and for the delay of a message."""
_BLOCK = 300
_JOURNALS: Mapping[str, Dataset] = {
    "price": PRICE,
    "price_journal": PRICE,
    "trade_journal": TRADE,
    "metrics_journal": METRICS,
    "performance": METRICS,
}


@dataclass(frozen=True)
class Missed:
    """A gap in a subscription: between `since` and `until` (aware UTC, by this machine's clock) nothing was received.

    Attributes:
        since: when the last message before the gap arrived.
        until: when the subscription was restored.
        symbols: the symbols in scope, sorted; None for all.
        updates: the recovered updates: journal entries in the order of their acceptance (kind `…_journal`), then the
            present content of hashes without a journal. They include a second or so before and after the gap, and may
            repeat delivered updates: make sure that processing an update twice does no harm.
        unknown: kinds of which more may have been published than `updates` has: they have no journal, or it was trimmed,
            or there were more than ten thousand entries, or the server did not answer.
    """

    since: datetime
    until: datetime
    symbols: tuple[str, ...] | None
    updates: tuple[Update, ...]
    unknown: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether `updates` has everything, as far as the journals show."""
        return not self.unknown


def find_missed(client: Client, wanted: Wanted, since: datetime, until: datetime) -> Missed:
    """Recover the publications of a gap; if the server does not answer, the kinds are in `unknown`."""
    symbols = None if wanted.symbols is None else tuple(sorted(wanted.symbols))
    updates: list[Update] = []
    unknown: dict[str, None] = {}
    try:
        behind = timedelta(milliseconds=server_ms(client)) - timedelta(seconds=now().timestamp())
        start = EntryId(max(1, round((since + behind - _MARGIN).timestamp() * 1000)), 0)
        datasets = {_JOURNALS[kind].name: _JOURNALS[kind] for kind in wanted.kinds if kind in _JOURNALS}
        entries: list[tuple[EntryId, Update]] = []
        for dataset in datasets.values():
            if not _read_journals(client, dataset, wanted, start, entries):
                unknown |= {kind: None for kind in wanted.kinds if _JOURNALS.get(kind) is dataset}
        updates += [update for _, update in sorted(entries, key=itemgetter(0))]
        for kind in wanted.kinds:
            if kind not in _JOURNALS:
                unknown[kind] = None
                if KEYS[kind].type == "hash":
                    updates += _read_hashes(client, kind, wanted)
    except LiveTierError:
        unknown |= dict.fromkeys(wanted.kinds)
    return Missed(since, until, symbols, tuple(updates), tuple(unknown))


def _read_journals(
    client: Client, dataset: Dataset, wanted: Wanted, start: EntryId, entries: list[tuple[EntryId, Update]]
) -> bool:
    """Add the journal entries from `start` on to `entries`; returns whether they are certainly complete."""
    if dataset.carried and wanted.symbols is not None:
        names = [dataset.journal_of(symbol) for symbol in sorted(wanted.symbols)]
    else:
        names = find_journals(client, dataset)
    infos = {name: info for name, info in inspect(client, names).items() if info.last >= start}
    read_ranges = [
        ReadRange(name, EntryId(start.ms - 1, 2**64 - 1), info.last, info.length)
        for name, info in infos.items()
        if info.length
    ]
    for reading in read(client, read_ranges):
        for entry_id, entry in reading.entries:
            if len(entries) >= MOST:
                return False
            update = _entry(dataset, wanted, reading.journal, entry)
            if update is not None:
                entries.append((EntryId.parse(entry_id), update))
    return _untrimmed(client, infos, start)


def _entry(dataset: Dataset, wanted: Wanted, journal: str, entry: object) -> Update | None:
    """An entry as it was published. A client for archivers returns a list of names and values, others a mapping."""
    flat = (
        entry
        if isinstance(entry, Sequence)
        else [part for pair in cast(Mapping[bytes, bytes], entry).items() for part in pair]
    )
    fields = {text(name): text(value) for name, value in zip(flat[::2], flat[1::2], strict=False)}
    if dataset.carried:
        fields[dataset.carried] = journal.removeprefix(dataset.prefix)
    symbol = fields.get("symbol")
    update = Update(journal, f"{dataset.name}_journal", symbol, fields, json.dumps(fields), now())
    return update if wanted.has(symbol) else None


def _untrimmed(client: Client, infos: Mapping[str, JournalInfo], start: EntryId) -> bool:
    """Whether certainly no entry from `start` on was trimmed from the journals."""
    names = [name for name, info in infos.items() if info.added > info.length]
    for at in range(0, len(names), _BLOCK):
        pipeline = client.pipeline(transaction=False)
        for name in names[at : at + _BLOCK]:
            pipeline.xrange(cast(str, raw(name)), "-", "+", 1)
        for first in execute(client, pipeline, []):
            if not first or EntryId.parse(first[0][0]) >= start:
                return False
    return True


def _read_hashes(client: Client, kind: str, wanted: Wanted) -> Iterator[Update]:
    key = KEYS[kind]
    if not key.about:
        names = [key.pattern]
    elif wanted.symbols is not None and key.about == ("symbol",):
        names = [key.name(symbol=symbol) for symbol in sorted(wanted.symbols)]
    else:
        names = find_keys(client, key.prefix, "hash")
    for at in range(0, len(names), _BLOCK):
        block = names[at : at + _BLOCK]
        pipeline = client.pipeline(transaction=False)
        for name in block:
            pipeline.hgetall(cast(str, raw(name)))
        for name, reply in zip(block, execute(client, pipeline, {}), strict=True):
            message = json.dumps({text(field): text(value) for field, value in reply.items()})
            update = wanted.update(raw(name), message.encode(), now()) if reply else None
            if update is not None:
                yield update
