"""Readers that never pause, through archival after archival: never a missing row, never one twice. Invariant 5 of DESIGN.md."""

import os
import threading
from collections.abc import Iterable
from datetime import timedelta
from itertools import cycle
from typing import Any

import pyarrow as pa

from trading_data import MarketData
from trading_data.archive.aggregates.refresh import refresh
from trading_data.archive.chunks import chunks, compress
from trading_data.datasets import PRICE
from trading_data.reader.archive_queries import read_rows
from trading_data.reader.query import Query
from trading_data_tests.operations.maintenance.ages import several_sessions
from trading_data_tests.rig import MOMENT, Rig, bar

CYCLES = 200 if os.environ.get("TRADING_DATA_TEST_FULL") else 24
END = MOMENT + timedelta(days=1)
START_US = round(MOMENT.timestamp()) * 1_000_000
Accepted = list[tuple[str, int, int]]
"""(symbol, minute, version), in the order of acceptance; a version is a bar's close, and a later one replaces it."""


class Readers:
    """Each knows what had been accepted before a read began; `wrong` has what was not as it should be."""

    def __init__(self, accepted: Accepted) -> None:
        self.accepted, self.wrong = accepted, list[Any]()
        self.reads = dict.fromkeys(("rows", "buckets", "newest", "parts"), 0)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=names) for names in (("rows", "newest"), ("buckets", "parts"))
        ]

    def __enter__(self) -> "Readers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, *names: str) -> None:
        reader = MarketData.from_env()
        try:
            for name in cycle(names):
                if self._stop.is_set() or self.wrong:
                    break
                getattr(self, name)(reader)
                self.reads[name] += 1
        except Exception as error:  # noqa: BLE001  (whatever it is, the test has to say it)
            self.wrong.append(error)
        finally:
            reader.close()

    def _before(self) -> dict[tuple[str, int], int]:
        return {(symbol, minute): version for symbol, minute, version in list(self.accepted)}

    def _compare(self, known: dict[tuple[str, int], int], tables: Iterable[pa.Table]) -> None:
        everything = pa.concat_tables(tables)
        minutes = ((everything["timestamp"].cast(pa.int64()).to_numpy() - START_US) // 60_000_000).tolist()
        frame = dict(
            zip(
                zip(everything["symbol"].to_pylist(), minutes, strict=True),
                everything["close"].to_pylist(),
                strict=True,
            )
        )
        lost = {key: version for key, version in known.items() if frame.get(key, 0) < version}
        if lost or len(frame) != len(everything):
            self.wrong.append((len(everything), len(frame), lost))

    def rows(self, reader: MarketData) -> None:
        known = self._before()
        self._compare(known, [reader.prices(["A", "B"], MOMENT, END, format="arrow")])

    def parts(self, reader: MarketData) -> None:
        known = self._before()
        self._compare(known, reader.stream("price", ["A", "B"], MOMENT, END, rows=250, format="arrow"))

    def buckets(self, reader: MarketData) -> None:
        least = len(self._before())
        frame = reader.prices(["A", "B"], MOMENT, END, "5m")
        most = len(self._before()) + 4
        if not least <= frame["volume"].sum() <= most or frame.duplicated(["symbol", "bucket"]).any():
            self.wrong.append((least, frame["volume"].sum(), most))

    def newest(self, reader: MarketData) -> None:
        known = dict(sorted(self._before()))
        frame = reader.latest(["A", "B", "none"])
        rows = dict(zip(frame["symbol"], (frame["timestamp"] - MOMENT) / timedelta(minutes=1), strict=True))
        if len(rows) != len(frame) or any(rows.get(symbol, -1) < minute for symbol, minute in known.items()):
            self.wrong.append((known, rows))


def test_readers_never_pause(rig: Rig) -> None:
    accepted: Accepted = []
    with Readers(accepted) as readers:
        for turn in range(CYCLES):
            if readers.wrong:
                break
            again = max(0, turn - 7)
            new = [("A", turn, 1), ("B", turn, 1), ("A", again, turn + 2)]
            rig.store.record_prices(
                [bar(one, minute, high=999.0, close=version, volume=1) for one, minute, version in new]
            )
            accepted += new
            rig.client.delete("stocks:price:B")
            rig.snapshot(PRICE)
            rig.load(PRICE)
            rig.trim(PRICE)
            refresh(rig.archive, PRICE, PRICE.aggregates[0])
            if turn % 12 == 5:
                for chunk in chunks(rig.archive, PRICE):
                    compress(rig.archive, chunk)
    assert not readers.wrong
    assert min(readers.reads.values()) > 5
    assert [chunk.compressed for chunk in chunks(rig.archive, PRICE)] == [True]


@several_sessions
def test_packing_a_chunk_again_hides_nothing_from_a_read_under_way(rig: Rig) -> None:
    """The snapshot of the read is older than the packing, its look at the rows is younger."""
    rig.store.record_prices([bar("A", minute) for minute in range(5)])
    rig.archive_all(PRICE)
    for minutes in (range(5, 8), range(8, 10)):
        (chunk,) = chunks(rig.archive, PRICE)
        with rig.archive.transaction(snapshot=True) as cursor:
            cursor.execute("select count(*) from archive_ledger")
            compress(rig.archive, chunk)
            frame = read_rows(cursor, Query(PRICE, None, None, MOMENT, END), (MOMENT, END))
        assert frame.num_rows == minutes[0]
        rig.store.record_prices([bar("A", minute) for minute in minutes])
        rig.archive_all(PRICE)
    assert len(rig.reader.prices(None, MOMENT, END)) == 10
