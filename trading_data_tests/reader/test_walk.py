"""The walk of a question: few files to read, a single name for the symbols, and a query that is handed on whole."""

from datetime import timedelta

import pytest

from trading_data.datasets import PRICE
from trading_data.reader.query import Query
from trading_data_tests.reader.walk import walking
from trading_data_tests.rig import MOMENT, Rig, bar

SYMBOLS = ["A", "B"]
MOST_OF_THE_READER = 8
MOST_OF_THE_PACKAGE = {"raw": 28, "5m": 30, "1d": 30}
"""With the reader's eight: six files of the archive (buckets of pending rows: two more), five of live, four of the intake,
three of the datasets, `times` and `collector`.
"""


def is_the_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value) and value == SYMBOLS


def is_the_query(value: object) -> bool:
    return isinstance(value, Query)


@pytest.mark.parametrize("interval", ["raw", "5m", "1d"])
def test_prices_enters_few_files_and_has_one_name_for_the_symbols(rig: Rig, interval: str) -> None:
    for minute in range(3):
        rig.store.record_prices([bar(symbol, minute) for symbol in SYMBOLS])
        if minute == 0:
            rig.archive_all(PRICE)
        if minute == 1:
            rig.snapshot(PRICE)
    asked = (SYMBOLS, MOMENT - timedelta(hours=15), MOMENT + timedelta(hours=4), interval)
    expected = rig.reader.prices(*asked)  # connects, and imports what is imported late
    with walking(is_the_list) as of_list:
        frame = rig.reader.prices(*asked)
    with walking(is_the_query) as of_query:
        rig.reader.prices(*asked)
    assert frame.equals(expected)
    assert frame["symbol"].unique().tolist() == SYMBOLS
    assert len({file for file in of_list.entered if file.startswith("reader/")}) <= MOST_OF_THE_READER
    assert len(of_list.entered) <= MOST_OF_THE_PACKAGE[interval], sorted(of_list.entered)
    assert of_list.names == {"symbols"}
    assert len(of_list.holding | of_query.holding) <= MOST_OF_THE_READER
