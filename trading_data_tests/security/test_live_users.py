"""The live tier's users, on a real server with the users of `deploy/redis`: what each may do, and what none of them may."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from trading_data import Indicators, LiveStore
from trading_data.archive.trim import trim_drained
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.errors import LiveTierError
from trading_data.intake.accounted import noted
from trading_data.intake.state.take import take_state
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver, read_memory
from trading_data.local.valkey import CONFIG
from trading_data.settings import REDIS_URL, Settings, password_file
from trading_data_tests.live.servers import folder
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement
from trading_data_tests.security.users import DEPLOY, USERS, secrets, server_with_users


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    with folder() as path, server_with_users(path) as server:
        yield server


@pytest.fixture
def clients(place: str) -> Iterator[dict[str, Any]]:
    """A client a user; the keys of the server are whatever earlier tests left."""
    made = {user: redis.Redis.from_url(_url(place, user), socket_timeout=5) for user in USERS}
    yield made
    for client in made.values():
        client.close()


def test_nobody_comes_in_without_a_name(place: str) -> None:
    host, port = place.split(":")
    once = Retry(NoBackoff(), 0)
    with redis.Redis(host, int(port), retry=once) as client:
        for command in (["PING"], ["INFO"], ["ACL", "LIST"], ["CONFIG", "GET", "*"]):
            with pytest.raises(redis.AuthenticationError):
                client.execute_command(*command)
    with (
        redis.Redis(host, int(port), username="default", password="", retry=once) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


_EVERYBODY_NOT = [
    "FLUSHALL", "FLUSHDB", "CONFIG SET maxmemory 1", "CONFIG REWRITE", "SHUTDOWN", "KEYS *", "ACL LIST",
    "ACL SETUSER feed allkeys", "MODULE LIST", "SWAPDB 0 1", "REPLICAOF NO ONE", "BGREWRITEAOF", "CLIENT KILL ID 1",
    "MONITOR", "DEL journal:trade", "UNLINK journal:trade", "XDEL journal:trade 1-1", "EXPIRE journal:trade 1",
    "RENAME journal:trade x", "SET journal:trade x", "XSETID journal:trade 1-1", "SCRIPT FLUSH", "FUNCTION FLUSH",
    "MIGRATE 127.0.0.1 1 journal:trade 0 1", "RESTORE journal:trade 0 x", "COPY journal:trade journal:x", "SAVE",
]  # fmt: skip
_NOT = {
    "feed": [
        "HGETALL positions:active:AAPL", "XRANGE journal:trade - +", "XTRIM journal:trade MAXLEN 0", "GET cache:x:y",
        "DEL stocks:price:AAPL", "HSET positions:active:AAPL quantity 1", "HSET archive:drained:price x y", "INFO",
        "EVAL return(1) 0", "SUBSCRIBE stocks:price:AAPL", "SCAN 0", "HGETALL archive:drained:price", "CONFIG GET maxmemory",
        "HSET journal:trade a b", "XADD positions:active:AAPL * a b", "PUBLISH positions:active:AAPL x",
    ],
    "trader": [
        "XTRIM journal:trade MAXLEN 0", "HSET archive:drained:price x y", "HGETALL archive:drained:price",
        "DEL archive:drained:price", "CONFIG GET maxmemory", "PSYNC ? -1",
    ],
    "archiver": [
        "HSET positions:active:AAPL quantity 0", "DEL positions:active:AAPL", "XADD journal:price:AAPL * a b",
        "XADD journal:trade * a b", "HSET stocks:price:AAPL close 1", "DEL stocks:price:AAPL", "PSYNC ? -1",
        "SUBSCRIBE stocks:price:AAPL", "EVAL return(redis.call('DEL',KEYS[1])) 1 journal:trade",
        "EVAL return(redis.call('XADD','journal:trade','*','a','b')) 1 archive:x", "SET positions:active:AAPL x",
        "XTRIM archive:x MAXLEN 0", "SREM watchlist:current AAPL",
    ],
    "backup": [
        "GET archive:lease:price", "HGETALL positions:active:AAPL", "XRANGE journal:trade - +", "INFO", "SCAN 0",
        "XTRIM journal:trade MAXLEN 0", "XADD journal:trade * a b", "CONFIG GET maxmemory", "PUBLISH x y", "DUMP journal:trade",
    ],
}  # fmt: skip


@pytest.mark.parametrize("user", USERS)
def test_what_a_user_must_not_do_is_refused(clients: dict[str, Any], user: str) -> None:
    clients["trader"].execute_command("XADD", "journal:trade", "*", "order_id", "o1")
    clients["trader"].hset("positions:active:AAPL", "quantity", "1")
    took = [command for command in [*_EVERYBODY_NOT, *_NOT[user]] if not _refused(clients[user], command)]
    assert took == []
    assert clients["trader"].xlen("journal:trade") >= 1


def test_the_feed_writes_journals_and_latest_values(place: str, clients: dict[str, Any]) -> None:
    with closing(LiveStore.from_url(_url(place, "feed"))) as store:
        assert len(store.record_prices([bar()])) == len(store.record_trades([fill()])) == 1
        store.record_metrics([measurement()])
        with pytest.raises(redis.exceptions.NoPermissionError):
            store.client.delete("stocks:price:AAPL")
    assert clients["trader"].hget("stocks:price:AAPL", "close") == b"11.0"


def test_the_trader_has_all_of_the_live_tier_but_the_books(place: str, tmp_path: Path) -> None:
    with closing(LiveStore.from_url(_url(place, "trader"))) as store:
        store.record_trades([fill()])
        store.set_indicators(Indicators("AAPL", MOMENT, {"rsi": 51.5}))
        store.set_watchlist(["AAPL", "MSFT"])
        calls: list[int] = []

        @store.cached("square", 60)
        def square(value: int) -> int:
            calls.append(value)
            return value * value

        assert [square(3), square(3)] == [9, 9]
        assert calls == [3], "the cache does not work for this user"
        with store.subscribe(["AAPL"], ["price", "signal"]) as updates:
            assert updates is not None
        with pytest.raises(LiveTierError, match="permission"):
            trim_drained(store.client, Intake(str(tmp_path)), TRADE)


def test_the_archiver_does_the_whole_way(place: str, rig: Rig) -> None:
    with closing(LiveStore.from_url(_url(place, "feed"))) as feed:
        feed.record_prices([bar("ACME", minute) for minute in range(5)])
    rig.client = connect_for_archiver(_url(place, "archiver"))
    for dataset in (PRICE, METRICS):
        rig.snapshot(dataset)
        rig.load(dataset)
        assert dataset is METRICS or noted(rig.client, dataset)
    assert rig.trim(PRICE).removed >= 4
    assert rig.client.xlen("journal:price:ACME") == 1
    assert take_state(rig.client).kinds
    assert read_memory(rig.client, 0).limit == 64 << 20
    with closing(LiveStore(rig.client)) as store:
        store.record_metrics([measurement("redis.memory")])


def test_the_backup_can_copy_everything_and_nothing_else(place: str) -> None:
    host, port = place.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        password = b"backup/&:@ %secret"
        raw.sendall(b"*3\r\n$4\r\nAUTH\r\n$6\r\nbackup\r\n$%d\r\n%s\r\n" % (len(password), password))
        assert raw.recv(100) == b"+OK\r\n"
        raw.sendall(b"PSYNC ? -1\r\n")
        output = b""
        while b"\n$" not in output and (heard := raw.recv(65536)):
            output += heard.lstrip(b"\n")
    assert output.startswith(b"+FULLRESYNC"), output
    assert b"\n$" in output


def test_the_configuration_is_the_declared_one(clients: dict[str, Any]) -> None:
    assert clients["archiver"].config_get(*CONFIG) == dict(CONFIG)


def test_without_a_password_the_server_does_not_start(tmp_path: Path) -> None:
    given = secrets(tmp_path / "secrets")
    (given / "redis_trader").write_text("\n")
    env = {"SECRETS": str(given), "USERS_TEMPLATE": str(DEPLOY / "users.acl"), "USERS": str(tmp_path / "users.acl")}
    env |= {"SERVER": "/bin/true", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["/bin/sh", str(DEPLOY / "entrypoint.sh")], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "the password of the Redis user trader is missing" in done.stderr
    assert "secret" not in done.stderr.replace("secrets", "")


def test_no_password_is_in_the_file_of_users(place: str, tmp_path: Path) -> None:
    given = secrets(tmp_path / "secrets")
    env = {"SECRETS": str(given), "USERS_TEMPLATE": str(DEPLOY / "users.acl"), "USERS": str(tmp_path / "users.acl")}
    env |= {"SERVER": "/bin/true", "PATH": "/usr/bin:/bin"}
    subprocess.run(["/bin/sh", str(DEPLOY / "entrypoint.sh")], env=env, check=True)
    made = tmp_path / "users.acl"
    assert "secret" not in made.read_text()
    assert "{" not in made.read_text()
    assert made.stat().st_mode & 0o077 == 0


def test_a_password_file_makes_the_url(place: str, tmp_path: Path) -> None:
    file = secrets(tmp_path / "secrets") / "redis_feed"
    settings = Settings.from_env({REDIS_URL: f"redis://feed@{place}/0", password_file(REDIS_URL): str(file)})
    with closing(LiveStore.from_url(settings.require_redis_url())) as store:
        assert store.client.ping()
    assert "secret" not in repr(settings)


def _url(place: str, user: str) -> str:
    return f"redis://{user}:{quote(f'{user}/&:@ %secret', safe='')}@{place}/0"


def _refused(client: Any, command: str) -> bool:
    try:
        client.execute_command(*command.split(" "))
    except redis.exceptions.NoPermissionError:
        return True
    except redis.ResponseError as error:
        return "ACL failure" in str(error) or "can't run this command" in str(error)
    return False
