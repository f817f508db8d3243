"""Dagster's instance: opened from a `dagster.yaml`, with a PostgreSQL storage that keeps its connections open.

Dagster's storage opens a connection for each read or write, about twenty a second at rest, and each costs the server six
milliseconds: more than the query itself. Dagster's web server keeps connections open; here the daemon, the code location and the
runs do too, by the same method, and a lost connection is replaced.
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
"""An older connection is replaced."""
_MORE = 20
"""Connections besides the one that stays open, for times when a process runs several statements at once."""
_STATEMENT_MS = 600_000


class KeptConnections(DagsterPostgresStorage):
    """`DagsterPostgresStorage` that keeps one connection for each of runs, events, and schedules, in each process."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: "PgTokenProvider | None" = None,
    ) -> None:
        """As the parent, with the same configuration in `dagster.yaml`."""
        super().__init__(postgres_url, should_autocreate_tables, inst_data, token_provider)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage.optimize_for_webserver(_STATEMENT_MS, pool_recycle=_KEPT_SECONDS, max_overflow=_MORE)
            event.listen(engine_of(storage), "checkout", replace_lost)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "KeptConnections":
        """Dagster calls this with the `config` of `dagster.yaml`."""
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
        os.environ[DAGSTER_URL] = settings.dagster_url  # `dagster.yaml` reads it; the URL names the driver
    try:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance
    except (SQLAlchemyError, DagsterPostgresException) as error:
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise ServerError(
            f"Dagster's storage does not answer ({reason}): start it, or correct {DAGSTER_URL} or DAGSTER_HOME, now {home}"
        ) from error
