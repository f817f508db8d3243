"""The table of `archive.plan`, row by row: what an entry is counted as, and what is written of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from trading_data.archive.order import Order
from trading_data.archive.plan import Count, HeldRow, KnownRows, Plan, plan
from trading_data.archive.versions import Mask
from trading_data.datasets import METRICS, PRICE, TRADE, codec
from trading_data.datasets.declaration import Dataset
from trading_data_tests.rig import MOMENT

NEWER, OLDER, UNKNOWN = Order.NEWER, Order.OLDER, Order.UNKNOWN
INSERTED, REPLACED, UNCHANGED, QUARANTINED, REPLAYED = (
    Count.INSERTED,
    Count.REPLACED,
    Count.UNCHANGED,
    Count.QUARANTINED,
    Count.REPLAYED,
)
BEST, GOOD, OTHER = "manual", "alpaca:sip", "feed"
ROW = 40
"""The batch of the archive's row."""


@dataclass(frozen=True)
class Case:
    """Versions of one key, what the archive has of it, and what is to become of them."""

    values: Sequence[Any]
    counts: Sequence[Count]
    held: Mapping[int, HeldRow] = field(default_factory=dict)
    missing: bool = False
    insert: Sequence[int] = ()
    update: Sequence[int] = ()
    revise: Mapping[int, int] = field(default_factory=dict)
    reject: Mapping[int, str] = field(default_factory=dict)
    replayed: Sequence[int] = ()
    dropped: Sequence[int] = ()


def mask(length: int, positions: Sequence[int]) -> Mask:
    chosen = np.zeros(length, dtype=bool)
    chosen[list(positions)] = True
    return chosen


def check(dataset: Dataset, rows: pa.Table, case: Case, taken: Mapping[str, set[int]] = MappingProxyType({})) -> Plan:
    length = rows.num_rows
    missing = mask(length, range(length) if case.missing else case.insert if case.counts[0] == UNCHANGED else ())
    known = KnownRows(mask(length, case.replayed), mask(length, case.dropped), missing, case.held, taken)
    decided: Plan = plan(dataset, rows, known)
    assert [Count(count) for count in decided.counts.tolist()] == list(case.counts)
    assert (sorted(decided.insert), sorted(decided.update)) == (list(case.insert), list(case.update))
    assert (decided.revise, {at: kind for at, (kind, _) in decided.reject.items()}) == (case.revise, case.reject)
    reasons = {"cannot be ordered": f"from batch {ROW}", "day dropped": f"dropped its day from {dataset.table}"}
    assert all(reasons[kind] in reason for kind, reason in decided.reject.values())
    return decided


def held(order: Order, source: str = "", *, kept: bool = False) -> HeldRow:
    return HeldRow(ROW, order, source, kept)


ONE_SOURCE = {
    "first": Case([1], [INSERTED], missing=True, insert=[0]),
    "first and again": Case([1, 1], [INSERTED, UNCHANGED], missing=True, insert=[1]),
    "first and newer": Case([1, 2], [INSERTED, REPLACED], missing=True, insert=[1], revise={0: 0}),
    "there and back": Case([1, 2, 1], [INSERTED, REPLACED, REPLACED], missing=True, insert=[2], revise={0: 0, 1: 0}),
    "as the row": Case([1], [UNCHANGED]),
    "as the row, twice": Case([1, 1], [UNCHANGED, UNCHANGED]),
    "newer": Case([2], [REPLACED], {0: held(NEWER)}, update=[0]),
    "newer, twice": Case([2, 2], [REPLACED, UNCHANGED], {0: held(NEWER), 1: held(NEWER)}, update=[0]),
    "newer and newer": Case([2, 3], [REPLACED, REPLACED], {0: held(NEWER), 1: held(NEWER)}, update=[1], revise={0: 0}),
    "newer and back": Case([2, 1], [REPLACED, REPLACED], {0: held(NEWER)}, update=[1], revise={0: 0}),
    "as the row and newer": Case([1, 2], [UNCHANGED, REPLACED], {1: held(NEWER)}, update=[1]),
    "older": Case([2], [REPLACED], {0: held(OLDER)}, revise={0: ROW}),
    "older, twice": Case([2, 2], [REPLACED, UNCHANGED], {0: held(OLDER), 1: held(OLDER)}, revise={0: ROW}),
    "older and older": Case([2, 3], [REPLACED, REPLACED], {0: held(OLDER), 1: held(OLDER)}, revise={0: ROW, 1: ROW}),
    "older and newer": Case(
        [2, 3], [REPLACED, REPLACED], {0: held(OLDER), 1: held(NEWER)}, update=[1], revise={0: ROW}
    ),
    "not to be ordered": Case([2], [QUARANTINED], {0: held(UNKNOWN)}, reject={0: "cannot be ordered"}),
    "not to be ordered, as the row": Case([1], [UNCHANGED]),
    "not to be ordered and newer": Case(
        [2, 3],
        [QUARANTINED, REPLACED],
        {0: held(UNKNOWN), 1: held(NEWER)},
        update=[1],
        reject={0: "cannot be ordered"},
    ),
    "newer, and then all are": Case(
        [2, 3], [REPLACED, REPLACED], {0: held(NEWER), 1: held(UNKNOWN)}, update=[1], revise={0: 0}
    ),
    "archived already": Case([2], [REPLAYED], missing=True, replayed=[0]),
    "archived already and newer": Case([2, 3], [REPLAYED, REPLACED], {1: held(NEWER)}, update=[1], replayed=[0]),
    "on a dropped day": Case([2], [QUARANTINED], missing=True, dropped=[0], reject={0: "day dropped"}),
    "archived before its day was dropped": Case([2], [REPLAYED], missing=True, replayed=[0], dropped=[0]),
}


@pytest.mark.parametrize("case", ONE_SOURCE.values(), ids=ONE_SOURCE.keys())
def test_of_one_source_the_newest_wins(case: Case) -> None:
    length = len(case.values)
    rows = {"metric_name": ["m"] * length, "timestamp": [MOMENT] * length, "value": case.values, "unit": [""] * length}
    check(METRICS, pa.table(rows, schema=codec.schema(METRICS)), case)


SEVERAL_SOURCES = {
    "a worse one second": Case([(BEST, 1), (OTHER, 2)], [INSERTED, REPLACED], missing=True, insert=[0], revise={1: 0}),
    "a better one second": Case([(OTHER, 1), (BEST, 2)], [INSERTED, REPLACED], missing=True, insert=[1], revise={0: 0}),
    "a worse one twice": Case(
        [(BEST, 1), (OTHER, 2), (OTHER, 2)], [INSERTED, REPLACED, UNCHANGED], missing=True, insert=[0], revise={1: 0}
    ),
    "a worse one between": Case(
        [(GOOD, 1), (OTHER, 2), (GOOD, 3)],
        [INSERTED, REPLACED, REPLACED],
        missing=True,
        insert=[2],
        revise={0: 0, 1: 0},
    ),
    "a worse one, changed": Case(
        [(BEST, 1), (OTHER, 2), (OTHER, 3)],
        [INSERTED, REPLACED, REPLACED],
        missing=True,
        insert=[0],
        revise={1: 0, 2: 0},
    ),
    "equals: the newest": Case(
        [(OTHER, 1), ("else", 2)], [INSERTED, REPLACED], missing=True, insert=[1], revise={0: 0}
    ),
    "worse than the row, however new": Case([(OTHER, 2)], [REPLACED], {0: held(NEWER, BEST)}, revise={0: ROW}),
    "worse than the row, not to be ordered": Case([(OTHER, 2)], [REPLACED], {0: held(UNKNOWN, BEST)}, revise={0: ROW}),
    "worse than the row, and kept": Case([(OTHER, 2)], [UNCHANGED], {0: held(NEWER, BEST, kept=True)}),
    "better than the row, however old": Case([(BEST, 2)], [REPLACED], {0: held(OLDER, OTHER)}, update=[0]),
    "better than the row, not to be ordered": Case([(BEST, 2)], [REPLACED], {0: held(UNKNOWN, OTHER)}, update=[0]),
    "of the row's source, older": Case([(GOOD, 2)], [REPLACED], {0: held(OLDER, GOOD)}, revise={0: ROW}),
    "of the row's source, older, and kept": Case([(GOOD, 2)], [UNCHANGED], {0: held(OLDER, GOOD, kept=True)}),
    "a better one, then what the row said": Case(
        [(BEST, 2), (OTHER, 1)], [REPLACED, UNCHANGED], {0: held(NEWER, OTHER)}, update=[0]
    ),
    "a better one, then another than the row": Case(
        [(BEST, 2), (OTHER, 3)],
        [REPLACED, REPLACED],
        {0: held(NEWER, OTHER), 1: held(NEWER, OTHER)},
        update=[0],
        revise={1: 0},
    ),
}


@pytest.mark.parametrize("case", SEVERAL_SOURCES.values(), ids=SEVERAL_SOURCES.keys())
def test_of_several_sources_the_best_wins(case: Case) -> None:
    length = len(case.values)
    rows: dict[str, Sequence[Any]] = {
        **{name: [1.0] * length for name in PRICE.names},
        "symbol": ["A"] * length,
        "timestamp": [MOMENT] * length,
        "close": [float(close) for _, close in case.values],
        "source": [source for source, _ in case.values],
    }
    check(PRICE, pa.table(rows, schema=codec.schema(PRICE)), case)


AT = round(MOMENT.timestamp() * 1_000_000)
MINUTE, DAY = 60_000_000, 86_400_000_000


def there(order: Order = NEWER) -> HeldRow:
    """The archive's row, which says MOMENT."""
    return HeldRow(ROW, order, reported_us=AT)


SEVERAL_EXECUTIONS = {
    "two at one moment": (Case([("e1", 1, 0), ("e2", 1, 0)], [INSERTED] * 2, missing=True, insert=[0, 1]), {}, {1: 1}),
    "three, and one really at the next": (
        Case(
            [(f"e{n}", 1, at) for n, at in enumerate((0, 0, 1, 0))], [INSERTED] * 4, missing=True, insert=[0, 1, 2, 3]
        ),
        {},
        {1: 2, 3: 3},
    ),
    "one where the archive has others": (
        Case([("e3", 1, 0)], [INSERTED], missing=True, insert=[0]),
        {0, 1, 3},
        {0: 2},
    ),
    "at the end of a minute": (
        Case([("e1", 1, MINUTE - 1), ("e2", 1, MINUTE - 1)], [INSERTED] * 2, missing=True, insert=[0, 1]),
        {},
        {1: MINUTE - 2},
    ),
    "one again": (Case([("e1", 1, 0), ("e1", 1, 0)], [INSERTED, UNCHANGED], missing=True, insert=[0]), {}, {}),
    "one again at another moment": (
        Case([("e1", 1, 0), ("e1", 1, 7)], [INSERTED, REPLACED], missing=True, insert=[1], revise={0: 0}),
        {},
        {},
    ),
    "one again on another day": (
        Case(
            [("e1", 1, 0), ("e1", 1, DAY)],
            [INSERTED, REPLACED],
            missing=True,
            insert=[1],
            revise={0: 0},
        ),
        {},
        {},
    ),
    "the row, corrected at its moment": (Case([("e1", 2, 0)], [REPLACED], {0: there()}, update=[0]), {0, 4}, {}),
    "the row, at a free moment": (Case([("e1", 1, 7)], [REPLACED], {0: there()}, update=[0]), {0, 4}, {}),
    "the row, at a moment that is taken": (Case([("e1", 1, 7)], [REPLACED], {0: there()}, update=[0]), {0, 7}, {0: 8}),
    "the row, on another day": (
        Case([("e1", 1, DAY)], [REPLACED], {0: there()}, update=[0]),
        {0, DAY},
        {0: DAY + 1},
    ),
    "older, at another moment": (Case([("e1", 1, 7)], [REPLACED], {0: there(OLDER)}, revise={0: ROW}), {0}, {}),
    "the row, and another": (Case([("e1", 1, 0), ("e2", 1, 0)], [UNCHANGED, INSERTED], insert=[1]), {0}, {1: 1}),
}


@pytest.mark.parametrize(("case", "taken", "places"), SEVERAL_EXECUTIONS.values(), ids=SEVERAL_EXECUTIONS.keys())
def test_each_execution_is_a_row(case: Case, taken: set[int], places: dict[int, int]) -> None:
    length = len(case.values)
    rows: dict[str, Sequence[Any]] = {
        **{name: [""] * length for name in TRADE.names},
        "order_id": ["o"] * length,
        "timestamp": [MOMENT + timedelta(microseconds=at) for *_, at in case.values],
        "execution_id": [execution for execution, *_ in case.values],
        "price": [str(price) for _, price, _ in case.values],
    }
    known = {"o": {AT + number for number in taken}} if taken else {}
    decided = check(TRADE, pa.table(rows, schema=codec.schema(TRADE)), case, known)
    assert decided.moves == {at: AT for at in case.update if case.values[at][2]}
    assert decided.places == {at: AT + moment for at, moment in places.items()}
