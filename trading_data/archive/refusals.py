"""What PostgreSQL's error codes mean here, and what helps: one table and the functions that read it.

The codes are from Appendix A of PostgreSQL's manual. A failed login has none, because libpq passes on only its text. So the texts
of those few refusals are listed with the code that the server gave them.
"""

from dataclasses import dataclass

KEPT = "nothing is lost: entries waiting in the journals and the intake are loaded when it is back"
SESSIONS = (
    "trading-data psql -c 'select pid, state, pg_blocking_pids(pid), left(query, 80) from pg_stat_activity order by 1'"
)
_URL = "TRADING_DATA_TIMESCALE_URL"


@dataclass(frozen=True)
class DatabaseRefusal:
    """What a code means: `message` follows the archive's address, `help` is what to do, `command` what to run."""

    message: str
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
    f"another session holds it: find it with `{SESSIONS}`. The next run tries again",
    SESSIONS,
)
_BROKEN = DatabaseRefusal(
    "reports damaged files",
    "check its log and its disk, and restore a backup: `trading-data backup --list` lists them",
    "trading-data backup --list",
)
REFUSALS: dict[str, DatabaseRefusal] = {
    "08": AWAY,
    "25006": DatabaseRefusal(
        "is read-only here",
        f"{_URL} names a replica, or a role or database set to read only: name the primary; {KEPT}",
        "trading-data psql -c 'select pg_is_in_recovery(), current_setting($$default_transaction_read_only$$)'",
    ),
    "28": _LOGIN,
    "3D000": _LOGIN,
    "40001": DatabaseRefusal("could not serialize a transaction", "the next run tries again", SESSIONS),
    "40P01": _LOCKED,
    "42501": DatabaseRefusal(
        "denies this role that statement",
        "`trading-data roles` grants each role what it needs; or name another role in the URL",
        "trading-data psql -c 'select current_user'",
    ),
    "53100": DatabaseRefusal(
        "has no space left on its disk",
        f"free some: `trading-data retention --dry-run` lists what may go; {KEPT}",
        "trading-data retention --dry-run",
    ),
    "53200": DatabaseRefusal("has no memory left", f"raise its limits, or query less at a time; {KEPT}", SESSIONS),
    "53300": DatabaseRefusal(
        "has no connection left",
        f"close some, or raise max_connections: list them with `{SESSIONS}`; {KEPT}",
        SESSIONS,
    ),
    "53": DatabaseRefusal("has reached one of its limits", f"raise it; {KEPT}", "trading-data doctor"),
    "54": DatabaseRefusal(
        "cannot hold a value or a statement of that size",
        "shorten it: an indexed value, such as a symbol or an id, has at most 2,704 bytes",
        "trading-data quarantine list",
    ),
    "55006": _LOCKED,
    "55P03": _LOCKED,
    "57014": DatabaseRefusal(
        "stopped a statement that took too long or was cancelled",
        f"query less at a time, or see what keeps the server busy with `{SESSIONS}`",
        SESSIONS,
    ),
    "57P01": DatabaseRefusal(
        "ended the session", f"the server was stopped or the session terminated: try again; {KEPT}", SESSIONS
    ),
    "57": _GOING,
    "58": _BROKEN,
    "XX": _BROKEN,
}
"""By SQLSTATE, or by its class (the first two characters)."""
_OTHER = DatabaseRefusal("refused a statement", "see the archive's log", "trading-data doctor")
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
"""Texts of refused connections (`FATAL: …`), and the server's code for each."""


def refusal_of(code: str | None, text: str) -> DatabaseRefusal:
    """What an error means.

    Args:
        code: the SQLSTATE; None if the server did not answer or refused the login.
        text: the server's or libpq's message, used for logins only.
    """
    if not code:
        _, fatal, reason = text.partition("FATAL:")
        code = next((state for words, state in _AT_LOGIN if words in reason), "") if fatal else ""
        if not code:
            return AWAY
    return REFUSALS.get(code) or REFUSALS.get(code[:2]) or _OTHER


def sentence(address: str, code: str | None, text: str) -> str:
    """The full error message: where, what it means, the server's own text, what to do."""
    refusal = refusal_of(code, text)
    state = f"{text}, SQLSTATE {code}" if code else text
    return f"the archive at {address} {refusal.message} ({state}): {refusal.help}"
