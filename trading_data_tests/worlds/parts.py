"""What a small world is made of: entries, journals, batches, the archive. Plain values that never change.

Two equal parts are one object, so that worlds are compared and looked up by identity. Belongs here: what there is. Does not:
what happens to it (`producers`, `archivers`, `returns`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from trading_data.archive.acceptance import RowOrigin
from trading_data.archive.ledger import ArchivedRange
from trading_data.intake.batch import JournalRange
from trading_data.live.journal import BEGINNING, EntryId, entry_digest
from trading_data.live.ranges import EntryRange

FIRST_MS, STEP_MS = 10, 2
"""When a world begins, and how long an acceptance takes: there is room for the ids of a clock that is behind."""
JOURNAL_OF_KEY = (0, 0, 1)
"""Three keys in two journals."""
KEYS, JOURNALS, VALUES = 3, 2, 2
NO_JOURNAL = -1
"""The journal of entries that came through another door: a file, or a latest value."""

Part = TypeVar("Part")
_made: dict[tuple[Any, ...], Any] = {}


def the(kind: Callable[..., Part], *fields: Any) -> Part:
    """The one part of a kind with these fields."""
    key = (kind, *fields)
    found = _made.get(key)
    if found is None:
        found = _made[key] = kind(*fields)
    return found


class Entry(NamedTuple):
    """An entry is what it is by its journal, its id and its content."""

    journal: int
    id: EntryId
    key: int
    value: int

    @property
    def fields(self) -> list[bytes]:
        """As Redis has them."""
        return [b"key", b"%d" % self.key, b"value", b"%d" % self.value]

    @property
    def digest(self) -> str:
        """As an anchor has it."""
        return entry_digest(str(self.id).encode(), self.fields)

    def __str__(self) -> str:
        """For people."""
        return f"{'abc'[self.key]}={self.value} ({self.id})"


Entries = frozenset[Entry]


@dataclass(frozen=True, eq=False)
class Journal:
    """A stream. `past` are all entries that were ever added to it, in this state of it or in the one from which it went on.

    `deleted` is the largest id that was deleted one by one.
    """

    entries: tuple[Entry, ...]
    last: EntryId
    added: int
    past: tuple[Entry, ...]
    deleted: EntryId = BEGINNING

    @property
    def first(self) -> EntryId | None:
        """The id of its first entry."""
        return self.entries[0].id if self.entries else None

    def past_upto(self, entry: EntryId) -> tuple[Entry, ...]:
        """What had been added up to an entry."""
        return tuple(one for one in self.past if one.id <= entry)


EMPTY = Journal((), BEGINNING, 0, ())


@dataclass(frozen=True, eq=False)
class Live:
    """The live tier.

    Attributes:
        journals: by number; None where there is none.
        note: ranges by journal.
        latest: by key: the latest value and when it was set, if the producer knows no journals; else None.
        looked: the moment of the last look at the latest values.
    """

    journals: tuple[Journal | None, ...] = (None,) * JOURNALS
    note: tuple[tuple[EntryRange, ...], ...] = ((),) * JOURNALS
    latest: tuple[tuple[int, int] | None, ...] = (None,) * KEYS
    looked: int = 0

    def having(self, **fields: Any) -> "Live":
        """The same with other fields."""
        return the(Live, *(fields.get(name, value) for name, value in vars(self).items()))


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch file. `created` and `since` are milliseconds; `who` wrote it."""

    origin: str
    created: int
    parts: tuple[JournalRange, ...]
    rows: tuple[Entry, ...]
    since: int | None
    who: str

    @cached_property
    def ranges(self) -> tuple[tuple[int, EntryRange], ...]:
        """As `intake.batch.Batch.ranges`; the journal by its number."""
        return tuple((int(part.journal), part.entries) for part in self.parts) if self.origin == "journal" else ()


class Origin(NamedTuple):
    """The batch of a row; of the key's journal its part, if from one, and that part's first entry."""

    batch: RowOrigin
    part: tuple[EntryRange, EntryId] | None


@dataclass(frozen=True)
class Row:
    """The row of a key: its value, the batch that it came from, and when it was last confirmed.

    `again` are microseconds: through another door than journals, and through any.
    """

    value: int
    origin: Origin
    again: tuple[int, int] = (-1, -1)


@dataclass(frozen=True, eq=False)
class Archive:
    """The archive tier.

    Attributes:
        rows: the row of each key.
        revisions: the values of each key that are kept as revisions.
        ranges: the archived ranges of each journal.
        quarantine: entries that could not be ordered.
        counted: entries that were counted: all that came and were not taken for a repetition.
        ledger: the batches that were loaded, as far as their files are still somewhere.
    """

    rows: tuple[Row | None, ...] = (None,) * KEYS
    revisions: tuple[frozenset[int], ...] = (frozenset(),) * KEYS
    ranges: tuple[tuple[ArchivedRange, ...], ...] = ((),) * JOURNALS
    quarantine: Entries = frozenset()
    counted: Entries = frozenset()
    ledger: frozenset[Batch] = frozenset()

    def having(self, **fields: Any) -> "Archive":
        """The same with other fields."""
        return the(Archive, *(fields.get(name, value) for name, value in vars(self).items()))

    def shows(self, entry: Entry) -> bool:
        """Whether the value of an entry is the row, a revision, or in quarantine."""
        row = self.rows[entry.key]
        is_row = row is not None and row.value == entry.value
        return is_row or entry.value in self.revisions[entry.key] or entry in self.quarantine
