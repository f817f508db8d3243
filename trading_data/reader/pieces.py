"""What waits, in the order in which it will be loaded, without what the archive has by its books.

Belongs here: this order, which is the order of acceptance as far as anybody can tell. Does not: reading (`waiting`), and
what becomes of several rows of one key (`union`).
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from trading_data.archive.versions import Mask
from trading_data.live.journal import BEGINNING, EntryId
from trading_data.reader.archived import Range
from trading_data.reader.books import Books, Marks
from trading_data.reader.union import Piece
from trading_data.reader.waiting import Held, Waiting


def pieces(waiting: Waiting, books: Books | None, one: Range) -> list[Piece]:
    """The good rows in a range that the archive does not have.

    Where the books are not known (None) all that is held: first what the journals hold of entries that were drained, and
    are archived unless a batch in the intake has them too; then the batches; then the entries not drained yet.
    """
    order = _Order(books.marks if books else Marks())
    for file, held in waiting.files.items():
        if books is None or file.content_hash not in books.loaded:
            order.add_batch(held.of(one))
    if books is None:
        order.pass_over(waiting.noted)
    for held in waiting.live:
        order.add_live(held.of(one), archive_known=books is not None)
    return [piece for piece in [*order.before, *order.found] if piece.rows.num_rows]


class _Order:
    """A load of the same batches, in thought: entries at or before the mark of their journal, or before the end of an
    earlier batch of it, are behind.
    """

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._passed: dict[str, EntryId] = {}
        self.before: list[Piece] = []
        self.found: list[Piece] = []

    def add_batch(self, held: Held) -> None:
        if held.origin != "journal":
            self.found.append(_piece(held, behind=held.origin == "quarantine"))
            return
        ahead = self._ahead(held)
        uncertain = np.array([not one.certain for one in held.journals], dtype=bool)[held.rows["_journal"].to_numpy()]
        self.found.append(_piece(held, ~ahead & uncertain, behind=True))
        self.found.append(_piece(held, ahead))
        self.pass_over({one.journal: one.last_id for one in held.journals})

    def add_live(self, held: Held, *, archive_known: bool) -> None:
        ahead = self._ahead(held)
        if archive_known:
            self.found.append(_piece(held, ~ahead, behind=True))
        else:
            self.before.append(_piece(held, ~ahead))
        self.found.append(_piece(held, ahead))

    def pass_over(self, positions: Mapping[str, EntryId]) -> None:
        for name, position in positions.items():
            self._passed[name] = max(self._passed.get(name, BEGINNING), position)

    def _ahead(self, held: Held) -> Mask:
        return held.after(
            [max(self._marks[one.journal].highest, self._passed.get(one.journal, BEGINNING)) for one in held.journals]
        )


def _piece(held: Held, chosen: Mask | None = None, *, behind: bool = False) -> Piece:
    rows = held.rows.select(list(held.dataset.names))
    if chosen is None or chosen.all():
        return Piece(rows, behind)
    return Piece(rows.filter(pa.array(chosen)) if chosen.any() else rows.slice(0, 0), behind)
