"""Where one row came from: its batch, the run, and the entry of the journal, for each version that it ever had.

Belongs here: the story of one row. Does not: the books (`books`), looking into a journal (`in_journal`), and whole periods
(`compliance`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.analytics.books import LedgerBatches, RowVersion, key_of, row_versions
from trading_data.analytics.in_journal import find_entry
from trading_data.archive.database import Archive
from trading_data.archive.subjects import SubjectDays
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
        batch_id: the batch that brought it.
        origin: journal, latest, file, vendor or quarantine (a rejected entry that was sent again).
        snapshot_run, load_run: the runs that drained and loaded the batch; for files what was imported, see `import`.
        drained_at, archived_at: when.
        content_hash: of the batch's content.
        journal: the journal, the file, or the key of the latest value, as the ledger writes it.
        first_entry, last_entry: the entries of it that the batch holds, from and up to and with; None if not known.
        entries: how many those are.
        entry_id: the entry that the version came from, where that is known: the batch has only one, or the journal still
            holds it.
        replaced_by, replaced_at: the batch that replaced it and when; None for the row as it is. An older batch, or its own,
            is that of the better source's row that outranked this version from the first.

    Of a batch that the ledger does not know (`verify` reports it) all but `values` and `batch_id` are None.
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
        """The row as it is; None if only replaced versions are left of it, its chunk having been dropped."""
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
    """The batch, the run and the journal's entry that a row of the archive came from, and those of the versions before it.

    Args:
        archive: the archive tier.
        dataset: or its name.
        subject: the symbol of a bar, the order of a fill, the name of a metric.
        timestamp: of the row, or of an earlier version of it; aware, or text with a zone.
        identity: the execution id of a fill, where the order has several at that moment.
        client: from `connect_for_archiver`. With it the entry is looked for in its journal, between the first and the last
            of the batch, as long as it has not been trimmed. If older ones of these have been, it is the oldest one left
            that says what the row says.

    Raises:
        BadInput: the archive has no such row, or several.
        ArchiveTierError, LiveTierError: a tier is away.
    """
    of = dataset_named(dataset) if isinstance(dataset, str) else dataset
    moment = utc(timestamp, "timestamp")
    with archive.transaction(snapshot=True) as cursor:
        versions = _versions(cursor, of, subject, moment, identity)
        books = LedgerBatches(cursor, of, (version.batch_id for version in versions))
    if not versions:
        raise BadInput(
            f"the archive has no row ({subject}, {moment.isoformat()}) of {of.title}: it is on its way there, waits in "
            "quarantine (`trading-data quarantine list`), or never was"
        )
    found = []
    for at, version in enumerate(versions):
        batch, source = books.batch(version.batch_id), books.source(version.batch_id, key_of(of, version.values))
        if client is not None and source.entry_id is None and batch is not None and batch.origin == "journal":
            source = replace(source, entry_id=find_entry(client, of, source, versions, at))
        found.append(
            Version(
                values=version.values,
                batch_id=version.batch_id,
                **{name: getattr(batch, name, None) for name in _OF_BATCH},
                **vars(source),
                replaced_by=version.replaced_by,
                replaced_at=version.replaced_at,
            )
        )
    return Provenance(of.name, subject, moment, tuple(found))


def _versions(
    cursor: Cursor, dataset: Dataset, subject: str, moment: datetime, identity: str | None
) -> list[RowVersion]:
    """The versions of the one row of which one says this moment; none if there is no such row."""
    start, end = moment, moment + _MICROSECOND
    if dataset.identity is None:
        found = row_versions(cursor, dataset, start, end, subject)
    else:  # a version may say any moment
        spans = SubjectDays(cursor, dataset, [subject]).spans
        kept = (min([start, *(low for low, _ in spans)]), max([end, *(high + _MICROSECOND for _, high in spans)]))
        found = row_versions(cursor, dataset, *_EVER, subject, kept)
    time = dataset.key[1]
    there = {
        key: versions
        for key, versions in found.items()
        if any(version.values[time] == moment for version in versions) and (identity is None or key[1] == identity)
    }
    if len(there) > 1:
        names = ", ".join(str(name) for _, name in there)
        raise BadInput(
            f"the archive has {len(there)} {dataset.title} of {subject} at {moment.isoformat()}: say which as identity, of {names}"
        )
    return next(iter(there.values()), [])
