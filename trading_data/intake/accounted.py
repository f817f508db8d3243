"""The entries of the journals that are accounted for: archived, or waiting in the intake.

Belongs here: querying both, and the note in Redis that replaces the archive while that is unavailable. Does not: decisions
based on the ranges (`live.ranges`), and draining (`intake.snapshot`).
"""

import json
from collections.abc import Iterable, Mapping
from typing import cast

from trading_data.collector import without_gc
from trading_data.datasets.declaration import Dataset
from trading_data.intake.batch import Batch
from trading_data.intake.store import Intake
from trading_data.kill_points import reached
from trading_data.live import keys, writes
from trading_data.live.connection import Client, live_errors
from trading_data.live.journal import BEGINNING, EntryId, JournalInfo, digests_at, text
from trading_data.live.ranges import FIRST_INCARNATION, EntryRange, by_journal, continues, newest

Ranges = Mapping[str, list[EntryRange]]
"""Ranges by the journal's key."""


@without_gc()
def accounted_for(client: Client, intake: Intake, dataset: Dataset, archived: Ranges | None) -> Ranges:
    """The ranges of a dataset's journals that are archived or wait in the intake.

    Args:
        client: from `connect_for_archiver`.
        intake: where batches wait.
        dataset: whose journals.
        archived: the archive's ranges; None while it is unavailable. Only then the note in Redis is used.

    Raises:
        LiveTierError: the note is needed, and the server is unavailable.
        IntakeError: a waiting batch is damaged, or the intake cannot be listed.
    """
    known = noted(client, dataset) if archived is None else archived
    return with_waiting(known, (intake.head(file) for file in intake.pending(dataset.name)))


def with_waiting(known: Ranges, heads: Iterable[Batch | None]) -> Ranges:
    """Known ranges together with those of waiting batches."""
    waiting = by_journal(pair for head in heads if head is not None for pair in head.ranges)
    return {name: [*known.get(name, []), *waiting.get(name, [])] for name in {*known, *waiting}}


@without_gc()
def of_this_incarnation(client: Client, known: Ranges, infos: Mapping[str, JournalInfo]) -> dict[str, list[EntryRange]]:
    """The joined ranges that are valid for the present incarnation of each journal.

    Journals that are new, or another incarnation than the newest known one, have none.
    """
    candidates = {name: newest(known[name]) for name in infos if known.get(name)}
    ends = {name: ranges[-1].last for name, ranges in candidates.items() if infos[name].length}
    digests = digests_at(client, ends, infos)
    return {
        name: ranges for name, ranges in candidates.items() if continues(ranges[-1], infos[name], digests.get(name))
    }


def undrained(known: Mapping[str, list[EntryRange]], infos: Mapping[str, JournalInfo]) -> int:
    """The number of entries that the journals hold, or have held, after the ranges that are accounted for."""
    total = 0
    for name, info in infos.items():
        end = known[name][-1] if known.get(name) else None
        if end is None or (end.added is None and end.last < info.last):
            total += info.length
        elif end.last < info.last:
            total += max(0, info.added - (end.added or 0))
    return total


def noted(client: Client, dataset: Dataset) -> Ranges:
    """The ranges noted in Redis: a copy of those that were durable elsewhere at that time."""
    with live_errors(client):
        kept = cast(dict[bytes, bytes], client.hgetall(keys.drained(dataset.name)))
    return {text(name): _ranges(value) for name, value in kept.items()}


def note(client: Client, dataset: Dataset, ranges: Ranges) -> None:
    """Note in Redis the ranges that are durable elsewhere."""
    writes.set_fields(client, keys.drained(dataset.name), {name: _dump(range_) for name, range_ in ranges.items()})
    reached("snapshot.noted")


def _dump(ranges: list[EntryRange]) -> str:
    return json.dumps(
        [[range_.incarnation, str(range_.after), str(range_.last), range_.anchor, range_.added] for range_ in ranges]
    )


def _ranges(value: bytes) -> list[EntryRange]:
    document = json.loads(value)
    if isinstance(document, dict):  # from a release before 0.2
        incarnation = FIRST_INCARNATION + (document["void"] != str(BEGINNING))
        last = EntryId.parse(document["last"])
        return [EntryRange(incarnation, BEGINNING, last, "", document["added"])] if last > BEGINNING else []
    return [
        EntryRange(incarnation, EntryId.parse(after), EntryId.parse(last), anchor, added)
        for incarnation, after, last, anchor, added in document
    ]
