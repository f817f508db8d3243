"""Batches that wait and hold nothing of an answer cost it next to nothing, and are not taken for more or less than they hold."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trading_data.datasets import PRICE, codec
from trading_data.errors import IntakeError
from trading_data.intake import store
from trading_data.intake.batch import Batch, encode
from trading_data.intake.import_rows import import_rows
from trading_data.intake.store import BatchFile, Intake
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, bar

END = MOMENT + timedelta(days=1)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many batches were read whole since the last call."""
    files: list[BatchFile] = []
    read = Intake.read

    def counted(self: Intake, file: BatchFile) -> Batch | None:
        files.append(file)
        return read(self, file)

    def count() -> int:
        number = len(files)
        files.clear()
        return number

    monkeypatch.setattr(Intake, "read", counted)
    return count


def from_file(rig: Rig, symbol: str, days: int) -> None:
    """A batch of one bar that waits."""
    values = asdict(bar(symbol, timestamp=MOMENT + timedelta(days=days)))
    table = pa.Table.from_pylist([values], codec.schema(PRICE))
    assert len(list(import_rows(rig.intake, PRICE, "test", [table], origin="file", earliest=EARLIEST))) == 1


def of_the_release_before(batch: Batch) -> bytes:
    """A batch as releases wrote it whose heads did not name the subjects."""
    table = pq.read_table(pa.BufferReader(encode(batch)))
    head = json.loads(table.schema.metadata[b"trading_data"])
    del head["subjects"], head["span"]
    out = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({"trading_data": json.dumps(head)}), out)
    return bytes(out.getvalue())


def test_only_batches_that_may_hold_rows_are_read_whole(rig: Rig, decoded: Callable[[], int]) -> None:
    rig.store.record_prices([bar("A"), bar("B")])
    rig.snapshot(PRICE)
    from_file(rig, "C", days=0)
    from_file(rig, "C", days=-3)
    for symbols, batches, rows in ((["A"], 1, 1), (["Z"], 0, 0), (["C"], 1, 1), (["A", "C"], 2, 2), (None, 2, 3)):
        assert len(rig.reader.prices(symbols, MOMENT, END)) == rows
        assert decoded() == batches, symbols
    assert len(rig.reader.prices("C", MOMENT - timedelta(days=4), END, "1d")) == 2
    assert decoded() == 2
    assert len(rig.reader.prices(None, MOMENT + timedelta(days=1), END)) == 0
    assert decoded() == 0


def test_an_entry_that_waits_is_shown_once_though_its_batch_is_not_read(rig: Rig, decoded: Callable[[], int]) -> None:
    rig.store.record_prices([bar("A", close=11.0), bar("B")])
    rig.snapshot(PRICE)
    rig.store.record_prices([bar("A", close=12.0)])
    assert rig.reader.prices("A", MOMENT, END)["close"].tolist() == [12.0]
    rig.entry("journal:price:Z", {"close": "none"})
    rig.snapshot(PRICE)
    decoded()
    assert len(rig.reader.prices("Z", MOMENT, END)) == 0
    assert rig.reader.prices(None, MOMENT, END)["symbol"].tolist() == ["A", "B"]
    rig.archive_all(PRICE)
    assert rig.reader.prices(["A", "B", "Z"], MOMENT, END)["tier"].tolist() == ["archive", "archive"]


def test_batches_of_the_release_before_are_read(
    rig: Rig, decoded: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "encode", of_the_release_before)
    rig.store.record_prices([bar("A"), bar("B")])
    rig.snapshot(PRICE)  # the journals name the subjects
    from_file(rig, "C", days=0)  # nothing names them
    for symbol, batches, rows in (("A", 2, 1), ("C", 1, 1), ("Z", 1, 0)):
        assert len(rig.reader.prices(symbol, MOMENT, END)) == rows
        assert decoded() == batches, symbol


def test_a_damaged_batch_is_told_by_every_reader_that_needs_it_or_sees_it_first(rig: Rig) -> None:
    from_file(rig, "C", days=0)
    assert len(rig.reader.prices("A", MOMENT, END)) == 0
    (file,) = rig.intake.pending("price")
    data = Path(file.path).read_bytes()
    Path(file.path).write_bytes(data.replace(b"C", b"D", 1))
    with pytest.raises(IntakeError, match="damaged"):
        rig.reader.prices("C", MOMENT, END)
    other = Intake(rig.intake.uri)
    with pytest.raises(IntakeError, match="damaged"):
        other.remembered_head(file)
    Path(file.path).write_bytes(data)


def test_heads_that_are_remembered_are_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_MOST_RANGES", 2)
    for days in range(3):
        from_file(rig, "C", days=-days)
    assert len(rig.reader.prices("A", MOMENT, END)) == 0
    assert len(vars(rig.intake)["_heads"]) == 1
