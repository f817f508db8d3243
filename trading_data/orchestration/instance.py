"""Dagster's own storage in PostgreSQL, over connections that are kept: `dagster.yaml` names it.

Dagster's storage opens a connection for everything that it reads or writes, about twenty a second while nothing happens at all,
and a server pays six milliseconds for each: more than for what is asked over it. Its web server keeps connections; here the
daemon, the code location and the runs do too, by the same door, and one that was lost is opened anew.

Belongs here: that one difference. Does not: where the storage is (`dagster.yaml`, DAGSTER_POSTGRES_URL).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import DagsterPostgresException, get_token_provider_from_config, pg_url_from_config
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from trading_data.archive.database import replace_lost
from trading_data.errors import ServerError
from trading_data.orchestration.private import ConfigurableClassData, engine_of
from trading_data.settings import DAGSTER_URL, Settings

if TYPE_CHECKING:
    from dagster_postgres.auth import PgTokenProvider

_KEPT_SECONDS = 30
"""A connection older than that is opened anew."""
_MORE = 20
"""Connections beside the one that is kept, opened while a process has that much to do at once."""
_STATEMENT_MS = 600_000


class KeptConnections(DagsterPostgresStorage):
    """`DagsterPostgresStorage` with one connection kept a process for each of runs, events, and schedules."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: "PgTokenProvider | None" = None,
    ) -> None:
        """As the parent; `dagster.yaml` says the same as for it."""
        super().__init__(postgres_url, should_autocreate_tables, inst_data, token_provider)
        for one in (self._run_storage, self._event_log_storage, self._schedule_storage):
            one.optimize_for_webserver(_STATEMENT_MS, pool_recycle=_KEPT_SECONDS, max_overflow=_MORE)
            event.listen(engine_of(one), "checkout", replace_lost)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "KeptConnections":
        """What Dagster calls with the `config` of `dagster.yaml`."""
        tables = config_value.get("should_autocreate_tables", True)
        tokens = get_token_provider_from_config(config_value)
        return cls(pg_url_from_config(config_value), tables, inst_data, tokens)


@contextmanager
def instance_of(home: Path, settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance that the `dagster.yaml` in `home` describes.

    Raises:
        ServerError: its storage does not answer.
    """
    if settings.dagster_url:
        os.environ[DAGSTER_URL] = settings.dagster_url  # the driver named, however it was given
    try:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance
    except (SQLAlchemyError, DagsterPostgresException) as error:
        said = str(error.__cause__ or error).partition("\n")[0]
        raise ServerError(
            f"Dagster's storage does not answer ({said}): start it, or correct {DAGSTER_URL} or DAGSTER_HOME, now {home}"
        ) from error
