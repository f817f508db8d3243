"""What is exported: every figure by its name, with its unit and a line of help.

Belongs here: names and words. Does not: values (`collector`).
"""

from dataclasses import dataclass

PREFIX = "trading_data"
_SUFFIX = {"bytes": "bytes", "s": "seconds", "ratio": "ratio", "per s": "per_second", "count": ""}


@dataclass(frozen=True)
class Family:
    """A figure's unit and what it says."""

    unit: str
    help: str


FAMILIES: dict[str, Family] = {
    "redis.memory.used": Family("bytes", "Memory that the live tier uses"),
    "redis.memory.limit": Family("bytes", "The live tier's maxmemory; 0 where none is set"),
    "redis.memory.ratio": Family("ratio", "Used share of the live tier's memory limit"),
    "redis.memory.resident": Family("bytes", "Memory that the system gives the live tier"),
    "redis.memory.fragmentation": Family("ratio", "Resident memory by used memory"),
    "redis.keys": Family("count", "Keys in all databases"),
    "redis.keys.evictable": Family("count", "Keys with a lifetime: the only ones that volatile-lru may evict"),
    "redis.hits": Family("ratio", "Share of lookups that found their key, since the server's start"),
    "redis.evicted": Family("count", "Keys evicted for want of memory, since the server's start"),
    "redis.expired": Family("count", "Keys whose lifetime ended, since the server's start"),
    "redis.commands": Family("per s", "Commands at this moment"),
    "redis.error_replies": Family("count", "Errors answered, since the server's start"),
    "redis.uptime": Family("s", "Time since the server's start"),
    "redis.clients": Family("count", "Connections that are open"),
    "redis.clients.ratio": Family("ratio", "Open connections by maxclients"),
    "redis.clients.blocked": Family("count", "Clients that wait in a blocking command"),
    "redis.clients.rejected": Family("count", "Connections refused because of maxclients, since the server's start"),
    "redis.aof.on": Family("count", "1 where there is an append-only file"),
    "redis.aof.write_ok": Family("count", "1 where its last write succeeded"),
    "redis.aof.rewrite_ok": Family("count", "1 where its last rewrite succeeded"),
    "redis.aof.rewriting": Family("count", "1 while it is rewritten"),
    "redis.aof.size": Family("bytes", "Size of the append-only file"),
    "redis.aof.delayed_syncs": Family("count", "Syncs of it that had to wait, since the server's start"),
    "redis.rdb.ok": Family("count", "1 where the last BGSAVE succeeded"),
    "redis.rdb.age": Family("s", "Time since the last save to an RDB file"),
    "redis.rdb.changes": Family("count", "Changes since that save"),
    "redis.loading": Family("count", "1 while the server loads its data"),
    "redis.replicas": Family("count", "Replicas that are connected"),
    "redis.replica.lag": Family("s", "How far the slowest replica is behind, or this one if it is a replica"),
    "redis.config.policy": Family("count", "1 where maxmemory-policy is the declared one"),
    "redis.config.fsync": Family("count", "1 where appendfsync is a declared one"),
    "redis.config.closed": Family("count", "0 where everybody may connect without a password"),
    "redis.round_trip": Family("s", "A PING there and back, the median of five"),
    "redis.latency.worst_event": Family("s", "The worst event of LATENCY LATEST"),
    "redis.latency.p99": Family("s", "99 of 100 commands took less, since the server's start"),
    "timescale.database.bytes": Family("bytes", "Size of the archive's database"),
    "timescale.disk.free": Family("bytes", "Free space on the archive's disk"),
    "timescale.disk.free_ratio": Family("ratio", "Free share of the archive's disk"),
    "timescale.connections": Family("count", "Sessions of clients"),
    "timescale.connections.ratio": Family("ratio", "Sessions of clients by max_connections"),
    "timescale.transactions.longest": Family("s", "Age of the longest open transaction"),
    "timescale.transactions.idle": Family("count", "Sessions that are idle in a transaction"),
    "timescale.locks.waiting": Family("count", "Locks that are waited for"),
    "timescale.locks.longest_wait": Family("s", "The longest of these waits"),
    "timescale.cache.hits": Family("ratio", "Share of pages found in memory"),
    "timescale.deadlocks": Family("count", "Deadlocks since the statistics began"),
    "timescale.rollbacks": Family("count", "Transactions rolled back since the statistics began"),
    "timescale.temporary": Family("bytes", "Temporary files since the statistics began"),
    "timescale.oldest_transaction": Family("count", "Age of the oldest transaction remembered, in transactions"),
    "timescale.replicas": Family("count", "Replicas that are connected"),
    "timescale.replica.lag": Family("s", "How far the slowest replica is behind, or this one if it is a replica"),
    "timescale.replica.behind": Family("bytes", "Log that the slowest replica has not replayed"),
    "timescale.log.failing": Family("count", "1 where the last attempt to archive the log failed"),
    "timescale.log.age": Family("s", "Time since a file of the log was archived"),
    "timescale.statements.slowest": Family("s", "Mean time of the slowest statement that is often asked"),
    "timescale.chunks": Family("count", "Chunks of a hypertable"),
    "timescale.chunks.compressed": Family("count", "Chunks that are compressed"),
    "timescale.chunks.overdue": Family("count", "Chunks that should be compressed by now and are not"),
    "timescale.table.compression": Family("ratio", "Bytes before compression by bytes after it"),
    "timescale.table.index_scans": Family("ratio", "Share of scans that used an index"),
    "timescale.table.dead_rows": Family("ratio", "Share of rows that are dead"),
    "timescale.table.bytes": Family("bytes", "What a hypertable takes on disk"),
    "timescale.table.index_bytes": Family("bytes", "What its indexes take of that"),
    "flow.journal.count": Family("count", "Journals of a dataset"),
    "flow.journal.length": Family("count", "Entries in its journals"),
    "flow.journal.undrained": Family("count", "Entries that are not in the intake yet"),
    "flow.journal.unarchived": Family("count", "Entries that are not in the archive yet"),
    "flow.journal.oldest": Family("s", "Age of the oldest entry that is not in the archive"),
    "flow.journal.bytes": Family("bytes", "Memory that its journals take, by a sample"),
    "flow.journal.lost": Family("count", "Entries, and ranges of them, that are nowhere and not acknowledged"),
    "flow.batches.waiting": Family("count", "Batches that wait in the intake"),
    "flow.batches.oldest": Family("s", "How long the oldest of them waits"),
    "flow.batches.damaged": Family("count", "Those of them that cannot be read"),
    "flow.quarantine.waiting": Family("count", "Rejected entries that wait for a decision"),
    "flow.archived.age": Family("s", "Age of the newest archived row"),
    "flow.archived.stale": Family(
        "s", "The part of that age that counts: while the market is open, where it has hours"
    ),
    "flow.refreshes.waiting": Family("count", "Ranges whose aggregates are yet to be refreshed"),
    "flow.refreshes.oldest": Family("s", "How long the oldest of them waits"),
    "flow.memory.full_in": Family("s", "Time until the live tier's memory is full, while it grows"),
}
UP, FINDINGS, TOOK = f"{PREFIX}_up", f"{PREFIX}_finding", f"{PREFIX}_measuring_seconds"
OTHERS = {
    UP: "1 where a tier (redis, timescale, flow) could be measured",
    FINDINGS: "1 for each finding there is now, by its key",
    TOOK: "How long the last measurement took",
}


def exported_name(figure: str, unit: str) -> str:
    """The name of a figure's family: `redis.memory.used` in bytes is `trading_data_redis_memory_used_bytes`."""
    name = "_".join([PREFIX, *figure.split(".")])
    suffix = _SUFFIX[unit]
    return name if not suffix or name.endswith(f"_{suffix}") else f"{name}_{suffix}"
