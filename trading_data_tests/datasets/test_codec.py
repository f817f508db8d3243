"""Types, rules and reasons: nothing is dropped, and what stands beside an entry does not change what becomes of it."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_data.datasets import PRICE, TRADE, codec, rules
from trading_data.datasets.codec import Checked, canonical_decimal, plain
from trading_data.datasets.declaration import Dataset
from trading_data_tests.rig import EARLIEST, MOMENT

GOOD_BAR = {
    "symbol": "AAPL",
    "timestamp": "2026-11-20T15:00:00+00:00",
    "open": "10",
    "high": "12",
    "low": "9",
    "close": "11",
    "volume": "100",
    "source": "test",
}
GOOD_FILL = {
    "order_id": "o1",
    "timestamp": "2026-11-20T15:00:00Z",
    "execution_id": "e1",
    "symbol": "AAPL",
    "side": "buy",
    "quantity": "10",
    "price": "11.25",
    "commission": "0.5",
    "strategy": "",
    "source": "test",
}


def check(dataset: Dataset, entries: list[dict[str, Any]]) -> Checked:
    values = {name: pa.array([entry[name] for entry in entries], pa.binary()) for name in dataset.names}
    return codec.check(dataset, values, MOMENT, EARLIEST)


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("open", "ten", "not a number"),
        ("open", "", "missing field"),
        ("open", "1,5", "not a number"),
        ("open", "0x10", "not a number"),
        ("open", "nan", "not finite"),
        ("open", "-Infinity", "not finite"),
        ("open", "1e999", "not finite"),
        ("open", "1e101", "too large"),
        ("volume", "-0.01", "negative"),
        ("volume", "-1", "negative"),
        ("high", "8.99", "order"),
        ("symbol", "", "empty symbol"),
        ("symbol", "  ", "empty symbol"),
        ("symbol", "A\nB", "absurd symbol"),
        ("symbol", "A\0B", "absurd symbol"),
        ("symbol", "x" * 2000, "too long"),
        ("symbol", b"\xff\xfe", "not UTF-8"),
        ("source", "", "empty source"),
        ("timestamp", "yesterday", "not a time"),
        ("timestamp", "1795186800", "epoch"),
        ("timestamp", "2026-11-20T15:00:00", "no zone"),
        ("timestamp", "2026-11-20", "no zone"),
        ("timestamp", "1999-12-31T23:59:59Z", "far past"),
        ("timestamp", "0001-01-01T00:00:00Z", "far past"),
        ("timestamp", "2026-11-21T15:00:01Z", "future"),
        ("timestamp", "9999-12-31T23:59:59Z", "future"),
        ("timestamp", "2026-11-20T15:00:00.1234567Z", "too fine"),
    ],
)
def test_a_bad_bar_has_its_reason_and_its_neighbour_passes(field: str, value: str | bytes, kind: str) -> None:
    found = check(PRICE, [GOOD_BAR, {**GOOD_BAR, field: value}, GOOD_BAR])
    assert {at: reason.kind for at, reason in found.bad.items()} == {1: kind}
    assert field in found.bad[1].text
    assert found.table["open"].to_pylist()[0] == found.table["open"].to_pylist()[2] == 10.0


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("side", "short", "unknown side"),
        ("side", "BUY", "unknown side"),
        ("quantity", "0", "too small"),
        ("quantity", "-5", "negative"),
        ("price", "NaN", "not finite"),
        ("quantity", "1" * 21, "digits"),
        ("quantity", "0." + "1" * 19, "digits"),
        ("order_id", "", "empty order_id"),
        ("strategy", "a\0b", "absurd strategy"),
    ],
)
def test_a_bad_fill_has_its_reason(field: str, value: str, kind: str) -> None:
    found = check(TRADE, [GOOD_FILL, {**GOOD_FILL, field: value}])
    assert {at: reason.kind for at, reason in found.bad.items()} == {1: kind}


@pytest.mark.parametrize(
    "symbol", ["BRK.B", "日経225", "🚀", "a:b", "*", "{x}", "A'; drop table price_data; --", "é", "x" * 1024]
)
def test_any_name_in_utf8_comes_through_whole(symbol: str) -> None:
    found = check(PRICE, [{**GOOD_BAR, "symbol": symbol}])
    assert not found.bad
    assert found.table["symbol"].to_pylist() == [symbol]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20T15:00:00Z", MOMENT),
        ("2026-11-20T16:00:00+01:00", MOMENT),
        ("2026-11-20 15:00:00+00:00", MOMENT),
        ("20261120T150000Z", MOMENT),
        ("2026-11-20T15:00:00.123456Z", MOMENT + timedelta(microseconds=123456)),
        ("2026-11-20T15:00:00.123456000Z", MOMENT + timedelta(microseconds=123456)),
        ("2026-11-21T15:00:00Z", MOMENT + timedelta(days=1)),
    ],
)
def test_iso_times_with_a_zone(text: str, moment: datetime) -> None:
    found = check(PRICE, [{**GOOD_BAR, "timestamp": text}])
    assert not found.bad
    assert found.table["timestamp"].to_pylist() == [moment]


def test_a_rebate_is_a_negative_commission() -> None:
    assert not check(TRADE, [{**GOOD_FILL, "commission": "-0.25"}]).bad


VALUES = st.one_of(
    st.sampled_from(
        ["1", "2.5", "nan", "x", "", "-1", "1e400", "12", "AAPL", "2026-11-20T15:00:00Z", "2026-11-20T15:00:00"]
    ),
    st.floats().map(repr),
    st.text(max_size=4),
)
ENTRIES = st.lists(
    st.tuples(st.sampled_from(list(GOOD_BAR)), VALUES).map(lambda change: {**GOOD_BAR, change[0]: change[1]}),
    min_size=1,
    max_size=6,
)


@given(ENTRIES)
def test_what_stands_beside_an_entry_does_not_matter(entries: list[dict[str, Any]]) -> None:
    entries = [{name: value.encode("utf-8", "surrogatepass") for name, value in entry.items()} for entry in entries]
    together = check(PRICE, entries)
    for at, entry in enumerate(entries):
        alone = check(PRICE, [entry])
        assert (alone.bad.get(0) is None) == (together.bad.get(at) is None)
        if at in together.bad:
            assert alone.bad[0].kind == together.bad[at].kind
        else:
            assert alone.table.to_pylist() == together.table.slice(at, 1).to_pylist()


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=0, max_value=rules.LARGEST))
def test_a_float_survives_its_text_to_the_last_bit(value: float) -> None:
    text = plain(value)
    assert "e" not in text
    found = check(PRICE, [{**GOOD_BAR, "volume": text.encode()}])
    assert found.table["volume"].to_pylist() == [value]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**19), max_value=10**19))
def test_an_exact_number_has_one_way_to_be_written(value: Decimal) -> None:
    text = canonical_decimal(plain(value))
    assert text is not None
    assert Decimal(text) == value
    assert canonical_decimal(text) == text
    assert canonical_decimal(f"{text}.0" if "." not in text else f"{text}0") == text


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2026, 11, 21)), st.integers(-14, 14))  # noqa: DTZ001
def test_a_time_survives_its_text(naive: datetime, hours: int) -> None:
    moment = naive.replace(tzinfo=UTC)
    text = moment.astimezone(timezone(timedelta(hours=hours))).isoformat()
    assert check(PRICE, [{**GOOD_BAR, "timestamp": text}]).table["timestamp"].to_pylist() == [moment]
