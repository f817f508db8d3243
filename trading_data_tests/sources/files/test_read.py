"""CSV and Parquet files as tables of a dataset: what comes through, what the codec says of it, what is refused."""

import gzip
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trading_data.datasets import PRICE, TRADE
from trading_data.datasets.codec import Checked, check
from trading_data.datasets.declaration import Dataset
from trading_data.errors import BadInput
from trading_data.sources.files.form import FileForm
from trading_data.sources.files.read import check_columns, read_table

HEADER = "symbol,timestamp,open,high,low,close,volume,source\n"
START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def row(**other: Any) -> dict[str, Any]:
    bar: dict[str, Any] = {"symbol": "KDR", "timestamp": START, "open": 10.1, "high": 10.25, "low": 10.0, "close": 10.2}
    return bar | {"volume": 1200.0, "source": "test"} | other


def csv(folder: Path, text: str | bytes, name: str = "bars.csv") -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def parquet(folder: Path, columns: dict[str, Any], count: int = 1) -> str:
    whole = {name: pa.array([value] * count) for name, value in row().items()} | columns
    path = folder / "bars.parquet"
    pq.write_table(pa.table({name: whole[name] for name in whole}), path)
    return str(path)


def checked(uri: str, dataset: Dataset = PRICE) -> Checked:
    table = pa.concat_tables(read_table(dataset, uri))
    values = {name: table[name].combine_chunks() for name in table.column_names}
    return check(dataset, values, START, datetime(2000, 1, 1, tzinfo=UTC))


def kinds(uri: str, dataset: Dataset = PRICE) -> dict[int, str]:
    return {at: reason.kind for at, reason in sorted(checked(uri, dataset).bad.items())}


WRITERS: dict[str, Callable[[pd.DataFrame, str], None]] = {
    "bars.csv": lambda frame, path: frame.to_csv(path, index=False),
    "bars.CSV.GZ": lambda frame, path: frame.to_csv(path, index=False, compression="gzip"),
    "bars.parquet": lambda frame, path: frame.to_parquet(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_rows_come_through_whole_in_order_and_in_any_order_of_columns(name: str, tmp_path: Path) -> None:
    rows = [row(symbol='Ünïcødé 株,"x"', close=10.123456789012345, volume=2.0**53), row(symbol="NA", low=1e-7)]
    columns = ["source", *[column for column in PRICE.names if column != "source"]]
    path = str(tmp_path / name)
    WRITERS[name](pd.DataFrame(rows)[columns], path)
    check_columns(PRICE, path)
    (table,) = read_table(PRICE, path)
    assert table.column_names == list(PRICE.names)
    good = checked(path)
    assert not good.bad
    assert good.table.to_pylist() == rows


def test_csv_stays_text(tmp_path: Path) -> None:
    line = 'null,2026-03-02T14:30:00Z,,1_0,0x10,nan,007.50," two\nlines "\n'
    (table,) = read_table(PRICE, csv(tmp_path, HEADER + line))
    assert set(table.schema.types) == {pa.string()}
    values = ["null", "2026-03-02T14:30:00Z", "", "1_0", "0x10", "nan", "007.50", " two\nlines "]
    assert list(table.to_pylist()[0].values()) == values


def test_bad_values_of_a_csv_get_a_reason_each_and_the_others_pass(tmp_path: Path) -> None:
    lines = [
        "A,2026-03-02T14:30:00Z,10,11,9,10,100,t",
        "A,2026-03-02T14:30:00Z,,11,9,10,100,t",
        "A,2026-03-02T14:30:00,10,11,9,10,100,t",
        "A,2026-03-02,10,11,9,10,100,t",
        ",2026-03-02T14:30:00Z,10,11,9,10,100,t",
        "A,2026-03-02T14:30:00Z,10,9,11,10,100,t",
        "A,2026-03-02T14:30:00Z,10,11,9,inf,100,t",
        "A,,10,11,9,10,100,t",
    ]
    expected = {
        1: "missing field",
        2: "no zone",
        3: "no zone",
        4: "empty symbol",
        5: "order",
        6: "not finite",
        7: "not a time",
    }
    assert kinds(csv(tmp_path, HEADER + "\n".join(lines))) == expected


def test_a_row_that_is_not_utf8_is_one_bad_row(tmp_path: Path) -> None:
    text = HEADER.encode() + b"A,2026-03-02T14:30:00Z,10,11,9,10,100,t\nB\xff,2026-03-02T14:30:00Z,10,11,9,10,100,t\n"
    assert kinds(csv(tmp_path, text)) == {1: "not UTF-8"}


def test_large_files_come_in_blocks(tmp_path: Path) -> None:
    count = 250_001
    line = "A,2026-03-02T14:30:00Z,1,1,1,1,{},t\n"
    text = csv(tmp_path, HEADER + "".join(line.format(number) for number in range(count)))
    volumes = {name: pa.array(np.arange(count, dtype=float)) for name in ["volume"]}
    for path in (text, parquet(tmp_path, volumes, count)):
        tables = list(read_table(PRICE, path))
        assert all(0 < len(table) <= 100_000 for table in tables)
        read = pa.concat_tables(tables)["volume"].to_pylist()
        assert [float(value) for value in read] == list(range(count))


@pytest.mark.parametrize(
    "values",
    [
        pa.array([START], pa.timestamp("s", "UTC")),
        pa.array([START], pa.timestamp("ns", "America/New_York")),
        pa.array([START], pa.timestamp("ms", "+02:00")),
        pa.array([START.isoformat()], pa.large_string()),
        pa.array([START.isoformat().encode()], pa.large_binary()),
        pa.array([START.isoformat()]).dictionary_encode(),
    ],
    ids=str,
)
def test_parquet_times_with_a_zone_are_utc(values: pa.Array, tmp_path: Path) -> None:
    good = checked(parquet(tmp_path, {"timestamp": values}))
    assert not good.bad
    assert good.table["timestamp"].to_pylist() == [START]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([START.replace(tzinfo=None)], pa.timestamp("us")), "no zone"),
        (pa.array([date(2026, 3, 2)], pa.date32()), "no zone"),
        (pa.array([START.timestamp() * 1e6], pa.float64()), "epoch"),
        (pa.array([round(START.timestamp() * 1e6)], pa.int64()), "epoch"),
        (pa.array([1_772_461_800_000_000_001], pa.timestamp("ns", "UTC")), "too fine"),
        (pa.array([2**60], pa.timestamp("ms", "UTC")), "not a time"),
        (pa.array([None], pa.timestamp("us", "UTC")), "missing field"),
        (pa.nulls(1), "missing field"),
    ],
    ids=str,
)
def test_parquet_times_that_the_codec_has_to_refuse(values: pa.Array, kind: str, tmp_path: Path) -> None:
    assert kinds(parquet(tmp_path, {"timestamp": values})) == {0: kind}


def test_one_bad_time_leaves_its_neighbours(tmp_path: Path) -> None:
    times = pa.array([1_772_461_800_000_000_000, 1_772_461_800_000_000_001, None], pa.timestamp("ns", "UTC"))
    assert kinds(parquet(tmp_path, {"timestamp": times}, 3)) == {1: "too fine", 2: "missing field"}


def test_other_parquet_types(tmp_path: Path) -> None:
    columns = {
        "symbol": pa.array(["KDR"]).dictionary_encode(),
        "source": pa.array(["test"], pa.large_string()),
        "open": pa.array([10.5], pa.float32()),
        "high": pa.array([Decimal("10.7")], pa.decimal128(20, 6)),
        "volume": pa.array([2**62], pa.int64()),
    }
    good = checked(parquet(tmp_path, columns))
    assert not good.bad
    assert good.table.to_pylist() == [row(open=10.5, high=10.7, volume=2.0**62)]


def test_decimals_come_through_to_the_last_digit(tmp_path: Path) -> None:
    amounts = [Decimal("0.0000000001"), Decimal("12345678901234567890.123456789"), Decimal(7)]
    fills = {
        "order_id": ["O"] * 3,
        "timestamp": [START] * 3,
        "execution_id": ["E1", "E2", "E3"],
        "symbol": ["KDR"] * 3,
        "side": ["buy"] * 3,
        "quantity": pa.array(amounts, pa.decimal256(50, 12)),
        "price": [0.1, 12.5, 3.0],
        "commission": pa.array([-1, 0, 2], pa.int32()),
        "strategy": [""] * 3,
        "source": ["t"] * 3,
    }
    path = str(tmp_path / "fills.parquet")
    pq.write_table(pa.table(fills), path)
    (table,) = read_table(TRADE, path)
    assert table["quantity"].to_pylist()[0] == "0.000000000100"
    good = checked(path, TRADE)
    assert not good.bad
    assert good.table["quantity"].to_pylist() == ["0.0000000001", "12345678901234567890.123456789", "7"]
    assert good.table["price"].to_pylist() == ["0.1", "12.5", "3"]
    assert good.table["commission"].to_pylist() == ["-1", "0", "2"]


@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
def test_wrong_columns_are_named(name: str, tmp_path: Path) -> None:
    path = str(tmp_path / name)
    WRITERS[name](pd.DataFrame([row()]).rename(columns={"symbol": "Ticker", "volume": "vol"}), path)
    for read in (check_columns, lambda dataset, uri: list(read_table(dataset, uri))):
        with pytest.raises(BadInput) as refused:
            read(PRICE, path)
        message = str(refused.value)
        assert path in message
        assert "missing: 'symbol', 'volume'" in message
        assert "unknown: 'Ticker', 'vol'" in message
        assert "symbol, timestamp, open, high, low, close, volume, source" in message


def test_doubled_and_nested_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="more than once: 'open'"):
        check_columns(PRICE, csv(tmp_path, HEADER.replace("source", "source,open")))
    with pytest.raises(BadInput, match=r"not open \(list<"):
        check_columns(PRICE, parquet(tmp_path, {"open": pa.array([[1.0]])}))


GOOD = (HEADER + "A,2026-03-02T14:30:00Z,1,1,1,1,1,t\n" * 2000).encode()
DAMAGED = {
    "nothing.csv": b"",
    "nothing.csv.gz": b"",
    "nothing.parquet": b"",
    "lines.csv": b"\n\n\n",
    "ragged.csv": GOOD + b"A,2026-03-02T14:30:00Z,1\n",
    "cut.csv.gz": gzip.compress(GOOD)[:-20],
    "changed.csv.gz": gzip.compress(GOOD)[:40] + b"\0" * 40 + gzip.compress(GOOD)[80:],
    "not.csv.gz": GOOD,
    "not.parquet": GOOD,
    "excel.csv": GOOD.decode().encode("utf-16"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_named(name: str, tmp_path: Path) -> None:
    path = csv(tmp_path, DAMAGED[name], name)
    with pytest.raises(BadInput, match=name):
        list(read_table(PRICE, path))


def test_a_cut_parquet_file_is_named(tmp_path: Path) -> None:
    path = Path(parquet(tmp_path, {}, 1000))
    whole = path.read_bytes()
    for wrong in (whole[:-100], whole[:100] + b"\xff" * 60 + whole[160:]):
        path.write_bytes(wrong)
        with pytest.raises(BadInput, match=str(path)):
            list(read_table(PRICE, str(path)))


def test_a_ragged_row_is_named_by_its_number(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Row #2002"):
        list(read_table(PRICE, csv(tmp_path, DAMAGED["ragged.csv"])))


@pytest.mark.parametrize("kind", ["bars.csv", "bars.parquet"])
def test_a_column_set_by_the_caller_is_the_same_in_every_row(kind: str, tmp_path: Path) -> None:
    frame = pd.DataFrame([row(), row()]).drop(columns=["symbol", "source"])
    WRITERS[kind](frame, str(tmp_path / kind))
    form = FileForm(values={"symbol": "{stem}", "source": "test"})
    (table,) = read_table(PRICE, str(tmp_path / kind), form)
    assert table["symbol"].to_pylist() == ["bars", "bars"]


def test_a_file_without_rows_is_no_rows(tmp_path: Path) -> None:
    assert list(read_table(PRICE, csv(tmp_path, HEADER))) == []
    whole = pq.read_table(parquet(tmp_path, {}))
    pq.write_table(whole.slice(0, 0), tmp_path / "none.parquet")
    assert list(read_table(PRICE, str(tmp_path / "none.parquet"))) == []


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"there is no file .*away\.csv"):
        check_columns(PRICE, str(tmp_path / "away.csv"))
    with pytest.raises(BadInput, match=r"only files ending in \.csv, \.csv\.gz, \.parquet"):
        check_columns(PRICE, csv(tmp_path, HEADER, "bars.xlsx"))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(BadInput, match=r"folder\.csv cannot be read"):
        check_columns(PRICE, str(tmp_path / "folder.csv"))
    with pytest.raises(BadInput, match=r"nosuch://me:\*\*\*@x/bars\.csv cannot be read"):
        check_columns(PRICE, "nosuch://me:secret@x/bars.csv")


def test_any_fsspec_uri_is_read() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/bars.csv.gz", gzip.compress(GOOD))
    assert sum(len(table) for table in read_table(PRICE, "memory://bars.csv.gz")) == 2000


def test_reading_can_be_left_halfway(tmp_path: Path) -> None:
    for path in (csv(tmp_path, HEADER + GOOD.decode()[len(HEADER) :] * 200), parquet(tmp_path, {}, 300_000)):
        tables = read_table(PRICE, path)
        assert len(next(tables)) > 0
        tables.close()  # type: ignore[attr-defined]
