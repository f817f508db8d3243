"""What the error replies of Redis and Valkey mean here, and what helps: one table, and one function that reads it.

The code of an error is its first word, in capitals. redis-py has classes of its own for some and drops the word; these are
listed with the code that they stand for.

Belongs here: codes and words. Does not: catching errors (`live.connection`).
"""

from dataclasses import dataclass

from redis import exceptions

KEPT = "what it held is drained when it is back"
_URL = "TRADING_DATA_REDIS_URL"


@dataclass(frozen=True)
class RedisRefusal:
    """What a code means: `says` follows the server's address, `help` is what to do, `command` what to run."""

    says: str
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
        "does not let this user do that",
        f"name the user in {_URL} that may, or give it the permission: `trading-data redis-cli acl whoami` says which it is",
        "trading-data redis-cli acl whoami",
    ),
    "OOM": RedisRefusal(
        "has reached its memory limit and refuses writes",
        "run `trading-data archive` or raise `maxmemory`, then write again",
        "trading-data archive",
    ),
    "READONLY": RedisRefusal(
        "is a replica and takes no writes",
        f"name the primary in {_URL}, or the sentinels, which know it",
        f"{_INFO} replication",
    ),
    "LOADING": RedisRefusal("is loading its data", f"wait until it has; {KEPT}", f"{_INFO} persistence"),
    "MISCONF": RedisRefusal(
        "refuses writes because it cannot save them to its disk",
        "make room on its disk or correct its rights, as its log says; then write again",
        f"{_INFO} persistence",
    ),
    "BUSY": RedisRefusal(
        "runs a script that does not end",
        "`trading-data redis-cli script kill` ends it",
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
        "close some, or raise `maxclients`: `trading-data redis-cli client list` shows who has them",
        "trading-data redis-cli client list",
    ),
}
"""By the code of an error reply; MAXCLIENTS is ours, for the server says it without one."""
_OTHER = RedisRefusal("refused a command", "its log may have more of it", "trading-data doctor")
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
    """The code of an error reply, empty for an error that is none: nothing was answered."""
    for kind, code in _CLASSES:
        if isinstance(error, kind):
            return code
    said = str(error)
    if "max number of clients" in said:
        return "MAXCLIENTS"
    if not isinstance(error, exceptions.ResponseError):
        return ""
    first = said.partition(" ")[0]
    return first if first.isupper() and first.isalpha() else "ERR"


def refusal_of(error: BaseException) -> RedisRefusal:
    """What an error of redis-py means."""
    code = code_of(error)
    return REFUSALS.get(code, _OTHER) if code else AWAY


def sentence(where: str, error: BaseException) -> str:
    """The whole message: where, what it means, what the server said, what to do."""
    found = refusal_of(error)
    return f"the live tier at {where} {found.says} ({error}): {found.help}"
