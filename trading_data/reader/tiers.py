"""Both tiers as they stand at one moment: live first, then the intake, then the archive; or what can be read of them.

Belongs here: this order, and what is said of a tier that is away. Does not: what is looked for (`rows`, `stream`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.acceptance import accepted_of
from trading_data.archive.database import Archive
from trading_data.archive.days import on_days
from trading_data.archive.order import Accepted
from trading_data.archive.said_again import SaidAgain
from trading_data.archive.versions import DAY_US, microseconds
from trading_data.errors import ArchiveTierError, TradingDataError
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.reader.archive_queries import Range, row_origins
from trading_data.reader.merge import Piece, pieces, union
from trading_data.reader.pending import PendingBatches
from trading_data.reader.query import Query
from trading_data.reader.watermarks import (
    ArchivedRanges,
    LedgerSnapshot,
    asking_for_books,
    books_in,
    last_drained,
    read_ranges,
)

Found = TypeVar("Found")
Missing = tuple[str, ...]
"""What cannot be in an answer, one text a tier or file: each begins with `archive:`, `live:` or `intake:`."""


@dataclass(frozen=True)
class Tiers:
    """The connections; `earliest` is the start of the first day partition."""

    client: Client
    archive: Archive
    intake: Intake
    earliest: datetime


@dataclass(frozen=True)
class TierSnapshot:
    """What is there at one moment. `cursor` and `books` are the archive's in one transaction; None where it is away."""

    waiting: PendingBatches
    cursor: Cursor | None = None
    books: LedgerSnapshot | None = None

    def pieces(self, range_: Range) -> list[Piece]:
        """The rows in a range that the archive does not have, in the order in which they will be loaded.

        Rows of a day that retention has dropped are on their way to quarantine, and not among them.
        """
        found = pieces(self.waiting, self.cursor, self.books, range_)
        if self.books is None or not self.books.closed:
            return found
        kept = []
        for piece in found:
            late = on_days(self.waiting.dataset, piece.rows, self.books.closed)
            kept.append(Piece(piece.held.without(late)) if late.any() else piece)
        return [piece for piece in kept if piece.rows.num_rows]

    def union(self, archived: pa.Table, waiting: Sequence[Piece]) -> pa.Table:
        """One row a key out of the archive's rows and those that wait, with the column `tier`."""
        ranges = self.books.ranges if self.books is not None else {}
        return union(
            self.waiting.dataset, archived, waiting, partial(self._accepted, waiting), lambda name: ranges.get(name, ())
        )

    def _accepted(self, waiting: Sequence[Piece], rows: pa.Table) -> list[Accepted]:
        """When and where rows of the archive were accepted."""
        if self.cursor is None:
            raise ValueError("there are no rows of an archive that is away")
        dataset = self.waiting.dataset
        origins = row_origins(self.cursor, dataset, rows)
        again = SaidAgain(self.cursor, dataset, min(piece.first_us for piece in waiting), by_journals=False)
        days, batches = microseconds(dataset, rows) // DAY_US, [origin.batch_id for origin, _ in origins]
        until = again.until(rows.select(list(dataset.named_by)), days, batches)
        accepted = accepted_of(self.cursor, origins)
        return [replace(one, again_us=last) for one, last in zip(accepted, until, strict=True)]


class TierReader:
    """The tiers as one question sees them; looked at once for an answer, or again and again for a stream."""

    def __init__(self, tiers: Tiers, question: Query) -> None:
        """Nothing is read before the first look."""
        self._tiers, self.question = tiers, question
        self._ranges: ArchivedRanges | None = None
        self._beside_archive, self._alone = self._new(), self._new()

    def look(self, find: Callable[[TierSnapshot], Found]) -> tuple[Found, Missing]:
        """What `find` makes of the tiers at this moment, and what cannot be in it.

        Raises:
            LiveTierError, ArchiveTierError, IntakeError: a tier is away or a file damaged, and the question is not partial;
                or the archive is away and the question is about what it knew.
        """
        try:
            return self._look_at_all(find)
        except ArchiveTierError as error:
            if not self.question.partial or self.question.as_of is not None:
                raise
            self._alone.catch_up(dict, partial=True)
            buckets = ", and buckets are made without them" if self.question.aggregate else ""
            missing = (
                f"archive: away ({_why(error)}); rows that are archived and have left the journals are missing{buckets}"
            )
            return find(TierSnapshot(self._alone)), (missing, *_not_read(self._alone, None))

    def _look_at_all(self, find: Callable[[TierSnapshot], Found]) -> tuple[Found, Missing]:
        question, waiting, archive = self.question, self._beside_archive, self._tiers.archive
        if question.as_of is None:
            waiting.catch_up(self._archived, partial=question.partial)
        asking = asking_for_books(
            question.dataset,
            question.subjects,
            waiting.hashes,
            waiting.days,
            None if question.from_rows else question.aggregate,
            question.rows_of((question.start, question.end)),
        )
        with archive.transaction(snapshot=True, first=asking) as cursor:
            books = books_in(cursor)
            found = find(TierSnapshot(waiting, cursor, books))
            drained_at = last_drained(cursor, question.dataset) if waiting.live_away else None
        self._ranges = books.ranges
        return found, _not_read(waiting, drained_at)

    def _archived(self) -> ArchivedRanges:
        if self._ranges is None:
            question = self.question
            self._ranges = read_ranges(self._tiers.archive, question.dataset, question.subjects)
        return self._ranges

    def _new(self) -> PendingBatches:
        tiers, question = self._tiers, self.question
        span = question.rows_of((question.start, question.end))
        return PendingBatches(tiers.client, tiers.intake, question.dataset, question.subjects, span, tiers.earliest)


def _not_read(waiting: PendingBatches, archived: datetime | None) -> Missing:
    """What is said of journals and batches that could not be read; `archived` is when the newest archived batch was drained."""
    said = []
    if waiting.live_away is not None:
        drained = [moment for moment in (archived, waiting.drained_at) if moment is not None]
        known = f", the newest known one of {max(drained).isoformat(timespec='seconds')}," if drained else ""
        said.append(
            f"live: away ({_why(waiting.live_away)}); what was accepted after the last snapshot{known} is missing"
        )
    said += [
        f"intake: {error}; rows that wait in it are missing unless their journals hold them" for error in waiting.unread
    ]
    return tuple(said)


def _why(error: TradingDataError) -> str:
    return str(error.__cause__ or error).strip().partition("\n")[0]
