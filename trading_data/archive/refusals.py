"""What PostgreSQL's error codes mean here, and what helps: one table, and one function that reads it.

The codes are those of PostgreSQL's Appendix A. A login that fails has none, because libpq hands on its text only; so the texts
of those few refusals are listed with the code that the server gave them.

Belongs here: codes and words. Does not: catching errors (`archive.database`).
"""

from dataclasses import dataclass

KEPT = "nothing is lost, what waits in journals and intake is loaded when it is back"
SESSIONS = (
    "trading-data psql -c 'select pid, state, pg_blocking_pids(pid), left(query, 80) from pg_stat_activity order by 1'"
)
_URL = "TRADING_DATA_TIMESCALE_URL"


@dataclass(frozen=True)
class DatabaseRefusal:
    """What a code means: `says` follows the archive's address, `help` is what to do, `command` what to run."""

    says: str
    help: str
    command: str


AWAY = DatabaseRefusal(
    "does not answer or broke off", f"start it or correct {_URL}; {KEPT}", "trading-data services start"
)
_GOING = DatabaseRefusal("is starting, stopping or recovering", f"wait until it is up; {KEPT}", "trading-data status")
_LOGIN = DatabaseRefusal(
    "refused the login", f"correct user, password or database in {_URL}; {KEPT}", "trading-data doctor"
)
_LOCKED = DatabaseRefusal(
    "did not grant a lock in time",
    f"another session holds it: see which by `{SESSIONS}`. It is tried again with the next run",
    SESSIONS,
)
_BROKEN = DatabaseRefusal(
    "found its own files damaged",
    "look at its log and its disk, and restore a backup: `trading-data backup --list` shows them",
    "trading-data backup --list",
)
REFUSALS: dict[str, DatabaseRefusal] = {
    "08": AWAY,
    "25006": DatabaseRefusal(
        "takes no writes here",
        f"{_URL} names a replica, or a role or database set to read only: name the primary; {KEPT}",
        "trading-data psql -c 'select pg_is_in_recovery(), current_setting($$default_transaction_read_only$$)'",
    ),
    "28": _LOGIN,
    "3D000": _LOGIN,
    "40001": DatabaseRefusal("could not serialize a transaction", "it is tried again with the next run", SESSIONS),
    "40P01": _LOCKED,
    "42501": DatabaseRefusal(
        "does not let this role do that",
        "`trading-data roles` grants each role what it needs, or name another role in the URL",
        "trading-data psql -c 'select current_user'",
    ),
    "53100": DatabaseRefusal(
        "has no room on its disk",
        f"make room: `trading-data retention --dry-run` says what may go; {KEPT}",
        "trading-data retention --dry-run",
    ),
    "53200": DatabaseRefusal("has no memory left", f"raise its limits, or ask for less at a time; {KEPT}", SESSIONS),
    "53300": DatabaseRefusal(
        "has no connection left",
        f"close some, or raise max_connections: see who has them by `{SESSIONS}`; {KEPT}",
        SESSIONS,
    ),
    "53": DatabaseRefusal("has reached one of its limits", f"raise it; {KEPT}", "trading-data doctor"),
    "54": DatabaseRefusal(
        "cannot hold a value or a statement of that size",
        "shorten it: what an index holds, such as a symbol or an id, has at most 2,704 bytes",
        "trading-data quarantine list",
    ),
    "55006": _LOCKED,
    "55P03": _LOCKED,
    "57014": DatabaseRefusal(
        "stopped a statement that took too long, or that somebody cancelled",
        f"ask for less at a time, or see what keeps the server busy by `{SESSIONS}`",
        SESSIONS,
    ),
    "57P01": DatabaseRefusal(
        "ended the session", f"it was stopped, or somebody ended the session: try again; {KEPT}", SESSIONS
    ),
    "57": _GOING,
    "58": _BROKEN,
    "XX": _BROKEN,
}
"""By SQLSTATE, or by its class, the first two characters."""
_OTHER = DatabaseRefusal("refused a statement", "the archive's log has more of it", "trading-data doctor")
_AT_LOGIN: tuple[tuple[str, str], ...] = (
    ("too many clients", "53300"),
    ("too many connections", "53300"),
    ("remaining connection slots", "53300"),
    ("is starting up", "57P03"),
    ("is shutting down", "57P03"),
    ("is not yet accepting connections", "57P03"),
    ("in recovery mode", "57P03"),
    ("authentication failed", "28P01"),
    ("no pg_hba.conf entry", "28000"),
    ("not permitted to log in", "28000"),
    ("permission denied for database", "42501"),
    ('role "', "28000"),
    ('database "', "3D000"),
)
"""What a server says when it refuses a connection (`FATAL: …`), and the code that it says it with."""


def refusal_of(code: str | None, said: str) -> DatabaseRefusal:
    """What an error means.

    Args:
        code: the SQLSTATE, None where there is none: nothing was answered, or the login was refused.
        said: the server's or libpq's text, for logins only.
    """
    if not code:
        _, fatal, text = said.partition("FATAL:")
        code = next((one for words, one in _AT_LOGIN if words in text), "") if fatal else ""
        if not code:
            return AWAY
    return REFUSALS.get(code) or REFUSALS.get(code[:2]) or _OTHER


def sentence(address: str, code: str | None, said: str) -> str:
    """The whole message: where, what it means, what the server said, what to do."""
    found = refusal_of(code, said)
    state = f"{said}, SQLSTATE {code}" if code else said
    return f"the archive at {address} {found.says} ({state}): {found.help}"
