"""Fills as a hostile stranger sends them, against a plain dict: every reader says what the newest accepted ones say."""

import os
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trading_data import Fill
from trading_data.analytics import performance
from trading_data.analytics.provenance import provenance
from trading_data.archive.verify.run import verify
from trading_data.datasets import TRADE
from trading_data.operations.maintenance.compression import compress_aged
from trading_data.times import DAY
from trading_data_tests.archive.test_fills import (
    END,
    MICROSECOND,
    MIDNIGHT,
    START,
    by_file,
    by_journal,
    by_retry,
    settled,
)
from trading_data_tests.rig import MOMENT, Rig, fill

WALKS = int(os.environ.get("TRADING_DATA_TEST_WALKS", "4"))
LAST = MIDNIGHT - MICROSECOND
Known = dict[tuple[str, str], Fill]


def agrees(rig: Rig, known: Known) -> None:
    """Rows, days and profit are those of the newest fills."""
    fills = rig.reader.trades(None, START, END)
    names = [name for name in TRADE.names if name not in ("strategy", "source")]
    rows = sorted(tuple(row) for row in fills[names].itertuples(index=False))
    assert rows == sorted(tuple(getattr(trade, name) for name in names) for trade in known.values())
    assert _daily(rig, START, END) == _expected(known, START, END)
    assert _daily(rig, MIDNIGHT, END) == _expected(known, MIDNIGHT, END)
    records = performance(fills).to_dict("records")
    assert sum(trade["fills"] for trade in records) == len(known)
    bought = sum(trade.quantity for trade in known.values() if trade.side == "buy")
    assert sum(trade["bought"] for trade in records) == bought
    spent = sum(trade.quantity * trade.price * (1 if trade.side == "buy" else -1) for trade in known.values())
    assert sum(trade["cost_basis"] - trade["gross_profit"] for trade in records) == spent


def _daily(rig: Rig, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
    frame = rig.reader.trades(None, start, end, "1d")
    rows = zip(*(frame[name] for name in ("bucket", "side", "fills", "quantity", "notional")), strict=True)
    return sorted((bucket, side, fills, quantity, notional) for bucket, side, fills, quantity, notional in rows)


def _expected(known: Known, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
    out: dict[tuple[datetime, str], list[Any]] = {}
    for trade in known.values():
        day = trade.timestamp.replace(hour=0, minute=0, second=0, microsecond=0)
        if start <= day < end:
            bucket = out.setdefault((day, trade.side), [0, Decimal(0), Decimal(0)])
            bucket[0], bucket[1], bucket[2] = (
                bucket[0] + 1,
                bucket[1] + trade.quantity,
                bucket[2] + trade.quantity * trade.price,
            )
    return sorted((*key, *sums) for key, sums in out.items())


def remember(known: Known, *fills: Fill) -> tuple[Fill, ...]:
    """Fills on their way: the newest of each execution counts."""
    known.update({(fill.order_id, fill.execution_id): fill for fill in fills})
    return fills


def partial(number: int, timestamp: datetime = MOMENT, **values: Any) -> Fill:
    return fill("o1", f"e{number}", timestamp=timestamp, quantity=Decimal(number + 1), **values)


@pytest.mark.parametrize("moment", [MOMENT, LAST], ids=["in the middle", "at the end of the day"])
def test_a_thousand_fills_of_one_millisecond(rig: Rig, moment: datetime) -> None:
    """Through all doors, many more than fit between the last of them and midnight; then all are corrected to the next day."""
    known: Known = {}
    fills = [partial(number, moment, price=Decimal(number - 500) / 100) for number in range(1_000)]
    by_journal(rig, *remember(known, *fills[:400]))
    rig.snapshot(TRADE)
    by_file(rig, *remember(known, *fills[350:700]))
    agrees(rig, known)
    settled(rig)
    list(compress_aged(rig.archive, TRADE, MOMENT + 100 * DAY))
    by_retry(rig, *remember(known, *fills[700:900]))
    by_journal(rig, *remember(known, *fills[850:]))
    agrees(rig, known)
    settled(rig)
    agrees(rig, known)
    assert rig.account(TRADE).quarantined == 200  # those that were retried
    by_journal(rig, *remember(known, *(replace(fill, timestamp=moment + DAY) for fill in fills[:990])))
    agrees(rig, known)
    settled(rig)
    agrees(rig, known)
    assert rig.query("select count(*), count(distinct timestamp) from trade_data") == [(1_000, 1_000)]
    assert rig.query("select count(*) from archive_quarantine where settled is null") == [(0,)]


def test_one_execution_twice_in_a_batch_with_another_quantity(rig: Rig) -> None:
    known: Known = {}
    first, second = partial(1), partial(1, MOMENT + MICROSECOND, side="sell", price=Decimal("-37.63"))
    by_file(rig, *remember(known, first, replace(first, quantity=Decimal(9)), second))
    agrees(rig, known)
    settled(rig)
    agrees(rig, known)
    assert len(provenance(rig.archive, TRADE, "o1", second.timestamp, identity="e1").versions) == 3


def test_a_correction_that_comes_before_its_original(rig: Rig, tmp_path: Path) -> None:
    known: Known = {}
    by_journal(rig, *remember(known, partial(1), partial(2)))
    (drained,) = rig.snapshot(TRADE)
    path = Path(drained.file.path).rename(tmp_path / drained.file.name)
    time.sleep(0.002)
    by_file(rig, *remember(known, partial(1, MOMENT + 2 * DAY, price=Decimal(8))))
    rig.load(TRADE)
    path.rename(drained.file.path)
    agrees(rig, known)
    settled(rig)
    agrees(rig, known)
    assert (rig.account(TRADE).replaced, rig.account(TRADE).quarantined) == (1, 0)


def test_both_doors_report_the_same_and_the_archive_is_made_anew(rig: Rig) -> None:
    """What the journal still holds is archived again; the file that is imported again after that adds nothing."""
    known: Known = {}
    fills = [partial(number) for number in range(20)]
    by_journal(rig, *remember(known, *fills))
    by_file(rig, *remember(known, *(replace(fill, price=Decimal(3)) for fill in fills[5:15])))
    time.sleep(0.002)
    by_journal(rig, *remember(known, *(replace(fill, timestamp=MOMENT + DAY) for fill in fills[:10])))
    rig.snapshot(TRADE)
    rig.load(TRADE)
    agrees(rig, known)
    for table in ("trade_data", "trade_1d", "archive_ledger", "archive_range", "archive_entry_hash", "archive_subject_hash",
                  "archive_said_again", "archive_revision", "archive_refresh", "archive_coverage"):  # fmt: skip
        with rig.archive.transaction() as cursor:
            cursor.execute(f"truncate {table}")
    rig.snapshot(TRADE)
    rig.load(TRADE)
    by_file(rig, *remember(known, *(replace(fill, price=Decimal(3)) for fill in fills[10:15])))
    agrees(rig, known)
    settled(rig)
    agrees(rig, known)


@pytest.mark.parametrize("seed", range(WALKS))
def test_any_walk(rig: Rig, tmp_path: Path, seed: int) -> None:
    """Journals and files, batches away and back, packed days; what was archived at any moment is what `as_of` says of it."""
    _Walk(rig, tmp_path, random.Random(seed)).run(20)


class _Walk:
    """Fills of three orders on three days, each step at random."""

    def __init__(self, rig: Rig, folder: Path, chance: random.Random) -> None:
        self.rig, self.folder, self.chance = rig, folder, chance
        self.known: Known = {}
        self.away: list[tuple[Path, str]] = []
        self.archived: list[tuple[datetime, list[tuple[Any, ...]]]] = []

    def run(self, steps: int) -> None:
        for _ in range(steps):
            time.sleep(0.002)  # two doors within one millisecond cannot be ordered
            self.chance.choice(
                [self.journal, self.journal, self.file, self.load, self.move_away, self.bring_back, self.pack]
            )()
            if not self.away:
                agrees(self.rig, self.known)
        while self.away:
            self.bring_back()
        agrees(self.rig, self.known)
        self.load()
        settled(self.rig)
        agrees(self.rig, self.known)
        for moment, rows in self.archived:
            for low, high in ((START, END), (MIDNIGHT, END), (START, MIDNIGHT)):
                findings = self.rig.reader.read(TRADE, None, low, high, as_of=moment)
                seen = zip(
                    *(findings[name] for name in ("order_id", "execution_id", "timestamp", "price")), strict=True
                )
                assert sorted(seen) == [row for row in rows if low <= row[2] < high]
        assert [
            finding.message
            for finding in verify(self.rig.client, self.rig.archive, self.rig.intake, deep=True)
            if not finding.ok
        ] == []

    def fills(self) -> Sequence[Fill]:
        moments = [MOMENT, MOMENT + MICROSECOND, LAST, MIDNIGHT, MOMENT + DAY, MOMENT - DAY]
        return [
            fill(
                f"o{self.chance.randrange(3)}",
                f"e{self.chance.randrange(4)}",
                timestamp=self.chance.choice(moments),
                price=Decimal(self.chance.randrange(-2, 3)),
                side=self.chance.choice(["buy", "sell"]),
            )
            for _ in range(self.chance.randrange(1, 6))
        ]

    def journal(self) -> None:
        by_journal(self.rig, *remember(self.known, *self.fills()))

    def file(self) -> None:
        by_file(self.rig, *remember(self.known, *self.fills()))

    def load(self) -> None:
        self.rig.snapshot(TRADE)
        self.rig.load(TRADE)
        self.rig.trim(TRADE)
        moments = self.rig.query("select max(archived_at) from archive_ledger")
        rows = self.rig.query("select order_id, execution_id, coalesce(reported, timestamp), price from trade_data")
        if moments[0][0] is not None:
            self.archived.append((moments[0][0], sorted(rows)))

    def move_away(self) -> None:
        self.rig.snapshot(TRADE)
        for file in self.rig.intake.pending(TRADE.name)[-1:]:
            self.away.append((Path(file.path).rename(self.folder / file.name), file.path))

    def bring_back(self) -> None:
        if self.away:
            path, back = self.away.pop(self.chance.randrange(len(self.away)))
            path.rename(back)

    def pack(self) -> None:
        list(compress_aged(self.rig.archive, TRADE, MOMENT + 100 * DAY))
