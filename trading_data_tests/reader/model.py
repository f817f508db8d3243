"""What the reader should answer, in plain Python and pandas: the rows that were accepted, one a key; and the steps of the
path that must not change it.

Belongs here: the model and the strategies that fill it. Does not: assertions.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

from trading_data.archive.load import load
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.datasets.declaration import Dataset
from trading_data.intake.import_rows import import_rows
from trading_data.reader.frames import compute
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, bar, fill, measurement

DAY_BEFORE = -24 * 60
MINUTES = st.one_of(st.integers(0, 12), st.sampled_from([59, 60, 200, DAY_BEFORE, DAY_BEFORE + 1]))
NAMES = ["A", "B", "é"]
EXACT = st.sampled_from([Decimal(text) for text in ("1", "0.1", "3", "7.000000000000000001", "12345678901234567890.5")])
RECORDS: dict[str, st.SearchStrategy[Any]] = {
    "price": st.builds(
        bar,
        st.sampled_from(NAMES),
        MINUTES,
        open=st.sampled_from([9.0, 10.0]),
        close=st.sampled_from([10.0, 10.5]),
        volume=st.sampled_from([0.0, 1.0, 100.0]),
    ),
    "trade": st.builds(
        fill,
        st.sampled_from(["o1", "o2", "o3"]),
        st.sampled_from(["e1", "e1", "e2"]),
        MINUTES,
        symbol=st.sampled_from(NAMES),
        side=st.sampled_from(["buy", "sell"]),
        quantity=EXACT,
        price=EXACT,
        commission=st.sampled_from([Decimal("-0.5"), Decimal("0.1")]),
    ),
    "metrics": st.builds(measurement, st.sampled_from(NAMES), MINUTES, st.sampled_from([0.0, 1.0, 2.5])),
}
ABOUT = st.sampled_from([None, ["A"], ["A", "é"], ["none"], []])
MOMENTS = st.one_of(
    st.sampled_from([datetime(2026, 11, day, tzinfo=UTC) for day in (19, 20, 21)]),
    st.builds(
        lambda minutes, microsecond: MOMENT + timedelta(minutes=minutes, microseconds=microsecond),
        st.integers(DAY_BEFORE - 10, 300),
        st.sampled_from([-1, 0, 1, 30_000_000]),
    ),
)


class Model:
    """The accepted rows of one dataset: of each the newest version."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.rows: dict[tuple[Any, ...], Any] = {}

    def write(self, record: Any) -> None:
        self.rows[tuple(getattr(record, name) for name in self.dataset.named_by)] = record

    def answer(self, about: list[str] | None, start: datetime, end: datetime, interval: str = "raw") -> pd.DataFrame:
        """Without `tier`."""
        rollup = self.dataset.rollup(interval)
        aggregate = self.dataset.aggregate(interval if rollup is None else rollup.of)
        if aggregate is None:
            return self._frame(about, start, end)
        if rollup is not None:
            aggregate = replace(aggregate, width=rollup.width)
        rows = self._frame(about, datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
        made = compute(self.dataset, aggregate, rows)
        return made[(made["bucket"] >= start) & (made["bucket"] < end)]

    def _order(self, row: Any) -> list[Any]:
        return [getattr(row, name) for name in (*self.dataset.key, *self.dataset.named_by)]

    def _frame(self, about: list[str] | None, start: datetime, end: datetime) -> pd.DataFrame:
        chosen = [
            row
            for row in sorted(self.rows.values(), key=self._order)
            if start <= getattr(row, self.dataset.key[1]) < end
            and (about is None or getattr(row, self.dataset.about) in about)
        ]
        columns = {name: [getattr(row, name) for row in chosen] for name in self.dataset.names}
        exact = {column.name: object for column in self.dataset.columns if column.type == "decimal"}
        frame = pd.DataFrame({name: pd.Series(values, dtype=exact.get(name)) for name, values in columns.items()})
        return frame.astype({self.dataset.key[1]: "datetime64[us, UTC]"})


def write(rig: Rig, model: Model, record: Any) -> None:
    """Accept a record."""
    rig.store.record(model.dataset, [record])
    model.write(record)


def bring(rig: Rig, model: Model, record: Any) -> None:
    """Accept a record from a file; what the journals hold is drained before, for it was accepted before."""
    rig.snapshot(model.dataset)
    columns = {name: [getattr(record, name)] for name in model.dataset.names}
    list(import_rows(rig.intake, model.dataset, "rows.csv", [pa.table(columns)], origin="file", earliest=EARLIEST))
    model.write(record)


def load_without_deleting(rig: Rig, dataset: Dataset) -> None:
    """What is left when a load dies between its commit and deleting the batch."""
    for file in rig.intake.pending(dataset.name):
        batch = rig.intake.read(file)
        assert batch is not None
        load(rig.archive, dataset, file, batch)


STEPS: dict[str, Callable[[Rig, Dataset], object]] = {
    "snapshot": Rig.snapshot,
    "small snapshots": lambda rig, dataset: rig.snapshot(dataset, batch_entries=2),
    "load": Rig.load,
    "load without deleting": load_without_deleting,
    "trim": Rig.trim,
    "refresh": Rig.refresh,
}


def same(found: pd.DataFrame, expected: pd.DataFrame) -> bool:
    """Equal rows, in order; `tier` aside."""
    return bool(found.drop(columns="tier").to_dict("records") == expected.to_dict("records"))


DATASETS = [PRICE, TRADE, METRICS]
