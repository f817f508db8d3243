"""Error replies of Redis and Valkey: their meaning and remedy in one table, and the lookup.

The code of an error is its first word, in capitals. redis-py has its own classes for some errors and drops the word; they
are listed with their codes.

Belongs here: codes and words. Does not: catching errors (`live.connection`).
"""

from dataclasses import dataclass

from redis import exceptions

KEPT = "the entries it holds are drained once it is back"
_URL = "TRADING_DATA_REDIS_URL"


@dataclass(frozen=True)
class RedisRefusal:
    """The meaning of a code: `problem` follows the server's address, `help` is the remedy, `command` the command to run."""

    problem: str
    help: str
    command: str


AWAY = RedisRefusal("does not answer", f"start it or correct {_URL}; {KEPT}", "trading-data services start")
_LOGIN = RedisRefusal("refused the login", f"correct user and password in {_URL}", "trading-data redis-cli ping")
_INFO = "trading-data redis-cli info"
_CLUSTER = RedisRefusal(
    "has slots that no server of the cluster serves", f"bring the cluster's servers back; {KEPT}",
    "trading-data redis-cli cluster info",
)  # fmt: skip
REFUSALS: dict[str, RedisRefusal] = {
    "NOAUTH": _LOGIN,
    "WRONGPASS": _LOGIN,
    "NOPERM": RedisRefusal(
        "does not permit this user to run a command",
        f"set a user with that permission in {_URL}, or grant it: `trading-data redis-cli acl whoami` shows the current user",
        "trading-data redis-cli acl whoami",
    ),
    "OOM": RedisRefusal(
        "has reached its memory limit and refuses writes",
        "run `trading-data archive` or raise `maxmemory`, then write again",
        "trading-data archive",
    ),
    "READONLY": RedisRefusal(
        "is a replica and takes no writes",
        f"set {_URL} to the primary, or to its sentinels",
        f"{_INFO} replication",
    ),
    "LOADING": RedisRefusal("is loading its data", f"wait until it has finished; {KEPT}", f"{_INFO} persistence"),
    "MISCONF": RedisRefusal(
        "refuses writes because it cannot save them to its disk",
        "free disk space or correct its permissions (its log has the reason), then write again",
        f"{_INFO} persistence",
    ),
    "BUSY": RedisRefusal(
        "is busy with a script that does not finish",
        "stop it with `trading-data redis-cli script kill`",
        "trading-data redis-cli slowlog get 10",
    ),
    "NOREPLICAS": RedisRefusal(
        "refuses writes because too few replicas are connected",
        "bring its replicas back, or lower min-replicas-to-write",
        f"{_INFO} replication",
    ),
    "MASTERDOWN": RedisRefusal(
        "is a replica without its primary", f"bring the primary back; {KEPT}", f"{_INFO} replication"
    ),
    "CLUSTERDOWN": _CLUSTER,
    "MAXCLIENTS": RedisRefusal(
        "has no connection left",
        "close some, or raise `maxclients`: `trading-data redis-cli client list` lists the clients",
        "trading-data redis-cli client list",
    ),
}
"""By the code of an error reply. MAXCLIENTS is ours: that reply has no code."""
_OTHER = RedisRefusal("refused a command", "its log may have details", "trading-data doctor")
_CLASSES: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.OutOfMemoryError, "OOM"),
    (exceptions.BusyLoadingError, "LOADING"),
    (exceptions.AuthenticationError, "NOAUTH"),
    (exceptions.AuthorizationError, "NOPERM"),
    (exceptions.NoPermissionError, "NOPERM"),
    (exceptions.ReadOnlyError, "READONLY"),
    (exceptions.MasterDownError, "MASTERDOWN"),
    (exceptions.ClusterDownError, "CLUSTERDOWN"),
)


def code_of(error: BaseException) -> str:
    """The code of an error reply; empty for an error without a reply."""
    for kind, code in _CLASSES:
        if isinstance(error, kind):
            return code
    message = str(error)
    if "max number of clients" in message:
        return "MAXCLIENTS"
    if not isinstance(error, exceptions.ResponseError):
        return ""
    first = message.partition(" ")[0]
    return first if first.isupper() and first.isalpha() else "ERR"


def refusal_of(error: BaseException) -> RedisRefusal:
    """The meaning of an error of redis-py."""
    code = code_of(error)
    return REFUSALS.get(code, _OTHER) if code else AWAY


def sentence(where: str, error: BaseException) -> str:
    """The full message: address, meaning, the server's own words, remedy."""
    refusal = refusal_of(error)
    return f"the live tier at {where} {refusal.problem} ({error}): {refusal.help}"
