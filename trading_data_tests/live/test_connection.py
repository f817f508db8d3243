"""The forms of a live tier's URL, and what is behind each: a sentinel's master, TLS, a socket."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from trading_data import LiveStore
from trading_data.errors import LiveTierError, SettingError
from trading_data.live.channels import Update
from trading_data.live.connection import address, connect, connect_for_archiver, info_of_each
from trading_data.live.journal import newest_entries
from trading_data.settings import REDIS_URL, Settings, parse, without_password
from trading_data_tests.live.servers import Node, TlsFront, certificate, folder, sentinel
from trading_data_tests.rig import bar


def use(url: str) -> None:
    """Write, read and listen over a URL."""
    with closing(LiveStore.from_url(url)) as store, closing(connect_for_archiver(url)) as archiver:
        with store.subscribe("A") as subscription:
            store.record_prices([bar("A")])
            assert isinstance(subscription.get(timeout=10), Update)
        ((_, fields),) = newest_entries(archiver, ["journal:price:A"], 1)["journal:price:A"]
        assert fields[:2] == [b"timestamp", b"2026-11-20T15:00:00+00:00"]
        assert len(info_of_each(archiver, "memory")) == 1
        assert isinstance(asyncio.run(hear(store)), Update)


async def hear(store: LiveStore) -> object:
    """The same with asyncio."""
    async with store.subscribe_async("A") as subscription:
        store.record_prices([bar("A")])
        return await subscription.get(timeout=10)


@pytest.mark.parametrize(
    ("url", "shown", "of_server"),
    [
        ("redis+cluster://a:1,b", "redis+cluster://a:1,b", "redis://h:7/0"),
        ("rediss+cluster://me:pw@a/?ssl_ca_certs=x", "rediss+cluster://a/", "rediss://me:pw@h:7/0?ssl_ca_certs=x"),
        ("redis+cluster://[::1]:1,[::2]:2/0", "redis+cluster://[::1]:1,[::2]:2/0", "redis://h:7/0"),
        (
            "redis+sentinel://:pw@a:1,b/main/3?sentinel_password=s&ssl=1",
            "redis+sentinel://a:1,b/main/3",
            "redis://:pw@h:7/3?ssl=1",
        ),
    ],
)
def test_a_url_is_taken_apart(url: str, shown: str, of_server: str) -> None:
    where = parse(url)
    assert (where.shown, where.of_server("h", 7)) == (shown, of_server)
    assert Settings.from_env({REDIS_URL: url}).redis_url == url


def test_hosts_have_their_ports() -> None:
    assert parse("redis+cluster://a:1,b").hosts == (("a", 1), ("b", 6379))
    assert parse("redis+sentinel://[::1]:1,b/x").hosts == (("::1", 1), ("b", 26379))
    assert parse("redis+sentinel://a/x?sentinel_username=u&sentinel_password=p%20w").of_sentinels == {
        "username": "u",
        "password": "p w",
    }
    assert parse("redis+cluster://a").of_server("::1", 2) == "redis://[::1]:2/0"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:6379", "must look like redis://host:6379/0"),
        ("redis+cluster://", r"must look like redis\+cluster://host:port"),
        ("redis+cluster://a:b", r"must look like redis\+cluster://host:port"),
        ("redis+cluster://a:1/2", "has database 0 only"),
        ("redis+sentinel://a:1", r"must look like redis\+sentinel://host:port\[,host:port…\]/service\[/db\]"),
        ("redis+sentinel://a:1/x/y", r"/service\[/db\]"),
        ("redis+sentinel://me:secret@a:1/x/0/z", r"/service\[/db\]"),
        ("http://me:secret@a:1/?password=secret", "must look like redis://"),
    ],
)
def test_another_form_is_an_error_that_shows_no_secret(url: str, said: str) -> None:
    with pytest.raises(SettingError, match=said) as caught:
        Settings.from_env({REDIS_URL: url})
    assert REDIS_URL in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(SettingError, match="the live tier's URL must look like"):
        LiveStore.from_url(url)


def test_no_password_is_shown() -> None:
    url = "redis+sentinel://me:s:e@a,b/main?sentinel_password=s:e&ssl_password=s:e&x=1"
    assert without_password(url) == "redis+sentinel://me:***@a,b/main?sentinel_password=***&ssl_password=***&x=1"
    with closing(connect("redis://me:secret@127.0.0.1:1/4?password=secret")) as client:
        assert address(client) == "redis://127.0.0.1:1/4"
        with pytest.raises(LiveTierError, match=r"redis://127\.0\.0\.1:1/4 does not answer") as caught:
            LiveStore(client).record_prices([bar()])
    assert "secret" not in str(caught.value)
    with redis.Redis(port=1, db=2) as client:
        assert address(client) == "redis://localhost:1/2"


def test_a_socket(server: Node) -> None:
    path = server.path / "socket"
    with closing(Node(server.path / "unix", "--unixsocket", str(path))):
        use(f"unix://{path}?db=1")


def test_a_sentinel_knows_the_master(server: Node) -> None:
    with folder() as path, sentinel(path, server, "main") as port:
        url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{port}/main/2"
        use(url)
        with redis.Redis(port=server.port, db=2) as direct:
            assert direct.exists("journal:price:A")
        with closing(connect(url)) as client:
            assert address(client) == url
        with closing(LiveStore.from_url(f"redis+sentinel://127.0.0.1:{port}/other")) as other:
            with pytest.raises(LiveTierError, match=r"/other does not answer \(No master found for 'other'"):
                other.record_prices([bar()])
            with pytest.raises(LiveTierError, match="/other does not answer"):
                other.subscribe("A")


def test_a_sentinel_that_names_another_master_is_followed(server: Node) -> None:
    """The old master is gone and the sentinel knows a new one: writers and listeners go over to it by themselves."""
    with (
        folder() as path,
        closing(Node(path / "first")) as first,
        sentinel(path, first, "main") as port,
        closing(LiveStore.from_url(f"redis+sentinel://127.0.0.1:{port}/main")) as store,
        store.subscribe("A") as subscription,
    ):
        store.record_prices([bar("A")])
        assert isinstance(subscription.get(timeout=10), Update)
        with redis.Redis(port=port) as control:
            control.execute_command("SENTINEL REMOVE", "main")
            control.execute_command("SENTINEL MONITOR", "main", "127.0.0.1", server.port, 1)
        first.kill()
        store.record_prices([bar("A", 1)])
        assert server.client.xlen("journal:price:A") == 1
        missed = subscription.get(timeout=10)
        assert not isinstance(missed, Update)
        assert missed is not None
        assert [update.fields["timestamp"] for update in missed.updates] == ["2026-11-20T15:01:00+00:00"]


@pytest.fixture(scope="module")
def signed() -> Iterator[tuple[Path, Path]]:
    with folder() as path:
        made = certificate(path)
        if made is None:
            pytest.skip("there is no `openssl` on this machine to make a certificate with")
        yield made


@pytest.fixture
def tls(server: Node, signed: tuple[Path, Path]) -> Iterator[TlsFront]:
    with closing(TlsFront(*signed, server.port)) as front:
        yield front


def test_tls_with_a_certificate_that_is_trusted(tls: TlsFront, signed: tuple[Path, Path]) -> None:
    use(f"rediss://127.0.0.1:{tls.port}/0?ssl_ca_certs={signed[0]}")


def test_tls_with_a_certificate_that_is_not_trusted(tls: TlsFront) -> None:
    with (
        closing(LiveStore.from_url(f"rediss://127.0.0.1:{tls.port}/0")) as store,
        pytest.raises(LiveTierError, match=r"does not answer.*(certificate|CERTIFICATE)"),
    ):
        store.record_prices([bar()])


def test_tls_to_the_master_and_its_sentinel(tls: TlsFront, server: Node, signed: tuple[Path, Path]) -> None:
    with folder() as path:
        behind = Node(path / "behind", port=None)
        with closing(behind), sentinel(path, behind, "main") as port, closing(TlsFront(*signed, port)) as front:
            with redis.Redis(port=port) as control:
                control.execute_command("SENTINEL REMOVE", "main")
                control.execute_command("SENTINEL MONITOR", "main", "127.0.0.1", tls.port, 1)
            use(f"rediss+sentinel://127.0.0.1:{front.port}/main?ssl_ca_certs={signed[0]}")
    assert server.client.exists("journal:price:A")
