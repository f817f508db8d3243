"""The servers of benches: a user's data are never touched, and subject and reference get the same rows."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pytest

from trading_data.bench.cycle import LIMIT_TABLE, copy_into, encoded, fresh_table, raw_read, read_requests, run_cycle
from trading_data.bench.rows import Bars, bars_of
from trading_data.bench.servers import BenchRig, environment, serve
from trading_data.bench.wire import RecordingClient, packed, wire
from trading_data.datasets import PRICE
from trading_data.errors import LiveTierError, Refused, ServerError
from trading_data.live.journal import find_journals
from trading_data.live.journal_reader import ROWS_PER_PAGE
from trading_data.settings import TIMESCALE_URL, Settings
from trading_data_tests.rig import Rig

COLUMNS = ", ".join(f'"{name}"' for name in PRICE.names)


@pytest.fixture
def scratch(rig: Rig) -> BenchRig:
    return BenchRig(rig.settings)


def test_a_live_tier_with_keys_in_it_is_refused_and_left_alone(rig: Rig) -> None:
    rig.client.set("somebody's", "key")
    with pytest.raises(Refused, match="names a database with 1 keys"), serve(rig.settings):
        pass
    assert rig.client.get("somebody's") == b"key"


@pytest.mark.skipif(TIMESCALE_URL not in os.environ, reason="the embedded server has one database")
def test_servers_by_url_get_a_database_beside_and_an_empty_live_tier(rig: Rig, tmp_path: Path) -> None:
    home = tmp_path / "user"
    with serve(replace(rig.settings, home=home)) as made:
        assert made.embedded == ()
        assert made.settings.timescale_url != rig.settings.timescale_url
        made.journalled(Bars(2, 3))
        run_cycle(made.client, made.archive, made.intake, made.earliest).expect("inserted", 6)
        own = made.settings
    assert not home.exists()
    assert not own.home.exists()
    assert rig.client.dbsize() == 0
    assert rig.query("select count(*) from price_data") == [(0,)]
    with pytest.raises(psycopg2.OperationalError, match="does not exist"):
        psycopg2.connect(str(own.timescale_url).replace("+psycopg2", ""))


def test_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "1")
    before = dict(os.environ)
    with environment({"ONE": "2", "TWO": "2"}):
        assert (os.environ["ONE"], os.environ["TWO"]) == ("2", "2")
    assert dict(os.environ) == before


def test_journal_copy_and_archive_have_the_same_rows(rig: Rig, scratch: BenchRig) -> None:
    bars = Bars(3, 400)
    scratch.journalled(bars)
    cycle = run_cycle(scratch.client, scratch.archive, scratch.intake, scratch.earliest)
    cycle.expect("inserted", 1200)
    with pytest.raises(ServerError, match="1,200 entries as inserted and trimmed 1,197, instead of 1,201"):
        cycle.expect("inserted", 1201)
    with scratch.connection() as connection:
        fresh_table(connection)
        copy_into(connection, LIMIT_TABLE, encoded(bars.table(), 500))
        ours, theirs = (
            rig.query(f"select {COLUMNS} from {table} order by 1, 2") for table in (PRICE.table, LIMIT_TABLE)
        )
        limit_days = rig.query("select count(*) from show_chunks('bench_limit')")
        with connection.cursor() as cursor:
            cursor.execute("drop table bench_limit")
    assert len(ours) == 1200
    assert ours == theirs
    assert limit_days == [(2,)] == rig.query("select count(*) from show_chunks('price_data')")
    assert [record["timestamp"] for record in bars.records(7)] == [bars.moments[at // 3] for at in range(7)]


def test_the_raw_read_takes_in_every_entry_by_the_requests_of_the_archiver(scratch: BenchRig) -> None:
    bars = Bars(4, 200)
    scratch.journalled(bars)
    requests = read_requests(scratch.client)
    assert len(requests) == bars.count // ROWS_PER_PAGE + 2  # the first page of each of two lanes is a small one
    with wire(scratch.client) as line:
        replies = sum(line.send(request) for request in requests)
    client: Any = scratch.client
    entries = [fields for name in find_journals(client, PRICE) for _, fields in client.xrange(name)]
    content = sum(len(value) for fields in entries for value in fields)
    assert len(entries) == bars.count
    assert replies > content
    assert raw_read(scratch.client, requests) > 0


def test_an_error_on_the_wire_is_an_error(scratch: BenchRig) -> None:
    with wire(scratch.client) as line:
        assert line.send(packed("SET", "one", "1")) == len("+OK\r\n")
        with pytest.raises(LiveTierError, match="refused a command of the bench: -WRONGTYPE"):
            line.send(packed("XADD", "one", "*", "field", "value"))
        long = "v" * 3_000_000
        line.send(packed("SET", "long", long))
        assert line.send(packed("GET", "long")) == len(long) + len("$3000000\r\n\r\n")


def test_listening_keeps_what_was_asked(scratch: BenchRig) -> None:
    recording = RecordingClient(scratch.client)
    pipeline = recording.pipeline(transaction=False)
    pipeline.set("one", "1")
    pipeline.get("one")
    assert pipeline.execute() == [True, b"1"]
    assert recording.requests == [packed("SET", "one", "1") + packed("GET", "one")]


def test_fewer_entries_are_of_fewer_symbols() -> None:
    assert [(bars.symbols, bars.count) for bars in map(bars_of, (1_000_000, 10_000, 400, 4))] == [
        (500, 1_000_000),
        (500, 10_000),
        (20, 400),
        (2, 4),
    ]
    assert Bars(2, 391).days[0].hour == 0
    assert len(Bars(2, 391).days) == 2
    assert isinstance(Bars(2, 3).table(), pa.Table)


def test_programs_of_a_bench_get_its_servers_and_home(scratch: BenchRig) -> None:
    settings = Settings.from_env(scratch.env)
    assert (settings.redis_url, settings.home) == (scratch.settings.redis_url, scratch.settings.home)
