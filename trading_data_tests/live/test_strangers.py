"""Keys that others write: of the wrong type, with other fields, in bytes that are no text. The rest goes on."""

import logging
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import dagster as dg
import pytest

from trading_data.datasets import DATASETS, METRICS, PRICE, TRADE
from trading_data.errors import LiveTierError
from trading_data.intake.poll_latest import poll_latest
from trading_data.live import reads as strange_module
from trading_data.live.connection import connect_for_archiver
from trading_data.live.journal import (
    BEGINNING,
    Cut,
    EntryId,
    ReadRange,
    entries_at,
    find_keys,
    inspect,
    newest_entries,
    read,
    trim,
)
from trading_data.live.keys import KEYS
from trading_data.live.reads import WrongType, keys_of, wrong_types
from trading_data_tests.live.servers import Node
from trading_data_tests.orchestration.ticks import checks, materializations, run_assets, today
from trading_data_tests.rig import EARLIEST, Rig, bar, fill, measurement

BAR = {
    "timestamp": "2026-11-20T15:00:00Z",
    "open": "1",
    "high": "2",
    "low": "1",
    "close": "2",
    "volume": "3",
    "source": "cron",
}


def spoil(rig: Rig) -> list[WrongType]:
    """Keys of other types than their names say, beside good ones."""
    client: Any = rig.client
    client.set("journal:price:TEXT", "x")
    client.hset("journal:price:HASH", "a", "b")
    client.rpush("journal:trade", "x")
    client.set("stocks:price:TEXT", "x")
    client.set(b"stocks:price:\xff", "x")
    rig.store.record_prices([bar("A")])
    rig.store.record_metrics([measurement()])
    return [
        WrongType("stocks:price:TEXT", "hash", "string"),
        WrongType("stocks:price:\udcff", "hash", "string"),
        WrongType("journal:price:HASH", "stream", "hash"),
        WrongType("journal:price:TEXT", "stream", "string"),
        WrongType("journal:trade", "stream", "list"),
    ]


def hashed(rig: Rig, key: str | bytes, fields: Mapping[Any, Any]) -> None:
    rig.client.hset(key, mapping=dict(fields))


def sampled(rig: Rig) -> tuple[int, int]:
    """Rows and rejects of one sample, loaded."""
    drained = poll_latest(rig.client, rig.intake, PRICE, earliest=EARLIEST)
    rig.load(PRICE)
    return (drained.rows, drained.rejected) if drained else (0, 0)


def test_keys_of_another_type_are_found_and_named(rig: Rig) -> None:
    assert wrong_types(rig.client) == []
    expected = spoil(rig)
    assert wrong_types(rig.client) == expected
    assert wrong_types(rig.client, keys_of(PRICE)) == expected[:4]
    assert wrong_types(rig.client, keys_of(TRADE)) == expected[4:]
    assert wrong_types(rig.client, keys_of(METRICS)) == []
    assert expected[1].message == r"`stocks:price:\xff` is a string, not a hash"


def test_every_kind_of_key_is_looked_at(rig: Rig) -> None:
    client: Any = rig.client
    for key in KEYS.values():
        name = key.pattern.format(**dict.fromkeys(key.about, "x"))
        client.rpush(name, "x")
    assert [(wrong_type_.expected, wrong_type_.actual) for wrong_type_ in wrong_types(rig.client)] == [
        (key.type, "list") for key in KEYS.values()
    ]


def test_no_more_are_reported_than_anybody_reads(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strange_module, "MOST", 3)
    for at in range(5):
        rig.client.set(f"stocks:price:{at}", "x")
    assert len(wrong_types(rig.client)) == 3


def test_they_hold_nothing_else_up(rig: Rig) -> None:
    spoil(rig)
    hashed(rig, "stocks:price:HASH", BAR)  # beside journal:price:HASH, which is no stream
    assert [(one.rows, one.rejected) for one in rig.snapshot(PRICE)] == [(1, 0)]
    assert sampled(rig) == (1, 0)
    assert rig.trim(PRICE).journals == 1
    assert rig.archive_all(TRADE) == []
    assert rig.archive_all(METRICS)[0].inserted == 1
    assert rig.query("select symbol from price_data order by 1") == [("A",), ("HASH",)]
    assert len(rig.reader.prices(None, "2026-11-20", "2026-11-21")) == 2
    rig.client.delete("journal:trade")
    rig.store.record_trades([fill()])
    assert rig.archive_all(TRADE)[0].inserted == 1


def test_a_key_that_changes_its_type_meanwhile_holds_nothing_up(rig: Rig) -> None:
    rig.store.record_prices([bar("A"), bar("B")])
    journals = find_keys(rig.client, "journal:price:", "stream")
    infos = inspect(rig.client, journals)
    rig.client.delete("journal:price:A")
    rig.client.set("journal:price:A", "x")
    stretches = [ReadRange(name, BEGINNING, info.last, 1) for name, info in infos.items()]
    assert [reading.journal for reading in read(rig.client, stretches)] == ["journal:price:B"]
    assert {name: len(newest_entry) for name, newest_entry in newest_entries(rig.client, journals, 5).items()} == {
        "journal:price:A": 0,
        "journal:price:B": 1,
    }
    (fields,) = entries_at(rig.client, {journals[1]: infos[journals[1]].last}).values()
    assert trim(rig.client, dict.fromkeys(journals, Cut(EntryId(2**63, 0), infos[journals[1]].last, fields))) == 1


def test_what_is_not_answered_is_an_error_and_not_taken_for_missing(server: Node) -> None:
    """A server that refuses to tell of a journal has not said that there is none."""
    server.client.xadd("journal:metrics", {"a": "b"})
    server.client.execute_command("ACL SETUSER", "limited", "on", ">pw", "~*", "+@all", "-xinfo")
    url = server.url.replace("redis://", "redis://limited:pw@")
    with (
        closing(connect_for_archiver(url)) as client,
        pytest.raises(LiveTierError, match=r"(?i)no permissions") as caught,
    ):
        inspect(client, ["journal:metrics"])
    assert "pw" not in str(caught.value)


def test_a_stranger_may_write_the_fields_in_any_order(rig: Rig) -> None:
    hashed(rig, "stocks:price:OLD", dict(reversed(BAR.items())))
    assert sampled(rig) == (1, 0)
    assert sampled(rig) == (0, 0)
    hashed(rig, "stocks:price:OLD", {"close": "1.5"})
    assert sampled(rig) == (1, 0)
    assert rig.query("select symbol, open, close, source from price_data") == [("OLD", 1.0, 1.5, "cron")]


def test_what_a_stranger_writes_wrong_is_quarantined_with_the_reason(rig: Rig) -> None:
    wrong: list[tuple[dict[Any, Any], str | None, str]] = [
        ({"bid": "1"}, "unknown field", "unknown bid; known are timestamp, open, high"),
        ({"volume": None}, "missing field", "missing volume"),
        ({"volume": None, "vol": "3"}, "missing field", "missing volume; unknown vol"),
        ({"close": "two"}, None, "close"),
        ({"close": b"\xff\xfe"}, None, "close"),
        ({"source": b"\xff\xfe"}, None, "source"),
        ({b"\xff": "1"}, "unknown field", "unknown \ufffd"),
    ]
    for at, (change, _, _) in enumerate(wrong):
        fields = {name: value for name, value in {**BAR, **change}.items() if value is not None}
        hashed(rig, f"stocks:price:{at}", fields)
    hashed(rig, "stocks:price:GOOD", BAR)
    assert sampled(rig) == (1, len(wrong))
    found = rig.query("select kind, reason, journal from archive_quarantine order by journal")
    for at, ((_, kind, reason), (found_kind, found_reason, journal)) in enumerate(zip(wrong, found, strict=True)):
        assert kind in (None, found_kind)
        assert reason in found_reason
        assert journal == f"stocks:price:{at}"
    assert rig.query("select symbol from price_data") == [("GOOD",)]
    assert sampled(rig) == (0, 0)


def test_a_symbol_that_is_no_text_is_quarantined(rig: Rig) -> None:
    hashed(rig, b"stocks:price:\xff", BAR)
    assert sampled(rig) == (0, 1)
    assert rig.query("select journal from archive_quarantine") == [(r"stocks:price:\xff",)]


def test_a_run_shows_them_and_goes_on(rig: Rig, instance: dg.DagsterInstance) -> None:
    spoil(rig)
    result = run_assets(instance, [dataset.snapshot for dataset in DATASETS.values()], today())
    assert result.success
    found = checks(result)
    passed, said = found["price_snapshot", "keys_as_declared"]
    assert not passed
    assert said is not None
    assert said.startswith(
        "4 keys have names of ours but another type, and are not archived: `stocks:price:TEXT` is a string, not a hash; "
    )
    assert "`journal:price:HASH` is a hash, not a stream" in said
    assert said.endswith("then RENAME the keys or DEL them")
    assert said in [
        all_log.user_message for all_log in instance.all_logs(result.run_id) if all_log.level == logging.WARNING
    ]
    assert not found["trade_snapshot", "keys_as_declared"][0]
    assert found["metrics_snapshot", "keys_as_declared"] == (True, "Every key with a name of ours is of its type.")
    severities = {
        check_evaluation.severity
        for check_evaluation in result.get_asset_check_evaluations()
        if check_evaluation.check_name == "keys_as_declared"
    }
    assert severities == {dg.AssetCheckSeverity.WARN}
    assert r"`stocks:price:\xff` is a string, not a hash" in said
    assert [materialization["offered"] for materialization in materializations(result, "price_snapshot").values()] == [
        1
    ]
