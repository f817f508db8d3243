"""Connections for assets, checks and sensors: typed, opened late, always closed.

Belongs here: one class a connection. Does not: anything done over it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import dagster as dg
from pydantic import Field

from trading_data.archive.database import Archive
from trading_data.errors import TradingDataError
from trading_data.intake.store import Intake
from trading_data.live.connection import Client, connect, connect_for_archiver
from trading_data.settings import Settings
from trading_data.times import day_start


class LiveTier(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Redis or Valkey."""

    url: str = Field(default="", description="redis:// or rediss:// URL; empty for TRADING_DATA_REDIS_URL.")

    @contextmanager
    def for_archiver(self) -> Iterator[Client]:
        """A client that hands out stream entries as they are."""
        client = connect_for_archiver(self._url())
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def for_copying(self) -> Iterator[Client]:
        """A client of the user that may copy the live tier whole, where the environment names one."""
        client = connect(self.url or Settings.from_env().require_redis_backup_url())
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def for_sensor(self) -> Iterator[Client]:
        """As `for_archiver`, but it gives up after two seconds, so that one tick cannot hold up the others."""
        client = connect_for_archiver(self._url(), timeout=2.0)
        try:
            yield client
        finally:
            client.close()

    def _url(self) -> str:
        return self.url or Settings.from_env().require_redis_url()


class ArchiveTier(dg.ConfigurableResource):  # type: ignore[type-arg]
    """TimescaleDB."""

    url: str = Field(default="", description="postgresql:// URL; empty for TRADING_DATA_TIMESCALE_URL.")

    @contextmanager
    def connect(self) -> Iterator[Archive]:
        """The archive; connects with the first statement."""
        archive = Archive(self._url())
        try:
            yield archive
        finally:
            archive.close()

    @contextmanager
    def for_sensor(self) -> Iterator[Archive]:
        """An archive that gives up connecting after two seconds and a statement after ten."""
        archive = Archive(self._url(), connect_timeout=2, statement="10s")
        try:
            yield archive
        finally:
            archive.close()

    def _url(self) -> str:
        return self.url or Settings.from_env().require_timescale_url()

    @contextmanager
    def connect_as_owner(self) -> Iterator[Archive]:
        """As `connect`, by the owner of the tables where the environment names one: for compression and retention."""
        archive = Archive(self.url or Settings.from_env().require_owner_url())
        try:
            yield archive
        finally:
            archive.close()


class IntakeStore(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The folder of batches between the two."""

    uri: str = Field(default="", description="Path or fsspec URI; empty for TRADING_DATA_INTAKE_URI.")

    def open(self) -> Intake:
        """The intake."""
        return Intake(self.uri or Settings.from_env().intake_uri)


def earliest() -> datetime:
    """The start of the first day partition."""
    return day_start(Settings.from_env().start)


@contextmanager
def as_dagster_failure() -> Iterator[None]:
    """Turn this package's errors into a failure whose first line says what was wrong and what to do next."""
    try:
        yield
    except TradingDataError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error


def resources() -> dict[str, object]:
    """The resources by the names under which assets ask for them."""
    return {"live": LiveTier(), "archive": ArchiveTier(), "intake": IntakeStore()}
