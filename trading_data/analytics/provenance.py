"""The origin of one row: the batch, the run and the journal entry of each of its versions.

Belongs here: the history of a single row. Does not: the lookup of origins (`origins`), the search in a journal
(`journal_search`), whole periods (`compliance`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.analytics.journal_search import find_entry
from trading_data.analytics.origins import LedgerBatches, RowVersion, key_of, row_versions
from trading_data.archive.database import Archive
from trading_data.archive.places import SubjectDays
from trading_data.datasets import dataset_named
from trading_data.datasets.declaration import Dataset
from trading_data.errors import BadInput
from trading_data.live.connection import Client
from trading_data.times import utc

_MICROSECOND = timedelta(microseconds=1)
_EVER = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))
_OF_BATCH = ("origin", "snapshot_run", "load_run", "drained_at", "archived_at", "content_hash")


@dataclass(frozen=True)
class Version:
    """One version of a row. All times are aware and UTC.

    Attributes:
        values: column to value; exact numbers are `Decimal`.
        batch_id: the batch that contained it.
        origin: journal, latest, file, vendor or quarantine (a rejected entry that was retried).
        snapshot_run, load_run: the runs that drained and loaded the batch; the first is `sha256:` and the digest of the file for
            one that `import` read.
        drained_at, archived_at: the times of both.
        content_hash: of the batch's content.
        journal: the journal, the file, or the key of the latest value, as in the ledger.
        first_entry, last_entry: the first and the last of its entries in the batch, both inclusive; None if unknown.
        entries: the number of these entries.
        entry_id: the entry of this version, if known: the batch has only one, or the journal still holds it.
        replaced_by, replaced_at: the batch that replaced it, and the time; None for the present version. If it is an older batch,
            or the version's own, a row of a source with higher priority took precedence from the start.

    If the batch is not in the ledger (`verify` reports it), everything except `values` and `batch_id` is None.
    """

    values: Mapping[str, Any]
    batch_id: int
    origin: str | None
    snapshot_run: str | None
    load_run: str | None
    drained_at: datetime | None
    archived_at: datetime | None
    content_hash: str | None
    journal: str | None
    first_entry: str | None
    last_entry: str | None
    entries: int | None
    entry_id: str | None
    replaced_by: int | None
    replaced_at: datetime | None


@dataclass(frozen=True)
class Provenance:
    """The versions of the row (`subject`, `timestamp`) of a dataset, oldest first; there is at least one."""

    dataset: str
    subject: str
    timestamp: datetime
    versions: tuple[Version, ...]

    @property
    def current(self) -> Version | None:
        """The present version; None if only replaced versions are left, because the chunk was dropped."""
        return self.versions[-1] if self.versions[-1].replaced_by is None else None


def provenance(
    archive: Archive,
    dataset: str | Dataset,
    subject: str,
    timestamp: datetime | str,
    *,
    identity: str | None = None,
    client: Client | None = None,
) -> Provenance:
    """The batch, the run and the journal entry that a row of the archive came from, for each of its versions.

    Args:
        archive: the archive tier.
        dataset: the dataset or its name.
        subject: the symbol of a bar, the order of a fill, the name of a metric.
        timestamp: of the row, or of an earlier version; aware, or text with a zone.
        identity: the execution id of a fill, needed if the order has several at that moment.
        client: from `connect_for_archiver`. If given, the entry is searched in its journal, between the first and the last entry
            of the batch, unless it has been trimmed. If only older entries were trimmed, the result is the oldest remaining entry
            with the values of the row.

    Raises:
        BadInput: the archive has no such row, or several.
        ArchiveTierError, LiveTierError: a tier is unavailable.
    """
    declared = dataset_named(dataset) if isinstance(dataset, str) else dataset
    moment = utc(timestamp, "timestamp")
    with archive.transaction(snapshot=True) as cursor:
        versions = _versions(cursor, declared, subject, moment, identity)
        batches = LedgerBatches(cursor, declared, (version.batch_id for version in versions))
    if not versions:
        raise BadInput(
            f"the archive has no row ({subject}, {moment.isoformat()}) of {declared.title}: it is not archived yet, is in "
            "quarantine (`trading-data quarantine list`), or was never accepted"
        )
    traced = []
    for index, version in enumerate(versions):
        batch = batches.batch(version.batch_id)
        source = batches.source(version.batch_id, key_of(declared, version.values))
        if client is not None and source.entry_id is None and batch is not None and batch.origin == "journal":
            source = replace(source, entry_id=find_entry(client, declared, source, versions, index))
        traced.append(
            Version(
                values=version.values,
                batch_id=version.batch_id,
                **{name: getattr(batch, name, None) for name in _OF_BATCH},
                **vars(source),
                replaced_by=version.replaced_by,
                replaced_at=version.replaced_at,
            )
        )
    return Provenance(declared.name, subject, moment, tuple(traced))


def _versions(
    cursor: Cursor, dataset: Dataset, subject: str, moment: datetime, identity: str | None
) -> list[RowVersion]:
    """The versions of the row that has, or once had, this moment; empty if there is none."""
    start, end = moment, moment + _MICROSECOND
    if dataset.identity is None:
        by_key = row_versions(cursor, dataset, start, end, subject)
    else:  # a version may have any moment
        spans = SubjectDays(cursor, dataset, [subject]).spans
        kept = (min([start, *(low for low, _ in spans)]), max([end, *(high + _MICROSECOND for _, high in spans)]))
        by_key = row_versions(cursor, dataset, *_EVER, subject, kept)
    time = dataset.key[1]
    matching = {
        key: versions
        for key, versions in by_key.items()
        if any(version.values[time] == moment for version in versions) and (identity is None or key[1] == identity)
    }
    if len(matching) > 1:
        names = ", ".join(str(name) for _, name in matching)
        raise BadInput(
            f"the archive has {len(matching)} {dataset.title} of {subject} at {moment.isoformat()}: choose one by "
            f"identity, of {names}"
        )
    return next(iter(matching.values()), [])
