"""Health of the live tier: memory, persistence, clients, latency, replication, and its settings against the declared ones.

Belongs here: measuring one server, or each primary of a cluster. Does not: journals (`flow`), and judging.
"""

import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any, cast

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from trading_data.live.connection import Client, live_errors
from trading_data.live.journal import text
from trading_data.live.writes import is_cluster
from trading_data.operations.health.metric import Figures, Metric

POLICY = "volatile-lru"
FSYNC = ("everysec", "always")
ENOUGH_BYTES = 64_000_000
"""Less memory in use says nothing about fragmentation."""
ENOUGH_LOOKUPS = 1_000
"""Fewer lookups say nothing about hits."""
_PINGS = 5
_SETTINGS = ("appendfsync", "bind", "protected-mode", "requirepass")
_SHOWN = 8
_ANYWHERE = ("*", "-*", "0.0.0.0", "::", "-::", "-::*", "::*")  # noqa: S104 - compared, not bound


def measure_redis(client: Client) -> Figures:
    """The figures of the live tier; in a cluster those of each primary, `subject` its address. Some ten commands a server.

    Raises:
        LiveTierError: a server does not answer.
    """
    figures: list[Metric] = []
    texts: dict[str, tuple[str, ...]] = {}
    with live_errors(client):
        for subject, server in servers(client):
            info = cast(dict[str, Any], server.info())
            settings, why = _settings(server)
            slow, slowest = _latency(server, subject)
            figures += [
                *_memory(info, subject),
                *_traffic(info, subject),
                *_clients(info, subject),
                *_persistence(info, subject),
                *_replication(info, subject),
                *_declared(info, settings, why, _exposed(settings) and _needs_no_password(server), subject),
                Metric("redis.round_trip", _round_trip(server), "s", subject),
                *slow,
            ]
            head = f" of {subject}" if subject else ""
            texts[f"live tier{head}"] = (_version(info), *_description(info, settings, why))
            if slowest:
                texts[f"slowest commands{head}"] = slowest
    return Figures(tuple(figures), texts)


def servers(client: Any) -> Iterator[tuple[str, Any]]:
    """Each server that takes writes, with its address in a cluster; empty for a single server."""
    if not is_cluster(client):
        yield "", client
        return
    for node in client.get_primaries():
        yield f"{node.host}:{node.port}", client.get_redis_connection(node)


def _memory(info: Mapping[str, Any], subject: str) -> Iterator[Metric]:
    used, limit = int(info["used_memory"]), int(info.get("maxmemory", 0))
    yield Metric("redis.memory.used", used, "bytes", subject)
    yield Metric("redis.memory.limit", limit, "bytes", subject)
    if limit:
        yield Metric("redis.memory.ratio", used / limit, "ratio", subject)
    else:
        yield Metric("redis.memory.ratio", None, "ratio", subject, "no maxmemory is set")
    yield _from_info(info, "used_memory_rss", "redis.memory.resident", "bytes", subject)
    if used < ENOUGH_BYTES:
        yield Metric("redis.memory.fragmentation", None, "ratio", subject, "too little memory is in use to judge it")
    else:
        yield _from_info(info, "mem_fragmentation_ratio", "redis.memory.fragmentation", "ratio", subject)
    databases = [database for name, database in info.items() if name.startswith("db") and isinstance(database, dict)]
    yield Metric("redis.keys", sum(int(database["keys"]) for database in databases), "count", subject)
    yield Metric("redis.keys.evictable", sum(int(database["expires"]) for database in databases), "count", subject)


def _traffic(info: Mapping[str, Any], subject: str) -> Iterator[Metric]:
    hits, misses = int(info.get("keyspace_hits", 0)), int(info.get("keyspace_misses", 0))
    if hits + misses < ENOUGH_LOOKUPS:
        yield Metric("redis.hits", None, "ratio", subject, f"fewer than {ENOUGH_LOOKUPS} lookups since its start")
    else:
        yield Metric("redis.hits", hits / (hits + misses), "ratio", subject)
    yield _from_info(info, "evicted_keys", "redis.evicted", "count", subject)
    yield _from_info(info, "expired_keys", "redis.expired", "count", subject)
    yield _from_info(info, "instantaneous_ops_per_sec", "redis.commands", "per s", subject)
    yield _from_info(info, "total_error_replies", "redis.error_replies", "count", subject)
    yield _from_info(info, "uptime_in_seconds", "redis.uptime", "s", subject)


def _clients(info: Mapping[str, Any], subject: str) -> Iterator[Metric]:
    connected, most = int(info["connected_clients"]), int(info.get("maxclients", 0))
    yield Metric("redis.clients", connected, "count", subject)
    if most:
        yield Metric("redis.clients.ratio", connected / most, "ratio", subject)
    else:
        yield Metric("redis.clients.ratio", None, "ratio", subject, "INFO has no maxclients")
    yield _from_info(info, "blocked_clients", "redis.clients.blocked", "count", subject)
    yield _from_info(info, "rejected_connections", "redis.clients.rejected", "count", subject)


def _persistence(info: Mapping[str, Any], subject: str) -> Iterator[Metric]:
    appends = bool(int(info.get("aof_enabled", 0)))
    yield Metric("redis.aof.on", float(appends), "count", subject)
    off = "" if appends else "there is no append-only file"
    for name, field in (
        ("redis.aof.write_ok", "aof_last_write_status"),
        ("redis.aof.rewrite_ok", "aof_last_bgrewrite_status"),
    ):
        yield Metric(name, None if off else float(info.get(field) == "ok"), "count", subject, off)
    for name, field, unit in (
        ("redis.aof.rewriting", "aof_rewrite_in_progress", "count"),
        ("redis.aof.size", "aof_current_size", "bytes"),
        ("redis.aof.delayed_syncs", "aof_delayed_fsync", "count"),
    ):
        yield Metric(name, None, unit, subject, off) if off else _from_info(info, field, name, unit, subject)
    yield Metric("redis.rdb.ok", float(info.get("rdb_last_bgsave_status") == "ok"), "count", subject)
    yield Metric("redis.rdb.age", max(0.0, time.time() - int(info["rdb_last_save_time"])), "s", subject)
    yield _from_info(info, "rdb_changes_since_last_save", "redis.rdb.changes", "count", subject)
    yield _from_info(info, "loading", "redis.loading", "count", subject)


def _replication(info: Mapping[str, Any], subject: str) -> Iterator[Metric]:
    replicas = [replica for name, replica in info.items() if name.startswith("slave") and isinstance(replica, dict)]
    yield Metric("redis.replicas", len(replicas), "count", subject)
    if info.get("role") in ("slave", "replica"):
        up = info.get("master_link_status") == "up"
        field = "master_last_io_seconds_ago" if up else "master_link_down_since_seconds"
        yield _from_info(info, field, "redis.replica.lag", "s", subject)
    elif replicas:
        yield Metric("redis.replica.lag", max(float(replica.get("lag", 0)) for replica in replicas), "s", subject)
    else:
        yield Metric("redis.replica.lag", None, "s", subject, "there is no replica")


def _settings(server: Any) -> tuple[dict[str, str], str]:
    """The settings by CONFIG GET, or the reason why it is refused."""
    try:
        return {name: str(value) for name, value in server.config_get(*_SETTINGS).items()}, ""
    except RedisConnectionError:
        raise
    except RedisError as error:
        return {}, f"CONFIG GET is refused: {error}"


def _declared(
    info: Mapping[str, Any], settings: Mapping[str, str], why: str, open_to_all: bool, subject: str
) -> Iterator[Metric]:
    """1 where the server is as declared, else 0."""
    policy = info.get("maxmemory_policy")
    yield Metric("redis.config.policy", float(policy == POLICY), "count", subject)
    if why:
        yield Metric("redis.config.fsync", None, "count", subject, why)
        yield Metric("redis.config.closed", None, "count", subject, why)
        return
    yield Metric("redis.config.fsync", float(settings.get("appendfsync") in FSYNC), "count", subject)
    yield Metric("redis.config.closed", float(not open_to_all), "count", subject)


def _needs_no_password(server: Any) -> bool:
    """Whether clients need no password, as far as the server shows it."""
    try:
        flags = server.acl_getuser("default")["flags"]
    except RedisConnectionError:
        raise
    except (RedisError, KeyError, TypeError):
        return True
    return "on" in flags and "nopass" in flags


def _exposed(settings: Mapping[str, str]) -> bool:
    """Whether it accepts connections from every address, without protected mode and password."""
    bound = settings.get("bind", "").split()
    everywhere = not bound or any(address in _ANYWHERE for address in bound)
    return everywhere and settings.get("protected-mode") == "no" and not settings.get("requirepass")


def _round_trip(server: Any) -> float:
    """Seconds a PING takes there and back: the median of five."""
    taken = []
    for _ in range(_PINGS):
        begun = time.perf_counter()
        server.ping()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def _latency(server: Any, subject: str) -> tuple[list[Metric], tuple[str, ...]]:
    """By LATENCY LATEST and LATENCY HISTOGRAM: the worst event, and 99 of 100 commands since the server's start."""
    figures = []
    try:
        events = server.execute_command("LATENCY LATEST")
        worst = max((int(event[2]) for event in events), default=0)
        figures.append(Metric("redis.latency.worst_event", worst / 1e3, "s", subject))
    except RedisConnectionError:
        raise
    except RedisError as error:
        figures.append(Metric("redis.latency.worst_event", None, "s", subject, f"LATENCY LATEST is refused: {error}"))
    try:
        by_command = _histograms(server.execute_command("LATENCY HISTOGRAM"))
    except RedisConnectionError:
        raise
    except RedisError as error:
        why = f"LATENCY HISTOGRAM is refused: {error}"
        return [*figures, Metric("redis.latency.p99", None, "s", subject, why)], ()
    total: dict[int, int] = {}
    for counts in by_command.values():
        for bound, count in counts.items():
            total[bound] = total.get(bound, 0) + count
    if total:
        figures.append(Metric("redis.latency.p99", _quantile(total, 0.99), "s", subject))
    else:
        figures.append(Metric("redis.latency.p99", None, "s", subject, "no command was counted yet"))
    slowest = sorted(by_command, key=lambda name: -_quantile(by_command[name], 0.99))[:_SHOWN]
    return figures, tuple(
        f"{name}: 99 % within {_quantile(by_command[name], 0.99) * 1e3:,.3f} ms, {sum(by_command[name].values()):,} calls"
        for name in slowest
    )


def _histograms(reply: Any) -> dict[str, dict[int, int]]:
    """Command → upper bound in microseconds → calls in that bucket; the reply counts them up from bucket to bucket."""
    histograms = {}
    for command, histogram in _pairs(reply):
        below, counts = 0, {}
        for bound, upto in _pairs({_text(name): value for name, value in _pairs(histogram)}.get("histogram_usec", {})):
            counts[int(bound)] = int(upto) - below
            below = int(upto)
        if counts:
            histograms[_text(command)] = counts
    return histograms


def _pairs(reply: Any) -> Iterator[tuple[Any, Any]]:
    """The pairs of a map, which is a dict or a flat list, depending on the client's protocol."""
    return iter(reply.items()) if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)


def _text(value: Any) -> str:
    return text(value) if isinstance(value, bytes) else str(value)


def _quantile(counts: Mapping[int, int], share: float) -> float:
    """The upper bound, in seconds, under which that share of the calls lies."""
    wanted, seen = share * sum(counts.values()), 0
    for bound in sorted(counts):
        seen += counts[bound]
        if seen >= wanted:
            return bound / 1e6
    return 0.0


def _from_info(info: Mapping[str, Any], field: str, name: str, unit: str, subject: str) -> Metric:
    value = info.get(field)
    if value is None:
        return Metric(name, None, unit, subject, f"INFO has no {field}")
    return Metric(name, float(value), unit, subject)


def _version(info: Mapping[str, Any]) -> str:
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version', '?')}"


def _description(info: Mapping[str, Any], settings: Mapping[str, str], why: str) -> Iterator[str]:
    yield f"role {info.get('role', '?')}"
    yield f"maxmemory-policy {info.get('maxmemory_policy', '?')}, declared is {POLICY}"
    if why:
        yield why
    for name, value in settings.items():
        if name != "requirepass":
            yield f"{name} {value or '(empty)'}"
