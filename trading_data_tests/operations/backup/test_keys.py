"""Snapshots and keys between servers of every kind: both forms of a snapshot, refusals, copies packed and by meaning, a cluster."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

import pytest

from trading_data.errors import BackupError, Refused
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.operations.backup import keys
from trading_data.operations.backup.create import create_redis_backup
from trading_data.operations.backup.redis_restore import copy_keys
from trading_data.operations.backup.redis_sync import snapshot
from trading_data.operations.backup.scratch_server import scratch_server
from trading_data_tests.live.servers import Cluster, Node, folder
from trading_data_tests.operations.backup.states import DELAY


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with folder() as path, closing(Node(path, f"--{DELAY}", "0")) as made:
        yield made


def write_all_types(client: Any, names: str = "abc") -> None:
    for name in names:
        client.set(f"cache:x:{name}", b"\x00\xff" * 50, px=90_000_000)
        client.set(f"gone:{name}", "soon", px=1)
        client.hset(f"positions:active:{name}", mapping={"quantity": "1", b"\xff": b"\xfe", "many": "x" * 1000})
        client.sadd(f"set:{name}", *range(700), b"\xff\x00")
        client.zadd(f"zset:{name}", {f"m{at}": at / 3 for at in range(300)} | {"inf": float("inf"), "tiny": 5e-324})
        client.rpush(f"list:{name}", *range(300))
        for at in range(5):
            client.xadd(f"journal:price:{name}", {"open": at, b"\xff": "odd"}, id=f"{at + 1}-7")
        client.xdel(f"journal:price:{name}", "5-7")
        client.xadd(f"journal:empty:{name}", {"a": 1}, id="9-9")
        client.xtrim(f"journal:empty:{name}", maxlen=0)


def write(data: bytes, file: IO[bytes]) -> None:
    file.write(data)


def of_node(node: Node, through_disk: bool) -> Iterator[bytes]:
    with snapshot(node.url, through_disk=through_disk) as found:
        assert bool(found._mark) is not through_disk
        while data := found.read(1000):
            yield data


@pytest.mark.parametrize("through_disk", [False, True])
def test_both_forms_of_a_snapshot(node: Node, through_disk: bool) -> None:
    node.client.flushall()
    write_all_types(node.client)
    whole = b"".join(of_node(node, through_disk))
    assert whole.startswith((b"VALKEY", b"REDIS"))
    node.client.set("written", "later")

    with closing(connect_for_archiver(node.url)) as client, scratch_server(partial(write, whole)) as loaded:
        node.client.delete("written")
        assert keys.account(loaded) == keys.account(client)
        assert keys.keys_of(keys.account(loaded)) == 21


def test_a_snapshot_that_no_server_can_read_is_refused_with_the_reason() -> None:
    def fill(file: IO[bytes]) -> None:
        file.write(b"REDIS9999" + b"\0" * 99)

    with pytest.raises(Refused, match="no server program here can read"), scratch_server(fill):
        pass


def test_a_user_that_may_not_is_told_what_it_needs(node: Node) -> None:
    node.client.execute_command("ACL SETUSER poor on >secret ~* +@all -sync -psync")
    url = node.url.replace("redis://", "redis://poor:secret@")
    with pytest.raises(BackupError, match=r"NOPERM.*\+psync \+replconf \+sync") as error, snapshot(url):
        pass
    assert "secret" not in str(error.value)
    node.client.execute_command("ACL SETUSER poor resetkeys -@all +ping +select +sync +psync +replconf")
    with snapshot(url) as found:
        assert found.read(100)


def read_all(url: str) -> None:
    with snapshot(url) as found:
        while found.read():
            pass


SENT = [b"$100\r\nREDIS0011", b"$EOF:" + b"a" * 40 + b"\r\nREDIS0011" + b"x" * 90, b"\n\n", b"$9\r\nnonsense!"]


@pytest.mark.parametrize("sent", SENT)
def test_a_server_that_breaks_off_is_an_error(sent: bytes) -> None:
    """No server can be told to break off in the middle, so bytes come from a socket."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with suppress(OSError):
            client, _ = listener.accept()
            with closing(client):
                while data := client.recv(65536):
                    client.sendall(b"+OK\r\n" * data.count(b"*") if b"SYNC" not in data else sent)
                    if b"SYNC" in data:
                        return

    thread = threading.Thread(target=answer)
    thread.start()
    with closing(listener), pytest.raises(BackupError, match="did not send its whole snapshot"):
        read_all(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
    thread.join()


@pytest.mark.parametrize("packed", [True, False])
def test_copies_are_equal_packed_or_by_meaning(packed: bool) -> None:
    with scratch_server() as source, scratch_server() as into:
        write_all_types(source)
        assert copy_keys(source, into, packed=packed) >= 21
        wanted, found = keys.account(source), keys.account(into)
        assert found == wanted
        assert keys.differences(wanted, found, 0) == []
        changing: Any = into
        changing.execute_command("XADD", "journal:price:a", "99-1", "open", "1")
        changing.execute_command("SREM", "set:b", 5)
        changing.execute_command("SET", "cache:x:c", "other", "KEEPTTL")
        lines = keys.differences(wanted, keys.account(into), 0)
        assert len(lines) == 4
        assert any("journal:price:a holds 5 entries" in line for line in lines)
        # What may have expired since is not compared.
        hour = max(int(at) for hours in wanted["expiring"].values() for at in hours)
        assert len(keys.differences(wanted, keys.account(into), (hour + 1) * 3_600_000)) == 3


def test_a_cluster_comes_back_into_another_kind_of_server(tmp_path: Path) -> None:
    with folder() as path, closing(Cluster(path)) as cluster, closing(connect_for_archiver(cluster.url)) as client:
        for one in cluster.nodes:
            one.client.config_set(DELAY, 0)
        write_all_types(client, "abcdefgh")
        half = create_redis_backup(str(tmp_path / "backups"), client, Intake(str(tmp_path / "intake")), "test")
        assert len(half.redis["nodes"]) == 3
        wanted = half.redis["account"]
        assert keys.keys_of(wanted) == 56
        with scratch_server() as single:
            for node in half.redis["nodes"]:
                data = (tmp_path / "backups" / half.name / node["file"]).read_bytes()
                with scratch_server(partial(write, data)) as source:
                    copy_keys(source, single)
            assert keys.differences(wanted, keys.account(single), 0) == []
            for one in cluster.nodes:
                one.client.flushall()
            copy_keys(single, client)
            assert keys.differences(wanted, keys.account(client), 0) == []
