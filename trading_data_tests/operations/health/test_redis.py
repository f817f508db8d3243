"""Each threshold of the live tier, crossed on a real server and cleared again; what a server does not offer."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pytest
import redis

from trading_data.errors import LiveTierError
from trading_data.live.connection import connect, connect_for_archiver
from trading_data.operations.health.metric import Figures
from trading_data.operations.health.pipeline import MEMORY_USED, memory_forecast
from trading_data.operations.health.redis import measure_redis
from trading_data.operations.health.rules import FLOW, REDIS
from trading_data.operations.health.thresholds import ERROR, WARN, Finding, judge
from trading_data_tests.live.servers import Cluster, Node, folder, wait


def keys(client: Any) -> dict[str, str]:
    return {one.key: one.severity for one in judge(REDIS, measure_redis(client))}


@contextmanager
def setting(node: Node, **values: str) -> Iterator[None]:
    """The server with other settings, and then as it was."""
    names = {name: name.replace("_", "-") for name in values}
    before = {name: node.client.config_get(names[name])[names[name]] for name in values}
    for name, value in values.items():
        node.client.config_set(names[name], value)
    try:
        yield
    finally:
        for name, value in before.items():
            _set(node, names[name], value)


def _set(node: Node, name: str, value: str) -> None:
    """Set, again and again: the server cannot always bind at once to what it listened at a moment ago."""
    for attempt in range(40):
        try:
            node.client.config_set(name, value)
        except redis.ResponseError:
            if attempt == 39:
                raise
            time.sleep(0.25)
        else:
            return


def test_a_server_as_declared_has_nothing_wrong(own: Node) -> None:
    found = measure_redis(own.client)
    assert judge(REDIS, found) == []
    assert found.value("redis.memory.limit") == 100 * 2**20
    assert 0 < (found.value("redis.round_trip") or 0) < 60
    assert (found.value("redis.aof.on"), found.value("redis.rdb.ok"), found.value("redis.loading")) == (1, 1, 0)
    assert found.texts["live tier"][0].startswith("Valkey ")
    assert any(line.startswith("ping: 99 % within") for line in found.texts["slowest commands"])
    by_name = {one.name: one for one in found}
    assert by_name["redis.replica.lag"].not_offered == "there is no replica"
    assert by_name["redis.memory.fragmentation"].not_offered == "too little memory is in use to judge it"


@pytest.mark.parametrize(
    ("settings", "key", "severity"),
    [
        ({"maxmemory": "0"}, "redis_no_limit", WARN),
        ({"maxmemory_policy": "allkeys-lru"}, "redis_policy", ERROR),
        ({"appendonly": "no"}, "redis_append_only", ERROR),
        ({"appendfsync": "no"}, "redis_fsync", ERROR),
        ({"protected_mode": "no", "bind": "127.0.0.1 -::*"}, "redis_exposed", ERROR),
    ],
)
def test_a_setting_that_is_not_the_declared_one(own: Node, settings: dict[str, str], key: str, severity: str) -> None:
    with setting(own, **settings):
        assert keys(own.client) == {key: severity}
    wait(lambda: keys(own.client) == {})


def test_a_password_or_protected_mode_closes_what_listens_everywhere(own: Node) -> None:
    with setting(own, bind="127.0.0.1 -::*"):
        assert keys(own.client) == {}
    guarded = setting(own, bind="127.0.0.1 -::*", protected_mode="no", requirepass="secret")
    with guarded, closing(redis.Redis(port=own.port, password="secret")) as client:
        assert keys(client) == {}
        assert "secret" not in str(measure_redis(client))


@pytest.mark.parametrize(("share", "severity"), [(0.8, WARN), (0.95, ERROR)])
def test_memory_that_gets_tight_is_one_finding_told_by_its_worst(own: Node, share: float, severity: str) -> None:
    used = own.client.info("memory")["used_memory"]
    with setting(own, maxmemory=str(int(used / share))):
        assert keys(own.client) == {"redis_memory": severity}
    assert keys(own.client) == {}


def growing(own: Node, slope: float) -> Figures:
    """The forecast when memory grew by so many bytes a second in the last four minutes."""
    used, (seconds, _) = own.client.info("memory")["used_memory"], own.client.time()
    own.client.delete("journal:metrics")
    for ago in (240, 180, 120, 60):
        fields = {"metric_name": MEMORY_USED, "value": str(used - slope * ago), "unit": "bytes"}
        own.client.xadd("journal:metrics", fields, id=f"{(seconds - ago) * 1000}-0")
    return memory_forecast(own.client)


@pytest.mark.parametrize(("seconds", "severities"), [(300, [ERROR]), (1800, [WARN]), (20_000, [])])
def test_memory_that_is_full_soon(own: Node, seconds: float, severities: list[str]) -> None:
    room = own.client.config_get("maxmemory")["maxmemory"]
    left = int(room) - own.client.info("memory")["used_memory"]
    found = judge(FLOW, growing(own, left / seconds))
    assert [(one.key, one.severity) for one in found] == [("memory_full_soon", severity) for severity in severities]
    for one in found:
        assert one.time_to_impact == one.value == pytest.approx(seconds, rel=0.2)
    own.client.delete("journal:metrics")


def test_no_forecast_without_growth_readings_or_a_limit(own: Node) -> None:
    def why() -> str:
        (figure,) = memory_forecast(own.client)
        assert figure.value is None
        return figure.not_offered

    assert why().startswith("fewer than 3 readings")
    growing(own, -1000.0)
    assert why() == "memory does not grow"
    own.client.delete("journal:metrics")
    own.client.set("journal:metrics", "another type")
    assert why().startswith("fewer than 3 readings")
    with setting(own, maxmemory="0"):
        assert why() == "no maxmemory is set"
    own.client.delete("journal:metrics")


def test_both_kinds_of_client_read_the_same_forecast(own: Node) -> None:
    growing(own, 10_000.0)
    with closing(connect(own.url)) as one, closing(connect_for_archiver(own.url)) as other:
        (first,), (second,) = memory_forecast(one), memory_forecast(other)
    assert first.value == pytest.approx(second.value, rel=0.05)
    own.client.delete("journal:metrics")


def test_a_snapshot_that_fails(own: Node) -> None:
    taken = own.path / "dump.rdb"
    taken.unlink(missing_ok=True)
    (taken / "x").mkdir(parents=True)
    own.client.bgsave()
    wait(lambda: keys(own.client) == {"redis_save_failed": WARN})
    (taken / "x").rmdir()
    taken.rmdir()
    own.client.bgsave()
    wait(lambda: keys(own.client) == {})


def test_clients_that_take_all_connections(own: Node) -> None:
    held = []
    before = own.client.info("clients")["connected_clients"]
    with setting(own, maxclients=str(before + 10)):
        for wanted in (WARN, ERROR):
            while keys(own.client) != {"redis_clients": wanted}:
                held.append(redis.Redis(port=own.port))
                held[-1].ping()
                assert len(held) < 11
        for client in held:
            client.close()
        wait(lambda: keys(own.client) == {})


def test_what_a_user_may_not_ask_is_not_offered(own: Node) -> None:
    own.client.acl_setuser("looker", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-config", "-latency"])
    with closing(redis.Redis(port=own.port, username="looker", password="any")) as client:
        found = measure_redis(client)
    by_name = {one.name: one for one in found}
    for name, command in {
        "redis.config.fsync": "CONFIG",
        "redis.config.closed": "CONFIG",
        "redis.latency.p99": "LATENCY",
        "redis.latency.worst_event": "LATENCY",
    }.items():
        assert by_name[name].value is None
        assert command in by_name[name].not_offered
    assert judge(REDIS, found) == []
    own.client.acl_deluser("looker")


def test_a_server_that_is_away_is_an_error() -> None:
    with closing(connect("redis://127.0.0.1:1/0", timeout=1, retries=0)) as client:
        for measure in (measure_redis, memory_forecast):
            with pytest.raises(LiveTierError, match="does not answer"):
                measure(client)


def test_a_cluster_is_measured_node_by_node() -> None:
    with folder() as path, closing(Cluster(path)) as cluster, closing(connect(cluster.url)) as client:
        ports = [node.port for node in cluster.nodes]
        full = cluster.nodes[1]
        full.client.config_set("maxmemory", int(full.client.info("memory")["used_memory"] / 0.95))
        found = measure_redis(client)
        addresses = {one.subject for one in found.named("redis.memory.used")}
        assert addresses == {f"127.0.0.1:{port}" for port in ports}
        told = judge(REDIS, found)
        assert subject(told, "redis_memory") == [f"127.0.0.1:{full.port}"]
        assert f"live tier 127.0.0.1:{full.port} uses" in told[0].message
        assert len(memory_forecast(client).figures) == 3


def subject(found: Sequence[Finding], key: str) -> list[str]:
    return [one.subject for one in found if one.key.partition(".")[0] == key]
