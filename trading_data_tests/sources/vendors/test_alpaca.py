"""Alpaca's history over real HTTP: pages, the rate limit, connections that break, and refusals."""

import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pyarrow as pa
import pytest

from trading_data.datasets import PRICE
from trading_data.datasets.codec import schema
from trading_data.errors import BadInput, VendorError, VendorRefused, VendorUnavailable
from trading_data.intake.import_rows import import_rows
from trading_data.sources.vendors.alpaca import AlpacaVendor
from trading_data.sources.vendors.alpaca_account import AlpacaAccount
from trading_data.sources.vendors.rate_limit import Patience
from trading_data.times import floor, now
from trading_data_tests.rig import EARLIEST, MOMENT, Rig
from trading_data_tests.sources.vendors.alpaca_history import KEY, MINUTE, SECRET, AlpacaHistory, Fault, bar

SYMBOLS = ("AAPL", "BRK.B", "MSFT")
END = MOMENT + 20 * MINUTE


def filled(
    history: AlpacaHistory, symbols: Sequence[str] = SYMBOLS, minutes: int = 9
) -> dict[tuple[str, datetime], float]:
    """Put bars into the history; returns their closes, each its own and none of them short in decimal."""
    closes = {}
    for number, symbol in enumerate(symbols):
        for minute in range(minutes):
            begin, close = MOMENT + minute * MINUTE, 10 + number + minute * 0.1 + 1 / 3
            history.put(symbol, bar(begin, close))
            closes[symbol, begin] = close
    return closes


def read(
    vendor: AlpacaVendor, symbols: Sequence[str] = SYMBOLS, start: datetime = MOMENT, end: datetime = END
) -> pa.Table:
    return pa.concat_tables([schema(PRICE).empty_table(), *vendor.bars(symbols, start, end)])


def closes_of(table: pa.Table) -> dict[tuple[str, datetime], float]:
    assert table.num_rows == len(set(zip(table["symbol"].to_pylist(), table["timestamp"].to_pylist(), strict=True)))
    return {(row["symbol"], row["timestamp"]): row["close"] for row in table.to_pylist()}


def test_pages_are_handed_out_one_by_one_with_the_values_as_they_are(
    vendor: AlpacaVendor, history: AlpacaHistory
) -> None:
    closes = filled(history)
    tables = vendor.bars(SYMBOLS, MOMENT, END)
    first = next(tables)
    assert len(history.requests) == 1
    whole = pa.concat_tables([first, *tables])
    assert first.schema == schema(PRICE)
    assert first.num_rows == 7
    assert len(history.requests) == 4
    assert closes_of(whole) == closes
    row = whole.to_pylist()[0]
    assert (row["open"], row["high"], row["low"], row["volume"], row["source"]) == (
        10.01,
        12.345,
        9.0,
        100.0,
        "alpaca:iex",
    )
    asked = history.requests[0]
    assert (asked["timeframe"], asked["adjustment"], asked["feed"], asked["limit"]) == ("1Min", "raw", "iex", "7")


def test_many_symbols_are_asked_for_in_blocks(vendor: AlpacaVendor, history: AlpacaHistory) -> None:
    symbols = [f"S{number:03}" for number in range(230)]
    closes = filled(history, symbols[::50], minutes=1)
    assert closes_of(read(vendor, [*symbols, symbols[0]])) == closes
    assert [len(asked["symbols"].split(",")) for asked in history.requests] == [100, 100, 30]


def test_the_range_is_half_open_and_ends_with_the_last_whole_minute(
    vendor: AlpacaVendor, history: AlpacaHistory
) -> None:
    closes = filled(history, ["A"])
    found = closes_of(read(vendor, ["A"], MOMENT + MINUTE, MOMENT + 4 * MINUTE))
    assert found == {key: close for key, close in closes.items() if 1 <= (key[1] - MOMENT) / MINUTE < 4}
    running = floor(now(), MINUTE)
    for begin in (running - MINUTE, running, running + MINUTE):
        history.put("LIVE", bar(begin))
    begins = {begin for _, begin in closes_of(read(vendor, ["LIVE"], running - MINUTE, running + 10 * MINUTE))}
    assert running - MINUTE in begins
    assert running + MINUTE not in begins


def test_no_bars_are_an_answer_and_no_question_is_not_asked(vendor: AlpacaVendor, history: AlpacaHistory) -> None:
    assert read(vendor, ["QUIET"]).num_rows == 0
    assert len(history.requests) == 1
    assert read(vendor, []).num_rows == 0
    assert read(vendor, start=END, end=MOMENT).num_rows == 0
    assert len(history.requests) == 1
    with pytest.raises(BadInput, match="no time zone"):
        vendor.bars(["A"], datetime(2026, 1, 1), END)  # noqa: DTZ001


PASSING = {
    "429 without a word": Fault("status", 429),
    "500": Fault("status", 500, body="<html>broken</html>"),
    "503": Fault("status", 503, body={"message": "try later"}),
    "cut in the middle of the body": Fault("cut"),
    "no answer": Fault("drop"),
    "half of the JSON": Fault("half"),
    "an answer that does not come": Fault("slow"),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_trouble_that_passes_is_waited_out(
    vendor: AlpacaVendor, history: AlpacaHistory, waits: list[float], fault: Fault
) -> None:
    closes = filled(history)
    history.faults.extend([None, fault, fault, fault, None, fault])
    assert closes_of(read(vendor)) == closes
    assert [0.25 <= waits[0] <= 0.5, 0.5 <= waits[1] <= 1.0, 1.0 <= waits[2] <= 2.0, 0.25 <= waits[3] <= 0.5] == [
        True
    ] * 4
    assert len(waits) == 4
    assert len(history.requests) == 8


def test_a_rate_limit_is_waited_out_as_long_as_it_says(
    vendor: AlpacaVendor, history: AlpacaHistory, waits: list[float]
) -> None:
    closes = filled(history)
    reset = now() + timedelta(seconds=40)
    history.faults += [
        Fault("status", 429, {"Retry-After": "17"}),
        Fault("status", 429, {"Retry-After": format_datetime(reset)}),
        Fault("status", 429, {"X-RateLimit-Reset": str(int(reset.timestamp()))}),
        None,
        Fault("status", 429, {"Retry-After": "86400"}),
        Fault("status", 429, {"Retry-After": "soon"}),
    ]
    assert closes_of(read(vendor)) == closes
    assert 17 <= waits[0] <= 18
    assert 20 <= waits[1] <= 41
    assert 20 <= waits[2] <= 42
    assert 120 <= waits[3] <= 121
    assert waits[4] <= 1.0


def test_the_last_request_allowed_makes_the_next_one_wait(
    vendor: AlpacaVendor, history: AlpacaHistory, waits: list[float]
) -> None:
    closes = filled(history)
    history.headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(now().timestamp()) + 50)}
    assert closes_of(read(vendor)) == closes
    assert len(waits) == len(history.requests) - 1
    assert all(20 <= seconds <= 51 for seconds in waits)


def test_asked_often_enough_it_is_said_to_be_unavailable(
    vendor: AlpacaVendor, history: AlpacaHistory, waits: list[float]
) -> None:
    filled(history)
    history.faults.extend([None, *[Fault("status", 502, body={"message": f"away, {SECRET}"})] * 4])
    tables = vendor.bars(SYMBOLS, MOMENT, END)
    assert next(tables).num_rows == 7
    with pytest.raises(
        VendorUnavailable, match=r"AAPL, BRK\.B, MSFT in 4 attempts, the last failed with 502: away, \*\*\*;"
    ):
        next(tables)
    assert len(waits) == 3
    gone = AlpacaVendor(AlpacaAccount(KEY, SECRET, url="http://127.0.0.1:9"), patience=Patience(tries=1))
    with pytest.raises(VendorUnavailable, match="in 1 attempt, the last failed with ConnectionError"):
        read(gone)
    gone.close()


def test_waiting_ends_when_it_is_time_to_give_up(history: AlpacaHistory) -> None:
    history.faults.append(Fault("status", 429, {"Retry-After": "100"}))
    vendor = AlpacaVendor(AlpacaAccount(KEY, SECRET, url=history.url), patience=Patience(wait=lambda _: True))
    with pytest.raises(VendorUnavailable, match="stopped while waiting"):
        read(vendor)
    vendor.close()
    assert len(history.requests) == 1


REFUSALS: list[tuple[int, Any, str]] = [
    (
        401,
        {"message": "request is not authorized"},
        "refuses this account .401: request is not authorized.*APCA_API_KEY_ID",
    ),
    (
        403,
        {"message": "subscription does not permit querying recent SIP data"},
        "recent SIP data.*TRADING_DATA_ALPACA_FEED=iex",
    ),
    (
        422,
        {"code": 1, "message": "end should not be before start"},
        "request for bars of AAPL, .*422: end should not be",
    ),
    (404, "404 page not found", "404 page not found.*TRADING_DATA_ALPACA_URL"),
]


@pytest.mark.parametrize(("status", "body", "text"), REFUSALS)
def test_a_refusal_is_not_tried_again(
    vendor: AlpacaVendor, history: AlpacaHistory, waits: list[float], status: int, body: Any, text: str
) -> None:
    history.faults.append(Fault("status", status, body=body))
    with pytest.raises(VendorRefused, match=text) as refused:
        read(vendor)
    assert refused.value.symbols == ()
    assert (len(history.requests), waits) == (1, [])


def test_a_symbol_that_it_does_not_know_is_named(vendor: AlpacaVendor) -> None:
    with pytest.raises(VendorRefused, match=r"does not know brk-b \(400: invalid symbol: brk-b\)") as refused:
        read(vendor, ["A", "brk-b", "MSFT"])
    assert refused.value.symbols == ("brk-b",)
    with pytest.raises(VendorRefused, match="'A,B', ' ' cannot be a symbol at Alpaca: correct") as refused:
        read(vendor, ["A,B", "MSFT", " "])
    assert refused.value.symbols == ("A,B", " ")


def test_a_page_that_comes_twice_does_no_harm(rig: Rig, vendor: AlpacaVendor, history: AlpacaHistory) -> None:
    closes = filled(history)
    for _ in range(2):
        history.faults.extend([None, Fault("again"), None, Fault("again")])
        tables = vendor.bars(SYMBOLS, MOMENT, END)
        done = list(import_rows(rig.intake, PRICE, vendor.name, tables, origin="vendor", earliest=EARLIEST))
        assert sum(batch.rows for batch in done) > len(closes)
        rig.load(PRICE)
        rows = rig.query("select symbol, timestamp, close from price_data where source = %s", "alpaca:iex")
        assert {(symbol, begin): close for symbol, begin, close in rows} == closes
    assert rig.query("select count(*) from archive_revision") == [(0,)]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ([1, 2], "an answer without bars: check whether"),
        ({"bars": {"A": {"t": 1}}}, "an answer without bars: check whether"),
        ({"bars": {"A": [7]}}, "bars that cannot be read"),
        ({"bars": {"A": [bar(MOMENT, o="10")]}}, "bars that cannot be read"),
        ({"bars": {"A": [bar(MOMENT, t="yesterday")]}}, "bars that cannot be read"),
    ],
)
def test_what_is_not_bars_is_an_error(vendor: AlpacaVendor, history: AlpacaHistory, body: Any, text: str) -> None:
    history.faults.append(Fault("status", 200, body=body))
    with pytest.raises(VendorError, match=text) as error:
        read(vendor)
    assert type(error.value) is VendorError


def test_pages_without_end_are_an_error(vendor: AlpacaVendor, history: AlpacaHistory) -> None:
    filled(history)
    history.faults.extend([None, Fault("endless")])
    with pytest.raises(VendorError, match="again and again"):
        read(vendor)


def test_what_was_not_asked_for_is_left_out(vendor: AlpacaVendor, history: AlpacaHistory) -> None:
    found = [bar(MOMENT - MINUTE), bar(MOMENT), bar(END)]
    history.faults.append(Fault("status", 200, body={"bars": {"A": found}}))
    assert read(vendor, ["A"])["timestamp"].to_pylist() == [MOMENT]


def test_what_is_missing_of_a_bar_is_left_to_the_codec(vendor: AlpacaVendor, history: AlpacaHistory) -> None:
    history.faults.append(Fault("status", 200, body={"bars": {"A": [bar(MOMENT, v=None)], "B": None}}))
    assert read(vendor).to_pylist()[0]["volume"] is None


def test_neither_key_nor_secret_is_shown(history: AlpacaHistory) -> None:
    for key, secret in (("WRONGKEY77", "wr0ng/secret"), ("WRONG\nKEY77", "wr0ng/secret")):
        account = AlpacaAccount(key, secret, url=history.url)
        vendor = AlpacaVendor(account, patience=Patience(tries=1))
        with pytest.raises(VendorRefused) as refused:
            read(vendor)
        vendor.close()
        shown = f"{refused.value} {account} {account!r} {vendor!r} {vendor}"
        assert "KEY77" not in shown
        assert "wr0ng" not in shown


def test_alpaca_py_is_loaded_when_it_is_used_and_not_before() -> None:
    code = "import sys, trading_data.sources.vendors, trading_data.sources.feeds; sys.exit('alpaca' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
