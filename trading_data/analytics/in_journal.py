"""The entry of a journal that a version of a row came from, as long as the journal holds it.

Within a batch, entries of one key follow one another as runs of equal ones; each run is a version of the row, but for one
that the archive held already. So versions are matched with runs that say the same, from the last backwards. Sources of which
one outranks the other do not replace each other in turn, so only those of one rank are looked at together.

Belongs here: this matching. Does not: which part of which journal to look into (`books`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow.compute as pc

from trading_data.analytics.books import EntryOrigin, RowVersion
from trading_data.archive.quarantine.rejects import journal_name
from trading_data.datasets.declaration import Dataset
from trading_data.intake.entries import Entries, to_table
from trading_data.live.connection import Client
from trading_data.live.journal import EntryId, Reading, ReadRange, raw, read
from trading_data.times import day_start

_HIGHEST = 2**64 - 1

Run = tuple[str, Mapping[str, Any]]
"""Entry id and values of the first of equal entries."""


def find_entry(
    client: Client, dataset: Dataset, source: EntryOrigin, versions: Sequence[RowVersion], at: int
) -> str | None:
    """The id of the first entry in `source`'s range that says what version `at` of a row says; None if it is gone.

    Args:
        client: from `connect_for_archiver`.
        dataset: whose row.
        source: journal, and the first and the last entry that the version's batch holds of it.
        versions: all versions of the row, oldest first.
        at: which one.

    Raises:
        LiveTierError: the server is away.
    """
    if source.journal is None or source.first_entry is None or source.last_entry is None:
        return None
    first, last = EntryId.parse(source.first_entry), EntryId.parse(source.last_entry)
    stretch = ReadRange(journal_name(source.journal), _before(first), last, source.entries or 1)
    earliest = day_start(min(version.values[dataset.key[1]] for version in versions).date())
    runs = _runs(client, dataset, stretch, versions[at].values, earliest)
    end = len(runs)
    for one in reversed(_of_batch(dataset, versions, at)):
        end = next((place for place in range(end - 1, -1, -1) if runs[place][1] == one.values), -1)
        if end < 0:
            return None
    return runs[end][0] if end < len(runs) else None


def _of_batch(dataset: Dataset, versions: Sequence[RowVersion], at: int) -> list[RowVersion]:
    """Version `at` and those after it that its batch brought, of one rank.

    A version that an older batch had brought and that came again within a newer one is noted with the older batch. It counts
    as what the older batch brought last.
    """
    newest = 0
    brought = []
    for place, version in enumerate(versions):
        if _rank(dataset, version.values) == _rank(dataset, versions[at].values):
            if version.batch_id >= newest and version.batch_id == versions[at].batch_id:
                brought.append(place)
            newest = max(newest, version.batch_id)
    return [versions[place] for place in brought if place >= min(at, brought[-1])]


def _runs(
    client: Client, dataset: Dataset, stretch: ReadRange, values: Mapping[str, Any], earliest: datetime
) -> list[Run]:
    """The runs of equal entries of the row and the rank of `values`; entries that were rejected are none."""
    subject = dataset.subject
    runs: list[Run] = []
    for reading in read(client, [stretch]):
        found = [
            (entry_id, fields)
            for entry_id, fields in reading.entries
            if dataset.carried or raw(values[subject]) in fields
        ]
        if not found:
            continue
        entries = Entries()
        entries.add(Reading(reading.journal, found))
        table = to_table(dataset, entries, earliest)
        for row in table.filter(pc.is_null(table["_kind"])).to_pylist():
            said = {name: _value(dataset, name, row[name]) for name in dataset.names}
            same = all(said[name] == values[name] for name in dataset.named_by)
            alike = same and _rank(dataset, said) == _rank(dataset, values)
            if alike and (not runs or runs[-1][1] != said):
                runs.append((f"{row['_ms']}-{row['_seq']}", said))
    return runs


def _rank(dataset: Dataset, values: Mapping[str, Any]) -> int:
    return 0 if dataset.sources is None else dataset.sources.rank(values["source"])


def _value(dataset: Dataset, name: str, value: Any) -> Any:
    return Decimal(value) if dataset.column[name].type == "decimal" else value


def _before(entry: EntryId) -> EntryId:
    return EntryId(entry.ms, entry.seq - 1) if entry.seq else EntryId(entry.ms - 1, _HIGHEST)
