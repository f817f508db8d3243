"""Recorded bars sent again: in the order of time across files, all or nothing."""

import random
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path

import pandas as pd
import pytest

from trading_data.datasets.records import Bar
from trading_data.errors import BadInput
from trading_data.sources.feeds import replay

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def bar(symbol: str, minute: int, close: float = 10.0) -> Bar:
    return Bar(symbol, START + timedelta(minutes=minute), 10.0, 20.0, 5.0, close, 100.0, "recorded")


def write(path: Path, bars: list[Bar]) -> str:
    frame = pd.DataFrame(bars)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return str(path)


def sent(files: list[str]) -> list[tuple[datetime, list[Bar]]]:
    minutes = list(replay(files))
    assert not any(minute.fills or minute.measurements for minute in minutes)
    return [(minute.at, minute.bars) for minute in minutes]


def test_bars_of_all_files_come_by_time(tmp_path: Path) -> None:
    in_order = write(tmp_path / "a.csv", [bar("A", 0), bar("B", 0), bar("A", 2), bar("A", 5)])
    by_symbol = write(tmp_path / "b.parquet", [bar("C", 2), bar("C", 3), bar("D", 0), bar("D", 3, 11.0), bar("D", 3)])
    assert sent([in_order, by_symbol]) == [
        (START, [bar("A", 0), bar("B", 0), bar("D", 0)]),
        (START + timedelta(minutes=2), [bar("A", 2), bar("C", 2)]),
        (START + timedelta(minutes=3), [bar("C", 3), bar("D", 3, 11.0), bar("D", 3)]),
        (START + timedelta(minutes=5), [bar("A", 5)]),
    ]


def test_of_two_rows_about_one_bar_the_later_one_comes_last(tmp_path: Path) -> None:
    first = write(tmp_path / "first.csv", [bar("A", 0, close) for close in (7.0, 8.0)])
    second = write(tmp_path / "second.csv", [bar("A", 1), bar("A", 0, 9.0)])
    closes = [bar.close for bar in sent([first, second])[0][1]]
    assert closes == [7.0, 8.0, 9.0]
    assert [bar.close for bar in sent([second, first])[0][1]] == [9.0, 7.0, 8.0]


def test_a_shuffled_file_is_sorted_whole(tmp_path: Path) -> None:
    bars = [bar(symbol, minute) for minute in range(2500) for symbol in "ABCDE"]
    shuffled = random.Random(7).sample(bars, len(bars))
    minutes = sent([write(tmp_path / "shuffled.csv.gz", shuffled)])
    assert [at for at, _ in minutes] == [START + timedelta(minutes=minute) for minute in range(2500)]
    by_time = sorted(shuffled, key=attrgetter("timestamp"))  # rows of one timestamp stay in the order of the file
    assert [bar for _, bars_of_one in minutes for bar in bars_of_one] == by_time


def test_bad_rows_are_named_before_anything_is_sent(tmp_path: Path) -> None:
    good = write(tmp_path / "good.csv", [bar("A", 0)])
    header, line = Path(good).read_text().splitlines()
    lines = [line, line.replace("20.0", ""), line, line.replace("+00:00", "")]
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join([header, *lines]))
    many = tmp_path / "many.csv"
    many.write_text("\n".join([header, *[line.replace("A", "")] * 1234]))
    with pytest.raises(BadInput) as refused:
        replay([good, str(bad), str(many)])
    message = str(refused.value)
    assert message.startswith("nothing was sent: ")
    assert "good.csv" not in message
    assert (
        "bad.csv has 2 bad of 4 rows (row 2: high is empty: give it, or leave the record out if there is no value; row 4: timestamp"
        in message
    )
    assert (
        "many.csv has 1,234 bad of 1,234 rows (row 1: symbol '' is empty: give a name with visible characters; row 2"
        in message
    )
    assert "and 1,224 more" in message


def test_wrong_columns_and_no_files_are_refused_at_once(tmp_path: Path) -> None:
    good = write(tmp_path / "good.csv", [bar("A", 0)])
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("symbol,time\n")
    with pytest.raises(BadInput, match=r"wrong\.csv does not have the columns of bars"):
        replay([good, str(wrong)])
    with pytest.raises(BadInput, match="at least one"):
        replay([])


def test_bars_before_the_first_partition_are_refused(tmp_path: Path) -> None:
    old = write(tmp_path / "old.csv", [bar("A", -60 * 24 * 365 * 30)])
    with pytest.raises(BadInput, match="before the first day partition"):
        replay([old])
    assert len(list(replay([old], earliest=datetime(1990, 1, 1, tzinfo=UTC)))) == 1


def test_a_file_without_rows_is_nothing_to_send(tmp_path: Path) -> None:
    write(tmp_path / "one.csv", [bar("A", 0)])
    empty = tmp_path / "empty.csv"
    empty.write_text((tmp_path / "one.csv").read_text().splitlines()[0] + "\n")
    assert sent([str(empty)]) == []
