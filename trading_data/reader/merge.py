"""What waits, in the order in which it will be loaded, without what the archive has.

Belongs here: which entries the archive has already, and which are in a journal and a batch. Does not: reading (`waiting`), and
what becomes of several rows of one key (`union`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.acceptance import Acceptance, bounds_of, microseconds_of
from trading_data.archive.entry_hash import wide_hashes
from trading_data.archive.known import ArchivedEntries, inside_ranges
from trading_data.archive.order import Accepted
from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.live.ranges import by_journal
from trading_data.reader.archive_queries import Range
from trading_data.reader.pending import NOT_KNOWN, Held, Waiting
from trading_data.reader.watermarks import Books

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
            found = replace(found, entries=found.entries._replace(incarnation=NOT_KNOWN))
        return found


def pieces(waiting: Waiting, cursor: Cursor | None, books: Books | None, one: Range) -> list[Piece]:
    """The good rows in a range that the archive does not have: of the batches in their order, then of the journals.

    All that is held where the archive cannot be asked (`books` None).
    """
    files = [
        held.of(one) for file, held in waiting.files.items() if books is None or file.content_hash not in books.loaded
    ]
    anew = _made_anew(files)
    files = [
        _not_waiting(held, files[:at]) if anew.intersection(name for name, _ in held.head.ranges) else held
        for at, held in enumerate(files)
    ]
    live = [_not_waiting(held.of(one), files) for held in waiting.live]
    found = [_not_archived(held, cursor, books) for held in [*files, *live]]
    return [Piece(held) for held in found if held.rows.num_rows]


def _made_anew(files: Sequence[Held]) -> set[str]:
    """The journals of which entries of several incarnations wait."""
    numbers: dict[str, int] = {}
    parts = (pair for held in files for pair in held.head.ranges)
    return {name for name, part in parts if numbers.setdefault(name, part.incarnation) != part.incarnation}


def _not_waiting(held: Held, files: Sequence[Held]) -> Held:
    """Without the entries that a batch in front holds: once that is loaded, they are repetitions."""
    ranges = by_journal((ledger_name(name), part) for other in files for name, part in other.head.ranges)
    known = inside_ranges(held.head, held.rows, ranges)
    again = np.flatnonzero(inside_ranges(held.head, held.rows, ranges, same=False) & ~known)
    if len(again):
        batches = [wide_hashes(other.dataset, other.rows) for other in files if other.head.origin == "journal"]
        hashes = wide_hashes(held.dataset, held.rows.take(pa.array(again)))
        known[again] = np.isin(hashes, np.concatenate(batches))
    return held.without(known) if known.any() else held


def _not_archived(held: Held, cursor: Cursor | None, books: Books | None) -> Held:
    if books is None or cursor is None or not held.rows.num_rows:
        return held
    entries = ArchivedEntries(cursor, held.dataset, held.head, books.ranges)
    # What a journal holds inside an archived range was read by it; of a batch that is back that is not known.
    known = entries.inside(held.rows) if held.live else entries.unrecognisable(held.rows)
    if not known.all():
        known[~known] = entries.recognised(held.rows.filter(pa.array(~known)))
    return held.without(known) if known.any() else held
