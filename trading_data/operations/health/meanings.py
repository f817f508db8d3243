"""What every figure means: its unit, a line of help, and the sentence for its number.

Belongs here: words of figures, once, for checks, plots and the exporter. Does not: measuring, and the messages of
thresholds (`rules`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """The words of a figure.

    `help` names what is counted, `1 where …` of a yes or no. `sentence` is formatted with `value`, `subject` (the
    dataset, table or server, empty if there is but one), `about` and `many`, which chooses words by the value; `zero` is the
    sentence for 0, if that is another.
    """

    unit: str
    help: str
    sentence: str
    zero: str = ""


FIGURES: dict[str, Meaning] = {
    "redis.memory.used": Meaning(
        "bytes", "Memory that the live tier uses", "the live tier {subject} uses {value} of memory"
    ),
    "redis.memory.limit": Meaning(
        "bytes",
        "The live tier's maxmemory (0 where none is set)",
        "the live tier {subject} has a memory limit of {value}",
        "the live tier {subject} has no memory limit",
    ),
    "redis.memory.ratio": Meaning(
        "ratio",
        "Used share of the live tier's memory limit",
        "the live tier {subject} uses {value} of its memory limit",
    ),
    "redis.memory.resident": Meaning(
        "bytes",
        "Memory that the system gives the live tier",
        "the live tier {subject} takes {value} of the machine's memory",
    ),
    "redis.memory.fragmentation": Meaning(
        "ratio",
        "Ratio of resident to used memory of the live tier",
        "the live tier {subject} takes {value} of its used memory",
    ),
    "redis.keys": Meaning("count", "Keys in all databases", "the live tier {subject} has {value} {many:key/keys}"),
    "redis.keys.evictable": Meaning(
        "count",
        "Keys with a lifetime, the only ones that volatile-lru may evict",
        "{value} {many:key/keys} of the live tier {subject} {many:has/have} a lifetime",
    ),
    "redis.hits": Meaning(
        "ratio",
        "Share of lookups that found their key, since the server's start",
        "{value} of the lookups in the live tier {subject} found their key",
    ),
    "redis.evicted": Meaning(
        "count",
        "Keys evicted for want of memory, since the server's start",
        "the live tier {subject} has evicted {value} {many:key/keys} for want of memory",
    ),
    "redis.expired": Meaning(
        "count",
        "Keys whose lifetime ended, since the server's start",
        "the lifetime of {value} {many:key/keys} of the live tier {subject} has ended",
    ),
    "redis.commands": Meaning("per s", "Commands at this moment", "commands reach the live tier {subject} at {value}"),
    "redis.error_replies": Meaning(
        "count",
        "Errors answered, since the server's start",
        "the live tier {subject} has answered {value} {many:error/errors}",
    ),
    "redis.uptime": Meaning("s", "Time since the server's start", "the live tier {subject} has been up for {value}"),
    "redis.clients": Meaning(
        "count",
        "Connections that are open",
        "{value} {many:connection/connections} to the live tier {subject} {many:is/are} open",
    ),
    "redis.clients.ratio": Meaning(
        "ratio",
        "Connected share of the live tier's maxclients",
        "{value} of the connections that the live tier {subject} allows are open",
    ),
    "redis.clients.blocked": Meaning(
        "count",
        "Clients that wait in a blocking command",
        "{value} {many:client waits/clients wait} in a blocking command of the live tier {subject}",
    ),
    "redis.clients.rejected": Meaning(
        "count",
        "Connections refused because of maxclients, since the server's start",
        "the live tier {subject} has refused {value} {many:connection/connections} because of maxclients",
    ),
    "redis.aof.on": Meaning(
        "count",
        "1 where there is an append-only file",
        "the live tier {subject} keeps an append-only file",
        "the live tier {subject} keeps no append-only file",
    ),
    "redis.aof.write_ok": Meaning(
        "count",
        "1 where the last write to the append-only file succeeded",
        "the last write to the append-only file of the live tier {subject} succeeded",
        "the last write to the append-only file of the live tier {subject} failed",
    ),
    "redis.aof.rewrite_ok": Meaning(
        "count",
        "1 where the last rewrite of the append-only file succeeded",
        "the last rewrite of the append-only file of the live tier {subject} succeeded",
        "the last rewrite of the append-only file of the live tier {subject} failed",
    ),
    "redis.aof.rewriting": Meaning(
        "count",
        "1 while the append-only file is rewritten",
        "the append-only file of the live tier {subject} is being rewritten",
        "the append-only file of the live tier {subject} is not being rewritten",
    ),
    "redis.aof.size": Meaning(
        "bytes", "Size of the append-only file", "the append-only file of the live tier {subject} has {value}"
    ),
    "redis.aof.delayed_syncs": Meaning(
        "count",
        "Syncs of the append-only file that had to wait, since the server's start",
        "{value} {many:sync/syncs} of the append-only file of the live tier {subject} had to wait",
    ),
    "redis.rdb.ok": Meaning(
        "count",
        "1 where the last BGSAVE succeeded",
        "the last snapshot (BGSAVE) of the live tier {subject} succeeded",
        "the last snapshot (BGSAVE) of the live tier {subject} failed",
    ),
    "redis.rdb.age": Meaning(
        "s", "Time since the last save to an RDB file", "the last snapshot of the live tier {subject} is {value} old"
    ),
    "redis.rdb.changes": Meaning(
        "count",
        "Changes since the last save to an RDB file",
        "the live tier {subject} has had {value} {many:change/changes} since its last snapshot",
    ),
    "redis.loading": Meaning(
        "count",
        "1 while the server loads its data",
        "the live tier {subject} is loading its data",
        "the live tier {subject} has loaded its data",
    ),
    "redis.replicas": Meaning(
        "count",
        "Replicas that are connected",
        "{value} {many:replica/replicas} of the live tier {subject} {many:is/are} connected",
    ),
    "redis.replica.lag": Meaning(
        "s",
        "Time by which the slowest replica is behind (or this one, if it is a replica)",
        "the slowest replica of the live tier {subject} is {value} behind",
    ),
    "redis.config.policy": Meaning(
        "count",
        "1 where maxmemory-policy is the declared one",
        "the live tier {subject} has the declared eviction policy",
        "the live tier {subject} does not have the declared eviction policy",
    ),
    "redis.config.fsync": Meaning(
        "count",
        "1 where appendfsync is a declared one",
        "the live tier {subject} syncs its append-only file as declared",
        "the live tier {subject} does not sync its append-only file as declared",
    ),
    "redis.config.closed": Meaning(
        "count",
        "0 where clients of every address may connect without a password",
        "the live tier {subject} requires a password, or listens to known addresses only",
        "the live tier {subject} accepts connections from every address, without a password",
    ),
    "redis.round_trip": Meaning(
        "s", "Time of a PING there and back (median of five)", "the live tier {subject} takes {value} to answer a PING"
    ),
    "redis.latency.worst_event": Meaning(
        "s", "The worst event of LATENCY LATEST", "the worst latency event of the live tier {subject} took {value}"
    ),
    "redis.latency.p99": Meaning(
        "s",
        "Time that 99 of 100 commands stay below, since the server's start",
        "99 of 100 commands of the live tier {subject} took less than {value}",
    ),
    "timescale.database.bytes": Meaning(
        "bytes", "Size of the archive's database", "the archive's database takes {value}"
    ),
    "timescale.entry_hashes.bytes": Meaning(
        "bytes",
        "Size of the hashes by which archived entries are recognised",
        "the hashes by which archived entries are recognised take {value}",
    ),
    "timescale.disk.free": Meaning(
        "bytes", "Free space on the archive's disk", "{value} of the archive's disk are free"
    ),
    "timescale.disk.free_ratio": Meaning(
        "ratio", "Free share of the archive's disk", "{value} of the archive's disk is free"
    ),
    "timescale.connections": Meaning(
        "count", "Sessions of clients", "{value} {many:client has a session/clients have sessions} in the archive"
    ),
    "timescale.connections.ratio": Meaning(
        "ratio", "Open share of the archive's max_connections", "{value} of the archive's connections are open"
    ),
    "timescale.transactions.longest": Meaning(
        "s", "Age of the longest open transaction", "the longest transaction in the archive is open for {value}"
    ),
    "timescale.transactions.idle": Meaning(
        "count",
        "Sessions that are idle in a transaction",
        "{value} {many:session is/sessions are} idle in a transaction of the archive",
    ),
    "timescale.locks.waiting": Meaning(
        "count", "Locks that are waited for", "{value} {many:session waits/sessions wait} for a lock in the archive"
    ),
    "timescale.locks.longest_wait": Meaning(
        "s", "Longest wait for a lock", "the longest wait for a lock in the archive is {value}"
    ),
    "timescale.cache.hits": Meaning(
        "ratio",
        "Share of the archive's pages that are found in memory",
        "{value} of the archive's pages are found in memory",
    ),
    "timescale.deadlocks": Meaning(
        "count", "Deadlocks since the statistics began", "the archive has seen {value} {many:deadlock/deadlocks}"
    ),
    "timescale.rollbacks": Meaning(
        "count",
        "Transactions rolled back since the statistics began",
        "{value} {many:transaction/transactions} of the archive {many:was/were} rolled back",
    ),
    "timescale.temporary": Meaning(
        "bytes", "Temporary files since the statistics began", "temporary files of the archive took {value}"
    ),
    "timescale.oldest_transaction": Meaning(
        "count",
        "Age of the oldest unfrozen transaction, in transactions",
        "the oldest unfrozen transaction of the archive is {value} {many:transaction/transactions} old",
    ),
    "timescale.replicas": Meaning(
        "count", "Replicas that are connected", "{value} {many:replica/replicas} of the archive {many:is/are} connected"
    ),
    "timescale.replica.lag": Meaning(
        "s",
        "Time by which the slowest replica is behind (or this one, if it is a replica)",
        "the slowest replica of the archive is {value} behind",
    ),
    "timescale.replica.behind": Meaning(
        "bytes",
        "Log that the slowest replica has not replayed",
        "the slowest replica of the archive has {value} of log to replay",
    ),
    "timescale.log.failing": Meaning(
        "count",
        "1 where the last attempt to archive the log failed",
        "the last attempt to archive the archive's log failed",
        "the archive's log is archived",
    ),
    "timescale.log.age": Meaning(
        "s", "Time since a file of the log was archived", "a file of the archive's log was archived {value} ago"
    ),
    "timescale.statements.slowest": Meaning(
        "s",
        "Mean time of the slowest frequent statement",
        "the slowest frequent statement of the archive takes {value} on average",
    ),
    "timescale.chunks": Meaning("count", "Chunks of a hypertable", "{subject} has {value} {many:chunk/chunks}"),
    "timescale.chunks.compressed": Meaning(
        "count", "Chunks that are compressed", "{value} {many:chunk/chunks} of {subject} {many:is/are} compressed"
    ),
    "timescale.chunks.overdue": Meaning(
        "count",
        "Number of chunks that should have been compressed by now",
        "{value} {many:chunk/chunks} of {subject} should have been compressed by now",
    ),
    "timescale.table.compression": Meaning(
        "ratio",
        "Bytes before compression by bytes after it",
        "before compression {subject} had {value} of its present size",
    ),
    "timescale.table.index_scans": Meaning(
        "ratio", "Share of scans that used an index", "{value} of the scans of {subject} used an index"
    ),
    "timescale.table.dead_rows": Meaning(
        "ratio", "Share of a table's rows that are dead", "{value} of the rows of {subject} are dead"
    ),
    "timescale.table.bytes": Meaning("bytes", "What a hypertable takes on disk", "{subject} takes {value} on disk"),
    "timescale.table.index_bytes": Meaning(
        "bytes", "What the indexes of a hypertable take on disk", "the indexes of {subject} take {value} on disk"
    ),
    "flow.journal.count": Meaning("count", "Journals of a dataset", "{subject} has {value} {many:journal/journals}"),
    "flow.journal.length": Meaning(
        "count", "Entries in its journals", "{value} {subject} {many:entry is/entries are} in the journals"
    ),
    "flow.journal.undrained": Meaning(
        "count",
        "Entries that are not in the intake yet",
        "{value} {subject} {many:entry is/entries are} not in the intake yet",
    ),
    "flow.journal.unarchived": Meaning(
        "count",
        "Entries that are not in the archive yet",
        "{value} {subject} {many:entry is/entries are} not in the archive yet",
    ),
    "flow.journal.oldest": Meaning(
        "s",
        "Age of the oldest entry that is not in the archive",
        "the oldest {subject} entry that is not archived has waited for {value}",
        "no {subject} entry waits to be archived",
    ),
    "flow.journal.bytes": Meaning(
        "bytes", "Memory that its journals take, by a sample", "the {subject} journals take {value} of memory"
    ),
    "flow.journal.lost": Meaning(
        "count",
        "Number of entries, and of ranges of them, that are nowhere and not acknowledged",
        "{value} {subject} {many:entry/entries} or more {many:is/are} lost",
        "no {subject} entry is lost",
    ),
    "flow.batches.waiting": Meaning(
        "count", "Batches that wait in the intake", "{value} {subject} {many:batch waits/batches wait} in the intake"
    ),
    "flow.batches.oldest": Meaning(
        "s",
        "How long the oldest batch waits in the intake",
        "the oldest {subject} batch has waited in the intake for {value}",
        "no {subject} batch waits in the intake",
    ),
    "flow.batches.damaged": Meaning(
        "count",
        "Number of batches in the intake that cannot be read",
        "{value} {subject} {many:batch/batches} in the intake cannot be read",
        "every {subject} batch in the intake can be read",
    ),
    "flow.quarantine.waiting": Meaning(
        "count",
        "Number of rejected entries that wait for a decision",
        "{value} rejected {subject} {many:entry waits/entries wait} for a decision",
        "no rejected {subject} entry waits for a decision",
    ),
    "flow.archived.age": Meaning(
        "s", "Age of the newest archived row", "the newest {subject} row in the archive is {value} old"
    ),
    "flow.archived.stale": Meaning(
        "s",
        "Age of the newest archived row by the hours that count",
        "the newest {subject} row in the archive is {value} old{about}",
    ),
    "flow.refreshes.waiting": Meaning(
        "count",
        "Ranges whose aggregates are yet to be refreshed",
        "{value} {many:range/ranges} of {subject} {many:waits/wait} to be in the aggregates",
    ),
    "flow.refreshes.oldest": Meaning(
        "s",
        "How long the oldest range waits for its aggregates",
        "changed {subject} rows have been missing from their aggregates for {value}",
        "every {subject} row is in its aggregates",
    ),
    "flow.memory.full_in": Meaning(
        "s",
        "Time until the live tier's memory is full by its growth",
        "the live tier {subject} will be full in {value} at its present growth",
    ),
    "dagster.storage.bytes": Meaning("bytes", "Size of Dagster's own database", "Dagster's own database takes {value}"),
    "flow.backup.age": Meaning("s", "Age of the newest backup", "the newest backup is {value} old"),
    "flow.backup.drill_age": Meaning(
        "s",
        "Time since the last restore drill that found everything equal",
        "the last restore drill that found everything equal is {value} ago",
    ),
    "flow.backup.drill_failed": Meaning(
        "count",
        "1 where the last restore drill failed",
        "the last restore drill failed",
        "the last restore drill did not fail",
    ),
    "flow.backup.missing": Meaning(
        "count",
        "1 where there is none, of backups or of drills",
        "there is no {subject}",
        "there is a {subject}",
    ),
}
