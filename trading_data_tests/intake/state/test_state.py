"""The state as a dated document: exactly what the live tier held, found again by its moment."""

import json
import math
import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_data.datasets import DATASETS
from trading_data.errors import IntakeError, LiveTierError
from trading_data.intake.state.document import Key, KeyGroup, Problem, StateSnapshot, Value, decode, encode, tables
from trading_data.intake.state.files import newest_state, put_state, read_state, state_files
from trading_data.intake.state.take import take_state
from trading_data.intake.store import Intake
from trading_data.live.connection import Client, connect, connect_for_archiver
from trading_data.live.journal import text
from trading_data.live.keys import KEYS, LiveKey
from trading_data.settings import Settings
from trading_data_tests.rig import MOMENT

MICROSECOND = timedelta(microseconds=1)
HOSTILE = [b"BRK.B", b"\xff\xfe", b"a:b:*?[x]^\\", "ünï\u2028\u202e".encode(), b"\x00\n\x1b[31m", b" ", b"{symbol}"]


def state(
    ended: datetime = MOMENT, *kinds: KeyGroup, problems: tuple[Problem, ...] = (), run_id: str = "run"
) -> StateSnapshot:
    return StateSnapshot(ended - timedelta(seconds=1), ended, run_id, kinds, problems)


def kept(state_snapshot: StateSnapshot, kind: str) -> dict[str, Value]:
    """Key → value of a kind."""
    return {one.key: one.value for each in state_snapshot.kinds if each.name == kind for one in each.keys}


@pytest.fixture
def client(servers: Settings) -> Iterator[Client]:
    """The live tier, empty; no test here needs the archive."""
    made = connect_for_archiver(servers.require_redis_url())
    made.flushdb()
    yield made
    made.close()


@pytest.fixture
def intake(tmp_path: Path) -> Intake:
    return Intake(str(tmp_path / "intake"))


def test_every_type_comes_back_as_the_server_held_it(client: Client, intake: Intake) -> None:
    for symbol in HOSTILE:
        client.hset(b"positions:active:" + symbol, mapping={symbol: symbol, b"quantity": b"10", b"": b""})
        client.hset(b"signals:" + symbol, mapping={b"strength": symbol})
    client.sadd("watchlist:current", *HOSTILE)
    scores = {b"AAPL": 0.1 + 0.2, b"\xff": math.inf, b"": -math.inf, b"tie": 5e-324, b"low": -1.7976931348623157e308}
    client.zadd("candidates:ranked", scores)
    client.hset("system:state", mapping={b"feed": b"up"})
    client.set("cache:notes:1", b"\xff\x00")
    more = {**KEYS, "cache": replace(KEYS["cache"], state=True)}
    taken = take_state(client, run_id="r1", keys=more)
    put_state(intake, taken)
    back = newest_state(intake)
    assert back == taken
    assert back.run_id == "r1"
    assert back.problems == ()
    assert kept(back, "active") == {
        text(b"positions:active:" + symbol): {text(symbol): text(symbol), "quantity": "10", "": ""}
        for symbol in HOSTILE
    }
    assert len(kept(back, "signal")) == len(HOSTILE)
    assert kept(back, "monitoring") == {}
    assert kept(back, "watchlist") == {"watchlist:current": [text(member) for member in sorted(HOSTILE)]}
    ranked = [(text(member), score) for member, score in sorted(scores.items(), key=lambda pair: pair[1])]
    assert kept(back, "candidates") == {"candidates:ranked": ranked}
    assert kept(back, "cache") == {"cache:notes:1": text(b"\xff\x00")}
    assert [kind.name for kind in back.kinds] == [name for name, declared in more.items() if declared.state]


def test_many_keys_need_more_than_one_pipeline(client: Client) -> None:
    for number in range(250):
        client.hset(f"signals:momentum:S{number:03}", "strength", str(number))
    found = kept(take_state(client), "signal")
    assert found == {f"signals:momentum:S{number:03}": {"strength": str(number)} for number in range(250)}


def test_what_is_not_state_is_not_taken(client: Client) -> None:
    client.hset("stocks:price:AAPL", "close", "1")
    client.hset("position:active:AAPL", "close", "1")
    client.hset("system:state:old", "close", "1")
    found = take_state(client)
    assert (found.keys, found.problems) == (0, ())


def test_lifetimes_are_kept(client: Client) -> None:
    client.hset("signals:momentum:A", "strength", "1")
    client.hset("signals:momentum:B", "strength", "1")
    client.expire("signals:momentum:A", 1000)
    (kind,) = (kind for kind in take_state(client).kinds if kind.name == "signal")
    assert kind.keys[0].ttl_ms is not None
    assert 0 < kind.keys[0].ttl_ms <= 1_000_000
    assert kind.keys[1].ttl_ms is None


def test_a_key_of_another_type_is_a_problem_and_does_not_stop_the_rest(client: Client, intake: Intake) -> None:
    client.set(b"positions:active:\xff", "10")
    client.hset("positions:active:B", "quantity", "10")
    client.rpush("watchlist:current", "A")
    client.sadd("signals:momentum:A", "1")
    client.set("system:state", "")
    found = take_state(client)
    assert kept(found, "active") == {"positions:active:B": {"quantity": "10"}}
    assert found.problems == (
        Problem("watchlist", "watchlist:current", "set", "list"),
        Problem("active", text(b"positions:active:\xff"), "hash", "string"),
        Problem("signal", "signals:momentum:A", "hash", "set"),
        Problem("system", "system:state", "hash", "string"),
    )
    put_state(intake, found)
    assert newest_state(intake) == found


def test_nothing_at_all_is_still_a_document(client: Client, intake: Intake) -> None:
    found = take_state(client)
    file = put_state(intake, found)
    assert newest_state(intake) == found
    assert found.keys == 0
    assert found.began <= found.ended == file.ended
    document = json.loads(Path(file.path).read_bytes())
    assert document["format"] == 1
    assert {kind["name"]: kind["keys"] for kind in document["kinds"]} == {
        name: [] for name, declared in KEYS.items() if declared.state
    }


def test_every_kind_of_state_has_a_type_that_can_be_read(client: Client) -> None:
    assert take_state(client, keys={name: replace(key, state=key.type != "stream") for name, key in KEYS.items()})


def test_the_server_away_is_one_clear_error() -> None:
    with pytest.raises(LiveTierError, match="does not answer"):
        take_state(connect("redis://127.0.0.1:1/0", retries=0))


def test_a_refused_command_is_an_error_and_no_problem(client: Client) -> None:
    client.hset("positions:active:A", "quantity", "1")
    client.acl_setuser("half", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-hgetall"])
    kwargs = {**client.connection_pool.connection_kwargs, "username": "half", "password": "x"}
    try:
        with pytest.raises(LiveTierError, match="hgetall"):
            take_state(type(client)(**{name: kwargs[name] for name in ("host", "port", "db", "username", "password")}))
    finally:
        client.acl_deluser("half")


def test_bytes_that_are_not_utf8_can_be_had_by_any_reader_of_json() -> None:
    one = state(MOMENT, KeyGroup("active", "a:{x}", "hash", (Key(text(b"a:\xff"), {"n": text(b"\xfe\x00")}),)))
    (key,) = json.loads(encode(one))["kinds"][0]["keys"]
    assert key["key"] == {"base64": b64encode(b"a:\xff").decode()}
    assert key["value"] == [["n", {"base64": b64encode(b"\xfe\x00").decode()}]]


texts = st.binary(max_size=6).map(text)
values = {
    "hash": st.dictionaries(texts, texts, max_size=4),
    "set": st.lists(texts, max_size=4),
    "zset": st.lists(st.tuples(texts, st.floats(allow_nan=False)), max_size=4),
    "string": texts,
}


@given(st.data())
def test_any_state_survives_its_document(data: st.DataObject) -> None:
    kinds: list[KeyGroup] = []
    for name in data.draw(st.lists(st.sampled_from(sorted(values)), max_size=3)):
        key = st.builds(Key, texts, values[name], st.none() | st.integers(0, 10**12))
        kinds.append(KeyGroup("k", "p:{x}", name, tuple(data.draw(st.lists(key, max_size=2)))))  # type: ignore[arg-type]
    problems = tuple(data.draw(st.lists(st.builds(Problem, st.just("k"), texts, st.just("hash"), st.just("set")))))
    one = state(MOMENT, *kinds, problems=problems)
    assert decode(encode(one), "here") == one
    for table in tables(one):
        assert len(set(table.columns)) == len(table.columns)
        for row in [table.columns, *table.rows]:
            assert len(row) == len(table.columns)
            assert all(cell.isprintable() for cell in row)


def test_the_newest_before_a_moment_does_not_have_that_moment(intake: Intake) -> None:
    first, second = state(MOMENT), state(MOMENT + timedelta(days=3))
    for one in (second, first):
        put_state(intake, one)
    assert newest_state(intake) == second
    for at, found in {
        MOMENT: None,
        MOMENT + MICROSECOND: first,
        second.ended: first,
        second.ended + MICROSECOND: second,
        MOMENT + timedelta(days=900): second,
        MOMENT - timedelta(days=900): None,
    }.items():
        assert newest_state(intake, at) == found
        assert newest_state(intake, at.astimezone()) == found
    assert [file.ended for file in state_files(intake)] == [first.ended, second.ended]


def test_over_midnight_and_past_an_empty_day(intake: Intake) -> None:
    midnight = datetime(2026, 11, 21, tzinfo=UTC)
    before, after = state(midnight - MICROSECOND), state(midnight)
    put_state(intake, before)
    gone = put_state(intake, after)
    assert newest_state(intake, midnight) == before
    Path(gone.path).unlink()
    assert Path(gone.path).parent.is_dir()
    assert newest_state(intake, midnight + timedelta(days=1)) == before
    assert read_state(intake, gone) is None


def test_older_states_are_not_even_read(intake: Intake) -> None:
    old = put_state(intake, state(MOMENT))
    put_state(intake, state(MOMENT + timedelta(hours=1)))
    Path(old.path).write_bytes(b"")
    assert newest_state(intake) == state(MOMENT + timedelta(hours=1))


def test_the_same_state_twice_is_one_file_and_two_of_one_moment_are_two(intake: Intake) -> None:
    put_state(intake, state())
    assert len({put_state(intake, state()).path, put_state(intake, state(run_id="b")).path}) == 2
    assert len(state_files(intake)) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-20],
        lambda data: b"",
        lambda data: data[:30] + b"\0" + data[31:],
        lambda data: data.replace(b'"run"', b'"ruin"'),
    ],
    ids=["cut short", "empty", "a byte", "a word"],
)
def test_damage_is_named_and_never_passed_over_silently(intake: Intake, damage: Callable[[bytes], bytes]) -> None:
    put_state(intake, state())
    newer = Path(put_state(intake, state(MOMENT + timedelta(hours=1))).path)
    newer.write_bytes(damage(newer.read_bytes()))
    with pytest.raises(IntakeError, match=newer.name):
        newest_state(intake)
    told: list[IntakeError] = []
    assert newest_state(intake, None, told.append) == state()
    assert [newer.name in str(one) for one in told] == [True]


def test_another_form_says_what_to_do() -> None:
    data = encode(state()).replace(b'"format": 1', b'"format": 2')
    with pytest.raises(IntakeError, match=r"here was written by another release \(format 2\): upgrade"):
        decode(data, "here")
    for nonsense in (b"[]", b"{}", b"null", encode(state()).replace(b'"began"', b'"begun"'), b"\xff"):
        with pytest.raises(IntakeError, match="here is damaged or not a state"):
            decode(nonsense, "here")


def test_files_are_their_owners_only_and_no_batches(intake: Intake) -> None:
    file = Path(put_state(intake, state()).path)
    assert file.stat().st_mode & 0o777 == 0o600
    for folder in (file.parent, file.parent.parent, file.parent.parent.parent):
        assert folder.stat().st_mode & 0o777 == 0o700
    for name in (*DATASETS, "state", f"state/{MOMENT:%Y-%m-%d}"):
        assert intake.pending(name) == []


def test_strangers_among_the_files_are_left_alone(intake: Intake) -> None:
    file = Path(put_state(intake, state()).path)
    for stranger in (
        f".{file.name}.tmp",
        "notes.json",
        file.name.replace("2026-11-20T", "2026-13-40T"),
        "x" + file.name,
    ):
        file.with_name(stranger).write_bytes(b"{}")
    (file.parent.parent / "2026-11-22").write_bytes(b"a file where a folder would be")
    (file.parent.parent / "later").mkdir()
    assert [state_file.path for state_file in state_files(intake)] == [str(file)]


def test_any_fsspec_uri_will_do() -> None:
    intake = Intake(f"memory://trading_data_tests/{os.getpid()}/state_of_intake")
    assert newest_state(intake) is None
    for hour in (1, 30):
        put_state(intake, state(MOMENT + timedelta(hours=hour)))
    assert newest_state(intake) == state(MOMENT + timedelta(hours=30))
    assert newest_state(intake, MOMENT + timedelta(hours=30)) == state(MOMENT + timedelta(hours=1))


def test_an_intake_that_is_no_folder_is_one_clear_error(intake: Intake, tmp_path: Path) -> None:
    (tmp_path / "intake").write_text("a file where a folder should be")
    with pytest.raises(IntakeError, match=r"cannot store a state of .* the next run takes the state anew"):
        put_state(intake, state())


def test_tables() -> None:
    fields: dict[str, Value] = {
        "A": {"quantity": "10", "symbol": "A", "\x1b": "x"},
        "B:C": {"stop": "9"},
    }
    found = tables(
        state(
            MOMENT,
            KeyGroup(
                "active", "p:{kind}:{symbol}", "hash", tuple(Key(f"p:{name}", value) for name, value in fields.items())
            ),
            KeyGroup("signal", "s:{symbol}", "hash", (Key("s:A", {"symbol": "1"}, 1500),)),
            KeyGroup("system", "system", "hash", (Key("system", {"feed": "up"}),)),
            KeyGroup("watchlist", "w", "set", (Key("w", ["A", text(b"\xff")]),)),
            KeyGroup("ranked", "r", "zset", (Key("r", [("low", 0.5), ("high", math.inf)]),)),
            KeyGroup("note", "n:{x}", "string", (Key("n:1", "text"),)),
            KeyGroup("none", "o:{x}", "hash"),
        )
    )
    assert {one.name: (one.columns, one.rows) for one in found} == {
        "active": (
            ("kind:symbol", "quantity", "symbol", "\\x1b", "stop"),
            (("A", "10", "A", "x", ""), ("B:C", "", "", "", "9")),
        ),
        "signal": (("symbol", "expires in s", "symbol (2)"), (("A", "1.500", "1"),)),
        "system": (("name", "value"), (("feed", "up"),)),
        "watchlist": (("member",), (("A",), ("\\xff",))),
        "ranked": (("rank", "member", "score"), (("1", "high", "inf"), ("2", "low", "0.5"))),
        "note": (("x", "value"), (("1", "text"),)),
        "none": (("x",), ()),
    }


def test_a_new_kind_costs_a_line_of_keys(client: Client) -> None:
    client.sadd("universe:A", "x")
    client.sadd("universe:B", "y")
    new = {"universe": LiveKey("universe:{name}", "set", None, "symbols", state=True)}
    (table,) = tables(take_state(client, keys=new))
    assert (table.columns, table.rows) == (("name", "member"), (("A", "x"), ("B", "y")))
