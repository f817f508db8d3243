"""What assets, checks and sensors are handed: the environment of the code location, and connections to the three stores.

Connections open late and are always closed. Nothing else in this folder reads variables of the process.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg
from pydantic import Field

from trading_data.archive.database import Archive
from trading_data.calendars import TradingCalendar
from trading_data.errors import TradingDataError
from trading_data.intake.store import Intake
from trading_data.live.connection import Client, connect, connect_for_archiver
from trading_data.settings import ARCHIVE_CRON, UI_URL, Settings
from trading_data.sources.vendors.choose import VENDOR
from trading_data.times import day_start

EVERY_FIVE_MINUTES = "*/5 * * * *"


@dataclass(frozen=True)
class Environment:
    """The variables of one code location: those given, or those of the process. Read on each use, never kept."""

    given: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def variables(self) -> Mapping[str, str]:
        """Names and values."""
        return os.environ if self.given is None else self.given

    @property
    def settings(self) -> Settings:
        """The variables, checked. Raises SettingError."""
        return Settings.from_env(self.variables)

    @property
    def earliest(self) -> datetime:
        """Rows before this time are rejected: the start of the day that TRADING_DATA_START names."""
        return day_start(self.settings.start)

    @property
    def calendar(self) -> TradingCalendar:
        """The sessions of the configured exchange."""
        return TradingCalendar.configured(self.settings.calendar)

    @property
    def ui_url(self) -> str:
        """Where people reach Dagster's page, without a slash at its end; empty if unknown. Never raises: alerts need it."""
        return (self.variables.get(UI_URL) or "").rstrip("/")

    @property
    def vendor(self) -> str:
        """The name of the market-data vendor; empty if there is none."""
        return (self.variables.get(VENDOR) or "").strip()

    @property
    def archive_cron(self) -> str:
        """When `archive_schedule` ticks, as five cron fields in UTC."""
        return self.variables.get(ARCHIVE_CRON) or EVERY_FIVE_MINUTES


class LiveTier(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Redis or Valkey."""

    environment: dg.ResourceDependency[Environment]
    url: str = Field(default="", description="redis:// or rediss:// URL; if empty, TRADING_DATA_REDIS_URL.")

    @contextmanager
    def for_archiver(self) -> Iterator[Client]:
        """A client that returns stream entries undecoded."""
        with closing(connect_for_archiver(self._url())) as client:
            yield client

    @contextmanager
    def for_copying(self) -> Iterator[Client]:
        """A client of the user that may copy the whole live tier, if the environment names one."""
        with closing(connect(self.url or self.environment.settings.require_redis_backup_url())) as client:
            yield client

    @contextmanager
    def for_sensor(self) -> Iterator[Client]:
        """As `for_archiver`, with a timeout of two seconds, so that one tick cannot delay the others."""
        with closing(connect_for_archiver(self._url(), timeout=2.0)) as client:
            yield client

    def _url(self) -> str:
        return self.url or self.environment.settings.require_redis_url()


class ArchiveTier(dg.ConfigurableResource):  # type: ignore[type-arg]
    """TimescaleDB."""

    environment: dg.ResourceDependency[Environment]
    url: str = Field(default="", description="postgresql:// URL; if empty, TRADING_DATA_TIMESCALE_URL.")

    @contextmanager
    def connect(self) -> Iterator[Archive]:
        """The archive; connects with the first statement."""
        with closing(Archive(self._url())) as archive:
            yield archive

    @contextmanager
    def for_sensor(self) -> Iterator[Archive]:
        """As `connect`, with a timeout of two seconds for connecting and ten for a statement."""
        with closing(Archive(self._url(), connect_timeout=2, statement="10s")) as archive:
            yield archive

    @contextmanager
    def connect_as_owner(self) -> Iterator[Archive]:
        """As `connect`, as the owner of the tables if the environment names one: for compression, retention and backups."""
        with closing(Archive(self.url or self.environment.settings.require_owner_url())) as archive:
            yield archive

    def _url(self) -> str:
        return self.url or self.environment.settings.require_timescale_url()


class IntakeStore(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The folder of batches between the two tiers."""

    environment: dg.ResourceDependency[Environment]
    uri: str = Field(default="", description="Path or fsspec URI; if empty, TRADING_DATA_INTAKE_URI.")

    def open(self) -> Intake:
        """The intake."""
        return Intake(self.uri or self.environment.settings.intake_uri)


@contextmanager
def as_dagster_failure() -> Iterator[None]:
    """Turn an error of this package into a failed step whose first line names the fault and the next step."""
    try:
        yield
    except TradingDataError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error


def resources(environment: Environment | None = None) -> dict[str, object]:
    """The resources by the names of the parameters that receive them; `environment` defaults to the process's."""
    used = environment or Environment()
    return {
        "environment": used,
        "live": LiveTier(environment=used),
        "archive": ArchiveTier(environment=used),
        "intake": IntakeStore(environment=used),
    }
