"""What Redis refuses is told as what it is, with a command that helps; provoked on a real server."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from trading_data.errors import LiveTierError
from trading_data.live.connection import connect, live_errors
from trading_data.live.refusals import REFUSALS
from trading_data.operations.health.collect import away_finding
from trading_data.operations.health.rules import LIVE_AWAY, LIVE_REFUSES
from trading_data_tests.live.servers import Node


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A server of the test's own."""
    made = Node(tmp_path / "valkey")
    yield made
    made.close()


def refusal(url: str, *words: str) -> LiveTierError:
    with closing(connect(url, retries=0)) as client, pytest.raises(LiveTierError) as caught, live_errors(client):
        cast(Any, client).execute_command(*words)
    return caught.value


def check(error: LiveTierError, code: str) -> None:
    assert REFUSALS[code].problem in str(error)
    assert "does not answer" not in str(error)
    found = away_finding("redis", error)
    assert (found.key, found.command) == (LIVE_REFUSES.key, REFUSALS[code].command)


def test_a_user_that_may_not_or_is_not_known(node: Node) -> None:
    node.client.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+get", "+client")
    url = node.url.replace("redis://", "redis://reader:secret@")
    check(refusal(url, "SET", "a", "b"), "NOPERM")
    check(refusal(url.replace("secret", "wrong"), "GET", "a"), "NOAUTH")
    node.client.config_set("requirepass", "secret")
    check(refusal(node.url, "GET", "a"), "NOAUTH")


def test_a_replica(node: Node) -> None:
    node.client.execute_command("REPLICAOF", "127.0.0.1", "1")
    check(refusal(node.url, "SET", "a", "b"), "READONLY")
    node.client.config_set("replica-serve-stale-data", "no")
    check(refusal(node.url, "GET", "a"), "MASTERDOWN")


def test_too_few_replicas_and_too_many_clients(node: Node) -> None:
    node.client.config_set("min-replicas-to-write", 1)
    check(refusal(node.url, "SET", "a", "b"), "NOREPLICAS")
    node.client.config_set("min-replicas-to-write", 0)
    node.client.config_set("maxclients", 1)
    check(refusal(node.url, "GET", "a"), "MAXCLIENTS")


@pytest.mark.parametrize("code", sorted({*REFUSALS} - {"OOM", "MAXCLIENTS"}))
def test_every_code_of_the_table(node: Node, code: str) -> None:
    """What cannot be brought about here, such as a disk that fails, is answered by a script on the server."""
    check(refusal(node.url, "EVAL", f"return redis.error_reply('{code} as it is')", "0"), code)


def test_an_unknown_code_is_a_command_that_was_refused(node: Node) -> None:
    node.client.set("a", "b")
    error = refusal(node.url, "XLEN", "a")
    assert "refused a command (WRONGTYPE" in str(error)
    assert away_finding("redis", error).key == LIVE_REFUSES.key


def test_only_a_server_that_is_not_there_does_not_answer() -> None:
    error = refusal("redis://127.0.0.1:1/0", "PING")
    assert "does not answer" in str(error)
    assert away_finding("redis", error).key == LIVE_AWAY.key
    assert issubclass(redis.exceptions.AuthenticationError, redis.exceptions.ConnectionError)  # why classes come first
