"""Both tiers at one moment: the journals are read first, then the intake, then the archive. With `partial`, a tier may be away.

Belongs here: this order, and the texts about a tier that is away. Does not: what is read (`rows`, `stream`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.acceptance import accepted_of
from trading_data.archive.confirmations import Confirmations
from trading_data.archive.database import Archive
from trading_data.archive.days import on_days
from trading_data.archive.order import Accepted
from trading_data.archive.versions import DAY_US, microseconds
from trading_data.errors import ArchiveTierError, TradingDataError
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.reader.archive_queries import (
    ArchivedRanges,
    LedgerSnapshot,
    fetch_ledger,
    last_drained,
    ledger_query,
    read_ranges,
    row_origins,
)
from trading_data.reader.merge import in_load_order, merge
from trading_data.reader.pending import PendingBatches, PendingRows
from trading_data.reader.query import Missing, Query, Range

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Tiers:
    """The connections; `earliest` is the start of the first day partition."""

    client: Client
    archive: Archive
    intake: Intake
    earliest: datetime


@dataclass(frozen=True)
class TierSnapshot:
    """The tiers at one moment. `cursor` and `ledger` are the archive's, of one transaction; None where the archive is away."""

    batches: PendingBatches
    cursor: Cursor | None = None
    ledger: LedgerSnapshot | None = None

    def pending(self, range_: Range) -> list[PendingRows]:
        """The rows in a range that the archive does not have, in the order in which they will be loaded.

        Rows of days that retention has dropped will go to quarantine, and are left out.
        """
        pending = in_load_order(self.batches, self.cursor, self.ledger, range_)
        if self.ledger is None or not self.ledger.dropped_days:
            return pending
        kept = []
        for held in pending:
            late = on_days(held.dataset, held.rows, self.ledger.dropped_days)
            kept.append(held.without(late) if late.any() else held)
        return [held for held in kept if held.rows.num_rows]

    def merge(self, archived: pa.Table, pending: Sequence[PendingRows]) -> pa.Table:
        """One row per key from the archive's rows and the pending ones, with the column `tier`."""
        ranges = self.ledger.ranges if self.ledger is not None else {}
        acceptance_of = partial(self._accepted, pending)
        return merge(self.batches.query.dataset, archived, pending, acceptance_of, lambda name: ranges.get(name, ()))

    def _accepted(self, pending: Sequence[PendingRows], rows: pa.Table) -> list[Accepted]:
        """When and where rows of the archive were accepted."""
        if self.cursor is None:
            raise ValueError("an archive that is away has no rows")
        dataset = self.batches.query.dataset
        origins = row_origins(self.cursor, dataset, rows)
        confirmations = Confirmations(self.cursor, dataset, min(held.first_us for held in pending), by_journals=False)
        days, batches = microseconds(dataset, rows) // DAY_US, [origin.batch_id for origin, _ in origins]
        until = confirmations.until(rows.select(list(dataset.named_by)), days, batches)
        accepted = accepted_of(self.cursor, origins)
        return [replace(version, confirmed_us=last_us) for version, last_us in zip(accepted, until, strict=True)]


class TierReader:
    """Reads the tiers for one query: once for an answer, again and again for a stream."""

    def __init__(self, tiers: Tiers, query: Query) -> None:
        """Nothing is read before the first `read`."""
        self._tiers, self.query = tiers, query
        self._ranges: ArchivedRanges | None = None
        self._beside_archive, self._alone = (
            PendingBatches(tiers.client, tiers.intake, query, tiers.earliest) for _ in range(2)
        )

    def read(self, find: Callable[[TierSnapshot], Answer]) -> tuple[Answer, Missing]:
        """The result of `find` on the tiers at this moment, and what the result lacks.

        Raises:
            LiveTierError, ArchiveTierError, IntakeError: a tier is away or a file damaged, and the query is not partial; or
                the archive is away and the query has `as_of`.
        """
        try:
            return self._read_all(find)
        except ArchiveTierError as error:
            if not self.query.partial or self.query.as_of is not None:
                raise
            self._alone.catch_up(dict, partial=True)
            buckets = ", and buckets are made without them" if self.query.aggregate else ""
            missing = (
                f"archive: away ({_why(error)}); rows that are archived and have left the journals are missing{buckets}"
            )
            return find(TierSnapshot(self._alone)), (missing, *_not_read(self._alone, None))

    def _read_all(self, find: Callable[[TierSnapshot], Answer]) -> tuple[Answer, Missing]:
        query, batches = self.query, self._beside_archive
        if query.as_of is None:
            batches.catch_up(self._archived, partial=query.partial)
        first = ledger_query(query, batches.hashes, batches.days)
        with self._tiers.archive.transaction(snapshot=True, first=first) as cursor:
            ledger = fetch_ledger(cursor)
            answer = find(TierSnapshot(batches, cursor, ledger))
            drained_at = last_drained(cursor, query.dataset) if batches.live_away else None
        self._ranges = ledger.ranges
        return answer, _not_read(batches, drained_at)

    def _archived(self) -> ArchivedRanges:
        if self._ranges is None:
            self._ranges = read_ranges(self._tiers.archive, self.query)
        return self._ranges


def _not_read(batches: PendingBatches, archived: datetime | None) -> Missing:
    """Texts about journals and batches that could not be read; `archived` is when the newest archived batch was drained."""
    texts = []
    if batches.live_away is not None:
        drained = [moment for moment in (archived, batches.drained_at) if moment is not None]
        known = f", the newest known one of {max(drained).isoformat(timespec='seconds')}," if drained else ""
        texts.append(
            f"live: away ({_why(batches.live_away)}); what was accepted after the last snapshot{known} is missing"
        )
    texts += [
        f"intake: {error}; rows that wait in it are missing unless their journals hold them" for error in batches.unread
    ]
    return tuple(texts)


def _why(error: TradingDataError) -> str:
    return str(error.__cause__ or error).strip().partition("\n")[0]
