"""Short waits for locks with retries: a session that waits for a lock blocks all sessions behind it as well."""

import psycopg2.errors

from trading_data.errors import ArchiveTierError

LOCK = "500ms"
"""Longest wait of one attempt; others may wait for a chunk that long, and while it is compressed."""
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts."""

_AWAY = ("08", "53", "57", "58", "XX")
"""Classes of errors that any statement would meet: no connection, no memory or disk, a shutdown, a broken server."""


def is_locked(error: Exception) -> bool:
    """Whether a statement failed only because of another session's locks."""
    locks = (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected)
    return isinstance(error.__cause__, locks)


def is_refused(error: ArchiveTierError) -> bool:
    """Whether the server answered and refused this statement: another one may succeed."""
    code: str = getattr(error.__cause__, "pgcode", None) or ""
    return bool(code) and not code.startswith(_AWAY)


def reason_of(error: ArchiveTierError) -> str:
    """The first line of the server's error."""
    return str(error.__cause__ or error).strip().partition("\n")[0]
