"""The archiver's own few writes, which a live tier that is full takes all the same.

Without its lease and the positions it notes nothing could ever be drained, and nothing could ever make room. They are
scripts because only a script can say that it may run when the memory limit is reached; each needs some bytes a journal.

Belongs here: writing them. Does not: what they mean (`intake.lease`, `intake.snapshot`, `intake.poll_latest`).
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, cast

from trading_data.live.connection import Client, live_errors
from trading_data.live.journal import raw

_FIELDS = 1000
"""Fields a call: a script takes no more than some thousand arguments."""
_HEAD = "#!lua flags=allow-oom\n"
_SET_FIELDS = "return redis.call('HSET', KEYS[1], unpack(ARGV))"


def run(client: Client, script: str, key: str, *arguments: str | bytes | int) -> Any:
    """What a Lua script answers that uses one key; it runs whether or not there is memory left.

    Raises:
        LiveTierError: the server is away, or refuses the script.
    """
    with live_errors(client):
        return client.eval(_HEAD + script, 1, key, *cast(Sequence[str], arguments))


def set_fields(client: Client, key: str, fields: Mapping[str, str | bytes]) -> None:
    """HSET, names as `live.journal.raw` makes them; raises as `run`."""
    pairs = iter(fields.items())
    while block := [part for name, value in islice(pairs, _FIELDS) for part in (raw(name), value)]:
        run(client, _SET_FIELDS, key, *block)
