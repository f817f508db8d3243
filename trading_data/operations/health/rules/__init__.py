"""The declared thresholds: limit, message, harm, and the command that helps.

Harm orders findings of both tiers together: above 900 data may be lost or nothing is served, above 600 that is near, above
300 something is late or slow, below that something needs a look.

Belongs here: all of them, and the checks of assets that they belong to. Does not: measuring, judging, and Dagster's checks
(`orchestration.health_checks`).
"""

from trading_data.operations.health.rules.pipeline import BACKUPS as BACKUPS
from trading_data.operations.health.rules.pipeline import FLOW as FLOW
from trading_data.operations.health.rules.pipeline import FRESHNESS, FULL, LOST
from trading_data.operations.health.rules.redis import REDIS as REDIS
from trading_data.operations.health.rules.timescale import TIMESCALE as TIMESCALE
from trading_data.operations.health.thresholds import ARCHIVE_AWAY as ARCHIVE_AWAY
from trading_data.operations.health.thresholds import ARCHIVE_REFUSES as ARCHIVE_REFUSES
from trading_data.operations.health.thresholds import FLOW_UNKNOWN as FLOW_UNKNOWN
from trading_data.operations.health.thresholds import LIVE_AWAY as LIVE_AWAY
from trading_data.operations.health.thresholds import LIVE_REFUSES as LIVE_REFUSES
from trading_data.operations.health.thresholds import SCHEMA_OTHER as SCHEMA_OTHER
from trading_data.operations.health.thresholds import UNAVAILABLE as UNAVAILABLE
from trading_data.operations.health.thresholds import Threshold
from trading_data.operations.health.thresholds import soonest_full as soonest_full

REDIS_CHECKS: dict[str, tuple[str, ...]] = {
    "memory": ("redis_memory", FULL, "redis_no_limit", "redis_fragmentation"),
    "persistence": (
        "redis_append_only",
        "redis_fsync",
        "redis_append_failed",
        "redis_rewrite_failed",
        "redis_save_failed",
    ),
    "settings": ("redis_policy", "redis_exposed"),
    "clients": ("redis_clients",),
    "latency": ("redis_slow",),
    "replication": ("redis_replica_late",),
}
"""The checks of `redis_health`, with the keys of the thresholds of each."""
TIMESCALE_CHECKS: dict[str, tuple[str, ...]] = {
    "disk": ("timescale_disk",),
    "sessions": (
        "timescale_connections",
        "timescale_lock_wait",
        "timescale_long_transaction",
        "timescale_oldest_transaction",
    ),
    "performance": ("timescale_slow_statement", "timescale_cache", "timescale_dead_rows"),
    "chunks": ("timescale_chunks_overdue",),
    "replication": ("timescale_replica_late", "timescale_log_failing"),
    "lag": ("journal_lag", "batches_waiting", "batch_damaged", "refreshes_waiting"),
    "rejected": ("quarantine", "clock_ahead"),
}
"""The checks of `timescale_health`, likewise; freshness and lost entries are checks of each archive asset."""
OF_FRESHNESS: tuple[Threshold, ...] = tuple(threshold for threshold in FLOW if threshold.key == FRESHNESS)
OF_LOST: tuple[Threshold, ...] = tuple(threshold for threshold in FLOW if threshold.key == LOST)

THRESHOLDS: tuple[Threshold, ...] = (*REDIS, *TIMESCALE, *FLOW)
