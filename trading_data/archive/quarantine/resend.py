"""Entries from quarantine as batches of the intake: corrected, checked like fresh ones, each with what it was.

Belongs here: an entry as it is kept, its correction and its batch. Does not: which entries (`archive.quarantine.queries`) and
what a load makes of them (`archive.quarantine.retry`).
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from trading_data.archive.quarantine.rejects import journal_name, sayable
from trading_data.datasets.declaration import Dataset
from trading_data.errors import BadInput
from trading_data.intake.batch import Batch, JournalRange, cut_by_days
from trading_data.intake.entries import Entries, to_table
from trading_data.intake.snapshot import Drained, describe
from trading_data.intake.store import Intake
from trading_data.live.journal import Reading, raw
from trading_data.times import now

Edits = Mapping[str, str | None]
"""Corrections: the field's new value, or None to leave the field out."""
_ENTRY_ID = re.compile(r"\d+-\d+", re.ASCII)


@dataclass(frozen=True)
class Quarantined:
    """A rejected entry. `payload`, the whole entry as JSON text, is empty in a listing."""

    quarantine_id: int
    dataset: str
    journal: str
    entry_id: str
    kind: str
    reason: str
    since: datetime
    settled: str | None
    settled_at: datetime | None
    payload: str = ""

    @property
    def fields(self) -> list[tuple[str, str | None]]:
        """Names and values as they came; bytes that are not UTF-8 are lone surrogates, None is a missing value."""
        return [(name, value) for name, value in json.loads(self.payload)["fields"]]


def check_edits(dataset: Dataset, edits: Edits, ids: Sequence[int]) -> None:
    """Any field may be left out (it may be an unknown one), but only the dataset's own can be set."""
    unknown = [name for name, value in edits.items() if value is not None and name not in dataset.names]
    if unknown and ids:
        raise BadInput(
            f"{dataset.title} have no field {', '.join(map(repr, unknown))}; they have {', '.join(dataset.names)}. "
            "Nothing was sent"
        )


def resend(
    intake: Intake, dataset: Dataset, found: Sequence[Quarantined], edits: Edits, earliest: datetime
) -> Iterator[Drained]:
    """Batches of these entries: corrected values to be checked, and beside each the payload that was rejected."""
    entries = Entries()
    for one in found:
        journal, fields = _corrected(dataset, one, edits)
        seen = one.entry_id if _ENTRY_ID.fullmatch(one.entry_id) else f"{round(one.since.timestamp() * 1000)}-0"
        entries.add(Reading(journal, [(seen.encode(), fields)]))
    table = _set(to_table(dataset, entries, earliest), "_payload", [one.payload for one in found])
    said = "".join(f", {name}={value}" if value is not None else f", without {name}" for name, value in edits.items())
    for start, stop in cut_by_days(dataset, table):
        part = _set(table.slice(start, stop - start), "_journal", np.arange(stop - start, dtype=np.int32))
        where = tuple(
            JournalRange(journal_name(one.journal), "0-0", one.entry_id, one.entry_id, 1) for one in found[start:stop]
        )
        batch = Batch(dataset.name, "quarantine", now(), sayable(f"quarantine retry{said}"), where, part)
        yield describe(dataset, intake.put(batch), batch)


def _corrected(dataset: Dataset, quarantined: Quarantined, edits: Edits) -> tuple[str, list[bytes]]:
    """The entry as a journal would have it: the journal's name, and names and values in turn. Missing values are left out.

    What a journal's name carries is a field like others in a file, and may be corrected like others.
    """
    journal: str = json.loads(quarantined.payload)["journal"]
    pairs = [(name, value) for name, value in quarantined.fields if name not in edits]
    pairs += [(name, value) for name, value in edits.items() if value is not None]
    if dataset.carried and (dataset.carried in edits or not _ENTRY_ID.fullmatch(quarantined.entry_id)):
        journal = dataset.journal_of(dict(pairs).get(dataset.carried) or "")
        pairs = [(name, value) for name, value in pairs if name != dataset.carried]
    return journal, [raw(text) for name, value in pairs if value is not None for text in (name, value)]


def _set(table: pa.Table, name: str, values: Any) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(name), pa.array(values, table.schema.field(name).type))
