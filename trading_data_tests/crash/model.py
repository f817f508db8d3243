"""What producers write in the random walks, and the plain dict that everything has to equal at every moment.

Belongs here: writing, reading and settling. Does not: who archives meanwhile, and how it dies.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
from psycopg2.sql import SQL, Identifier

from trading_data.archive.aggregates.compare import differences
from trading_data.archive.sql import reported_column
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.datasets.declaration import Dataset
from trading_data.live.keys import drained, lease
from trading_data.reader.frames import compute
from trading_data.times import DAY, day_start
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement

SUBJECTS = ("a", "b", "é")
MINUTES = (0, 1, 2, 61, -1500)
VALUES = (1.0, 2.0, 3.5)
Written = tuple[str, int, float]
"""Subject, minute, value."""
COUNTS = ("inserted", "replaced", "unchanged", "quarantined")
START, END = day_start(MOMENT.date()) - 5 * DAY, day_start(MOMENT.date()) + DAY

_MAKE: dict[str, Callable[[str, int, float], Any]] = {
    PRICE.name: lambda subject, minute, value: bar(subject, minute, close=9 + value),
    TRADE.name: lambda subject, minute, value: fill(subject, "e" if value < 3 else "x", minute, price=Decimal(value)),
    METRICS.name: measurement,
}


class Model:
    """A producer, a reader and what they know of one dataset; both tiers empty at first.

    Entries of one key share a journal, so the order of writing is the order of acceptance.
    """

    def __init__(self, rig: Rig, dataset: Dataset) -> None:
        """Empty both tiers."""
        self.rig, self.dataset = rig, dataset
        self.known: dict[tuple[Any, ...], Any] = {}
        self.counts: Counter[str] = Counter()
        rig.clean()

    def write(self, many: Iterable[Written]) -> None:
        """Write, correct, repeat or come late: all the same to a producer."""
        records = [_MAKE[self.dataset.name](*one) for one in many]
        self.rig.store.record(self.dataset, records)
        for record in records:
            self.counts[self._becomes(record)] += 1

    def write_broken(self) -> None:
        """An entry that no row can be made of."""
        self.rig.entry(self.dataset.journal_of("a"), {"broken": self.counts["quarantined"]})
        self.counts["quarantined"] += 1

    def lose_positions(self) -> None:
        """Redis forgets how far it was drained."""
        self.rig.client.delete(drained(self.dataset.name))

    def lose_lease(self) -> None:
        """What half a minute does to the lease of a process that is dead or stands still."""
        self.rig.client.delete(lease(self.dataset.name))

    def rows(self) -> Sequence[tuple[Any, ...]]:
        """What the dataset has to hold, sorted by key, the columns in its order."""
        return sorted(tuple(getattr(row, name) for name in self.dataset.names) for row in self.known.values())

    def check_rows(self) -> None:
        """One row a key, the newest."""
        frame = self.rig.reader.read(self.dataset, None, START, END)
        assert list(frame[list(self.dataset.names)].itertuples(index=False, name=None)) == self.rows()

    def check_buckets(self) -> None:
        """Every aggregate, whatever of it is refreshed yet."""
        names = self.dataset.names
        rows = pd.DataFrame(self.rows(), columns=list(names)).astype({self.dataset.key[1]: "datetime64[us, UTC]"})
        for aggregate in self.dataset.aggregates:
            buckets = self.rig.reader.read(self.dataset, None, START, END, aggregate.interval)
            made = compute(self.dataset, aggregate, rows) if len(rows) else buckets.iloc[:0]
            assert _plain(buckets[list(aggregate.columns)]) == _plain(made[list(aggregate.columns)])

    def settle(self) -> None:
        """Archive all; then the tables, the counts and the aggregates are what they have to be."""
        self.rig.archive_all(self.dataset)
        account = self.rig.account(self.dataset)
        counts = Counter({count: getattr(account, count) for count in COUNTS})
        # A value that is accepted again takes the row's place where entries between the two may still be on their way.
        assert counts["replaced"] >= self.counts["replaced"]
        assert _decided(counts) == _decided(self.counts)
        assert account.accepted == self.rig.accepted(self.dataset)
        assert account.offered == account.accepted + account.replayed
        assert account.missing == 0
        columns = SQL(", ").join(reported_column(self.dataset, name) for name in self.dataset.names)
        command = SQL("select {} from {}").format(columns, Identifier(self.dataset.table))
        assert sorted(self.rig.query(command)) == self.rows()
        for aggregate in self.dataset.aggregates:
            assert differences(self.rig.archive, self.dataset, aggregate, START, END) == []

    def _becomes(self, record: Any) -> str:
        """What has to become of an entry, by all that was accepted before."""
        key = tuple(getattr(record, name) for name in self.dataset.named_by)
        before = self.known.get(key)
        self.known[key] = record
        return "inserted" if before is None else "unchanged" if before == record else "replaced"


def _decided(counts: Mapping[str, int]) -> dict[str, int]:
    return {
        "inserted": counts["inserted"],
        "known before": counts["replaced"] + counts["unchanged"],
        "quarantined": counts["quarantined"],
    }


def _plain(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    """Rows to compare; a quotient has fewer digits in the database than here."""
    return frame.map(lambda value: round(value, 12) if isinstance(value, Decimal) else value).to_dict("records")
