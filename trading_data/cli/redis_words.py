"""One command of the live tier, sent and its reply printed, where no client of the server is installed.

Belongs here: words in, text out. Does not: whatever else `redis-cli` can do.
"""

from collections.abc import Sequence
from contextlib import closing
from typing import Any, cast

import click
from redis.exceptions import ResponseError

from trading_data.errors import ServerError
from trading_data.live.connection import connect, live_errors
from trading_data.printable import printable

_INSTALL = (
    "neither redis-cli nor valkey-cli is installed: install one (in many systems `redis-tools`), or give the words of one "
    "command, as in `trading-data redis-cli info memory`"
)


def ask(url: str, words: Sequence[str]) -> int:
    """Send one command to the server at `url`, and print its reply as `redis-cli` does; the exit code, 1 for an error reply.

    Raises:
        ServerError: no words, or options, which are those of `redis-cli`.
        LiveTierError: the server does not answer.
    """
    if not words or words[0].startswith("-"):
        raise ServerError(_INSTALL)
    with closing(connect(url)) as client:
        if words[0].upper() == "MONITOR":
            return _monitor(client)
        with live_errors(client):
            connection = cast(Any, client.connection_pool).get_connection()
            try:
                connection.send_command(*words)
                reply = connection.read_response()
            except ResponseError as error:
                click.echo(f"(error) {error}", err=True)
                return 1
            finally:
                connection.disconnect()
    click.echo("\n".join(lines(reply)))
    return 0


def lines(reply: Any, indent: str = "") -> list[str]:
    """A reply as `redis-cli` shows it: a number a part of a list, `(nil)` for none. Bytes that are no text are escaped."""
    if isinstance(reply, list | tuple):
        if not reply:
            return ["(empty array)"]
        shown: list[str] = []
        for number, part in enumerate(reply, start=1):
            head = f"{number}) "
            first, *rest = lines(part, indent + " " * len(head))
            shown += [f"{'' if number == 1 else indent}{head}{first}", *rest]
        return shown
    if reply is None:
        return ["(nil)"]
    if isinstance(reply, int):
        return [f"(integer) {reply}"]
    text = reply.decode(errors="backslashreplace") if isinstance(reply, bytes) else str(reply)
    return [printable(line) for line in text.splitlines()] or [""]


def _monitor(client: Any) -> int:
    """Every command that the server gets, until Ctrl-C."""
    with live_errors(client), client.monitor() as monitor:
        try:
            for one in monitor.listen():
                click.echo(
                    f"{one['time']:.6f} [{one['db']} {one['client_address']}:{one['client_port']}] {one['command']}"
                )
        except KeyboardInterrupt:
            pass
    return 0
