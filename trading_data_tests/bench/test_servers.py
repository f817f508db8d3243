"""The servers of benches: a user's data are never touched, and subject and reference get the same rows."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pytest
from redis.exceptions import ResponseError

from trading_data import Bar, LiveStore
from trading_data.bench.archive import Archiving
from trading_data.bench.cycle import run_cycle
from trading_data.bench.references.archive import TABLE
from trading_data.bench.references.wire import packed, wire
from trading_data.bench.references.write import commands
from trading_data.bench.rows import Bars, bars_of
from trading_data.bench.servers import BenchRig, serve
from trading_data.datasets import PRICE
from trading_data.errors import Refused, ServerError
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


def test_journal_copy_and_archive_have_the_same_rows(rig: Rig, scratch: BenchRig) -> None:
    bars = Bars(3, 400)
    scratch.journalled(bars)
    cycle = run_cycle(scratch.client, scratch.archive, scratch.intake, scratch.earliest)
    cycle.expect("inserted", 1200)
    with pytest.raises(ServerError, match="1,200 entries as inserted and trimmed 1,197, instead of 1,201"):
        cycle.expect("inserted", 1201)
    ours = rig.query(f"select {COLUMNS} from {PRICE.table} order by 1, 2")
    work = Archiving(scratch, bars)
    for reference in (work.limit, work.script):
        assert reference() > 0
        assert rig.query(f"select {COLUMNS} from {TABLE} order by 1, 2") == ours
        assert rig.query(f"select count(*) from show_chunks('{TABLE}')") == [(2,)]
    assert len(ours) == 1200
    assert scratch.client.xlen("journal:price:S0001") == 1  # the script trims by the last id that it copied
    work.close()
    assert [record["timestamp"] for record in bars.records(7)] == [bars.moments[at // 3] for at in range(7)]


def test_an_error_on_the_wire_is_an_error(scratch: BenchRig) -> None:
    with wire(scratch.client) as line:
        assert line.send(packed("SET", "one", "1")) == len("+OK\r\n")
        with pytest.raises(ResponseError, match="-WRONGTYPE"):
            line.send(packed("XADD", "one", "*", "field", "value"))
        long = "v" * 3_000_000
        line.send(packed("SET", "long", long))
        assert line.send(packed("GET", "long")) == len(long) + len("$3000000\r\n\r\n")


def test_a_producer_and_its_reference_leave_the_same_behind(scratch: BenchRig) -> None:
    record = Bars(1, 1).records(1)[0]
    LiveStore(scratch.client).record_prices([Bar(**record)])
    left = contents(scratch)
    scratch.client.flushdb()
    texts = {name: value.isoformat() if name == "timestamp" else str(value) for name, value in record.items()}
    with wire(scratch.client) as line:
        line.send(commands([texts]))
    assert contents(scratch) == left


def contents(scratch: BenchRig) -> dict[Any, Any]:
    client: Any = scratch.client
    return {
        key: [fields for _, fields in client.xrange(key)] if client.type(key) == b"stream" else client.hgetall(key)
        for key in sorted(client.keys("*"))
    }


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
