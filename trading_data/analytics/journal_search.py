"""The search for the journal entry of a row's version, while the journal still holds it.

Within a batch, the entries of one key form runs of equal entries. Each run is a version of the row, except one that the archive
held already. So versions are matched with runs of equal values, from the last one backwards. Sources of different ranks do not
replace each other in turn, so only those of equal rank are considered together.

Belongs here: this matching. Does not: which part of which journal to search (`origins`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow.compute as pc

from trading_data.analytics.origins import EntryOrigin, RowVersion
from trading_data.archive.quarantine.rejects import journal_name
from trading_data.datasets.declaration import Dataset
from trading_data.intake.entries import Entries, to_table
from trading_data.live.connection import Client
from trading_data.live.journal import EntryId, Reading, ReadRange, raw, read
from trading_data.times import day_start

_HIGHEST = 2**64 - 1

Run = tuple[str, Mapping[str, Any]]
"""Id and values of the first of a run of equal entries."""


def find_entry(
    client: Client, dataset: Dataset, source: EntryOrigin, versions: Sequence[RowVersion], index: int
) -> str | None:
    """The id of the first entry in the range of `source` with the values of version `index`; None if it is gone.

    Args:
        client: from `connect_for_archiver`.
        dataset: the dataset of the row.
        source: the journal, and its first and last entry in the batch of the version.
        versions: all versions of the row, oldest first.
        index: the position of the version in `versions`.

    Raises:
        LiveTierError: the server is unavailable.
    """
    if source.journal is None or source.first_entry is None or source.last_entry is None:
        return None
    first, last = EntryId.parse(source.first_entry), EntryId.parse(source.last_entry)
    to_read = ReadRange(journal_name(source.journal), _before(first), last, source.entries or 1)
    earliest = day_start(min(version.values[dataset.key[1]] for version in versions).date())
    runs = _runs(client, dataset, to_read, versions[index].values, earliest)
    end = len(runs)
    for version in reversed(_versions_of_batch(dataset, versions, index)):
        end = next((place for place in range(end - 1, -1, -1) if runs[place][1] == version.values), -1)
        if end < 0:
            return None
    return runs[end][0] if end < len(runs) else None


def _versions_of_batch(dataset: Dataset, versions: Sequence[RowVersion], index: int) -> list[RowVersion]:
    """Version `index` and the later versions from its batch, of equal rank.

    A version from an older batch that came again within a newer one is recorded with the older batch. It counts as the last version
    of the older batch.
    """
    newest = 0
    places = []
    for place, version in enumerate(versions):
        if _rank(dataset, version.values) == _rank(dataset, versions[index].values):
            if version.batch_id >= newest and version.batch_id == versions[index].batch_id:
                places.append(place)
            newest = max(newest, version.batch_id)
    return [versions[place] for place in places if place >= min(index, places[-1])]


def _runs(
    client: Client, dataset: Dataset, to_read: ReadRange, values: Mapping[str, Any], earliest: datetime
) -> list[Run]:
    """The runs of equal entries with the key and the rank of `values`, without rejected entries."""
    subject = dataset.subject
    runs: list[Run] = []
    for reading in read(client, [to_read]):
        candidates = [
            (entry_id, fields)
            for entry_id, fields in reading.entries
            if dataset.carried or raw(values[subject]) in fields
        ]
        if not candidates:
            continue
        entries = Entries()
        entries.add(Reading(reading.journal, candidates))
        table = to_table(dataset, entries, earliest)
        for row in table.filter(pc.is_null(table["_kind"])).to_pylist():
            accepted = {name: _value(dataset, name, row[name]) for name in dataset.names}
            is_same_row = all(accepted[name] == values[name] for name in dataset.named_by)
            is_same_rank = is_same_row and _rank(dataset, accepted) == _rank(dataset, values)
            if is_same_rank and (not runs or runs[-1][1] != accepted):
                runs.append((f"{row['_ms']}-{row['_seq']}", accepted))
    return runs


def _rank(dataset: Dataset, values: Mapping[str, Any]) -> int:
    return 0 if dataset.sources is None else dataset.sources.rank(values["source"])


def _value(dataset: Dataset, name: str, value: Any) -> Any:
    return Decimal(value) if dataset.column[name].type == "decimal" else value


def _before(entry: EntryId) -> EntryId:
    return EntryId(entry.ms, entry.seq - 1) if entry.seq else EntryId(entry.ms - 1, _HIGHEST)
