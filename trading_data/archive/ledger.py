"""Reading the books: archived ranges, a dataset's account, what waits in quarantine. `write_books` writes them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.database import Archive
from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.archive.sql import array_of, statement
from trading_data.archive.versions import day_of, moment_of
from trading_data.collector import without_gc
from trading_data.datasets.declaration import Dataset
from trading_data.errors import Refused
from trading_data.live.journal import EntryId
from trading_data.live.ranges import EntryRange

COUNTS = ("inserted", "replaced", "unchanged", "quarantined")


@dataclass(frozen=True)
class Touched:
    """The first and last moment (UTC) of the rows of a day that changed."""

    low: datetime
    high: datetime


@dataclass
class Loaded:
    """What became of a batch. If an earlier load has committed it (`already`), these are the counts of that load.

    offered = inserted + replaced + unchanged + quarantined + replayed. `days` has the first four by UTC day. Where
    corrections moved rows between days, its `moved` is the number of rows of a day beyond those inserted on it (may be negative).
    `touched` has the range of changed rows by day.
    """

    batch_id: int = 0
    already: bool = False
    offered: int = 0
    inserted: int = 0
    replaced: int = 0
    unchanged: int = 0
    quarantined: int = 0
    replayed: int = 0
    missing: int = 0
    subjects: int = 0
    first: datetime | None = None
    last: datetime | None = None
    journals: list[dict[str, Any]] = field(default_factory=list)
    days: dict[date, dict[str, int]] = field(default_factory=dict)
    touched: dict[date, Touched] = field(default_factory=dict)

    @property
    def accepted(self) -> int:
        """Entries that no earlier batch has brought."""
        return self.inserted + self.replaced + self.unchanged + self.quarantined

    @property
    def days_with_rows(self) -> set[date]:
        """The days of its rows, new or not, and the days that rows have left."""
        return {
            day for day, counts in self.days.items() if any(counts[name] for name in counts if name != "quarantined")
        }

    def count(self, what: str, day: int, number: int = 1) -> None:
        """Add to a count, in total and for a day (since 1970)."""
        setattr(self, what, getattr(self, what) + number)
        of_day = self.days.setdefault(day_of(day), dict.fromkeys(COUNTS, 0))
        of_day[what] += number

    def move(self, day: int, number: int) -> None:
        """Note how many rows moved to a day (since 1970) from other days, or left it (negative)."""
        self.days.setdefault(day_of(day), dict.fromkeys(COUNTS, 0))["moved"] = number

    def touch(self, touched: dict[int, tuple[int, int]]) -> None:
        """Widen the changed ranges: first and last microsecond by day since 1970."""
        for day, (low, high) in touched.items():
            key, here = day_of(day), Touched(moment_of(low), moment_of(high))
            known = self.touched.get(key, here)
            self.touched[key] = Touched(min(known.low, here.low), max(known.high, here.high))


def from_ledger(row: dict[str, Any]) -> Loaded:
    """The counts of a batch that an earlier load has committed, from its ledger row."""
    return Loaded(
        already=True,
        **{name: row[name] for name in ("batch_id", "offered", *COUNTS, "replayed", "missing", "subjects", "journals")},
        first=row["first_timestamp"],
        last=row["last_timestamp"],
        days={date.fromisoformat(day): counts for day, counts in row["days"].items()},
    )


def lock_loads(cursor: Cursor, dataset: Dataset) -> None:
    """Wait for other loads of this dataset, and keep them waiting until this transaction ends.

    Raises:
        Refused: the database is being restored. TimescaleDB puts rows into no chunk then, and does not show them afterwards.
    """
    cursor.execute(
        "select current_setting('timescaledb.restoring', true) = 'on' from pg_advisory_xact_lock(hashtext(%s))",
        (f"trading_data load {dataset.name}",),
    )
    if (cursor.fetchone() or (False,))[0]:
        raise Refused(
            f"nothing was loaded into {dataset.table}: the database is being restored (timescaledb.restoring is on), and "
            "TimescaleDB would not show the rows afterwards. Wait until the restore is over. If it was killed, restore again; if "
            "its data are complete, run `trading-data psql --owner -c 'select timescaledb_post_restore()'`"
        )


@dataclass(frozen=True)
class ArchivedRange:
    """An archived range of a journal, and the number of its archived entries."""

    entries: EntryRange
    count: int


@without_gc()
def archived_ranges(archive: Archive, dataset: Dataset, journals: Sequence[str]) -> dict[str, list[EntryRange]]:
    """The archived ranges of journals, by the journal's key; journals without any are left out."""
    names = {ledger_name(journal): journal for journal in journals}
    rows = archive.ask(statement("ranges"), {"dataset": dataset.name, "journals": array_of(names)})
    return {names[name]: [range_.entries for range_ in ranges] for name, ranges in _by_journal(rows).items()}


def ranges_of(cursor: Cursor, dataset: Dataset, names: Sequence[str] | None) -> dict[str, list[ArchivedRange]]:
    """The archived ranges of journals (None: of all) by name in the ledger, in the caller's transaction."""
    cursor.execute(
        statement("ranges"), {"dataset": dataset.name, "journals": None if names is None else array_of(names)}
    )
    return _by_journal(cursor.fetchall())


def _by_journal(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[ArchivedRange]]:
    out: dict[str, list[ArchivedRange]] = {}
    for journal, incarnation, after, last, anchor, added, count in rows:
        entry_range = EntryRange(
            incarnation, EntryId.parse(after), EntryId.parse(last), anchor, None if added is None else int(added)
        )
        out.setdefault(journal, []).append(ArchivedRange(entry_range, count))
    return out


@dataclass(frozen=True)
class Account:
    """Sums over the ledger of a dataset."""

    batches: int
    offered: int
    inserted: int
    replaced: int
    unchanged: int
    quarantined: int
    replayed: int
    missing: int
    newest: datetime | None

    @property
    def accepted(self) -> int:
        """Entries accounted for: every offered one, once."""
        return self.inserted + self.replaced + self.unchanged + self.quarantined


def account(archive: Archive, dataset: Dataset, origin: str | None = None, run: str | None = None) -> Account:
    """The account of a dataset: of all batches, or of those of one origin or loaded by one run."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(
            """
            select count(*), coalesce(sum(offered), 0), coalesce(sum(inserted), 0), coalesce(sum(replaced), 0),
                   coalesce(sum(unchanged), 0), coalesce(sum(quarantined), 0), coalesce(sum(replayed), 0),
                   coalesce(sum(missing), 0), max(last_timestamp)
            from archive_ledger where dataset = %(dataset)s and (%(origin)s::text is null or origin = %(origin)s)
                and (%(run)s::text is null or load_run = %(run)s)
            """,
            {"dataset": dataset.name, "origin": origin, "run": run},
        )
        row: tuple[Any, ...] = cursor.fetchone() or ()
        *numbers, newest = row
        batches, offered, inserted, replaced, unchanged, quarantined, replayed, missing = map(int, numbers)
        return Account(batches, offered, inserted, replaced, unchanged, quarantined, replayed, missing, newest)


def loading_runs(archive: Archive) -> int:
    """How many runs have loaded a batch."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute("select count(distinct load_run) from archive_ledger")
        (count,) = cursor.fetchone() or (0,)
        return int(count)


def quarantine_waiting(archive: Archive, dataset: Dataset) -> dict[str, tuple[int, datetime]]:
    """The waiting entries in quarantine: kind → how many, and since when."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(
            """
            select kind, count(*), min(since) from archive_quarantine
            where dataset = %s and settled is null group by kind order by count(*) desc
            """,
            (dataset.name,),
        )
        return {kind: (count, since) for kind, count, since in cursor.fetchall()}
