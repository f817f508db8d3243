"""What waits, in the order in which it will be loaded, without what the archive has.

Belongs here: which entries the archive has already. Does not: reading (`waiting`), and what becomes of several rows of one key
(`union`).
"""

from dataclasses import dataclass, replace

import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.acceptance import Acceptance, bounds_of, microseconds_of
from trading_data.archive.known import ArchivedEntries
from trading_data.archive.order import Accepted
from trading_data.reader.archived import Range
from trading_data.reader.books import Books
from trading_data.reader.waiting import NOT_KNOWN, Held, Waiting

_ANY_MOMENT = Accepted(0, 2**62)
"""Of an entry retried from quarantine only the load can tell when it was accepted: it may add what is missing, and no more."""


@dataclass(frozen=True)
class Piece:
    """Rows that are not in the archive yet, in the order of their acceptance, and where they are from."""

    held: Held

    @property
    def rows(self) -> pa.Table:
        """The dataset's columns."""
        return self.held.rows.select(list(self.held.dataset.names))

    @property
    def first_us(self) -> int:
        """When the first of the rows was accepted, as far as that is known: microseconds since 1970."""
        return microseconds_of(bounds_of(replace(self.held.head, table=self.held.rows))[0])

    def accepted(self, at: int) -> Accepted:
        """When and where a row was accepted."""
        held = self.held
        if held.head.origin == "quarantine":
            return _ANY_MOMENT
        found = Acceptance(held.dataset, held.head, held.rows.slice(at, 1), lambda _: ()).of(0)
        if held.live and found.entries is not None:
            # What is in the journal now comes after everything that was drained from it before, whatever its incarnation.
            found = replace(found, entries=replace(found.entries, incarnation=NOT_KNOWN))
        return found


def pieces(waiting: Waiting, cursor: Cursor | None, books: Books | None, one: Range) -> list[Piece]:
    """The good rows in a range that the archive does not have: of the batches in their order, then of the journals.

    All that is held where the archive cannot be asked (`books` None).
    """
    files = [held for file, held in waiting.files.items() if books is None or file.content_hash not in books.loaded]
    found = [_not_archived(held.of(one), cursor, books) for held in [*files, *waiting.live]]
    return [Piece(held) for held in found if held.rows.num_rows]


def _not_archived(held: Held, cursor: Cursor | None, books: Books | None) -> Held:
    if books is None or cursor is None or not held.rows.num_rows:
        return held
    entries = ArchivedEntries(cursor, held.dataset, held.head, books.ranges)
    known = entries.inside(held.rows) | entries.recognised(held.rows)
    return held.without(known) if known.any() else held
