"""What is used of Dagster that its public API does not have; nothing else of `dagster._…` is imported in this package.

| what | why |
| --- | --- |
| `AssetCheckExecutionRecordStatus` | the newest verdict of a check, apart from one that is only planned |
| `InstigatorStatus`, `InstigatorType` | whether somebody has switched a schedule or sensor |
| `WILL_RETRY_TAG` | a failed run that Dagster is about to try again |
| `CheckError` | what a `dagster.yaml` that Dagster does not take raises |
| `ConfigurableClassData` | the form in which `dagster.yaml` names a storage of our own |
| `TELLS_NOTHING` | an output that turns no partition green |
| `engine_of` | connections of Dagster's storage that are lost are opened anew |
| `event_tables` | pruning: Dagster itself prunes only ticks |

A release that changes one of these breaks `test_private.py`.

Belongs here: these names. Does not: what is done with them.
"""

from typing import Any, NamedTuple

from dagster._check import CheckError as CheckError
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.scheduler.instigation import InstigatorStatus as InstigatorStatus
from dagster._core.scheduler.instigation import InstigatorType as InstigatorType
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecordStatus as AssetCheckExecutionRecordStatus,
)
from dagster._core.storage.tags import WILL_RETRY_TAG as WILL_RETRY_TAG
from dagster._serdes import ConfigurableClassData as ConfigurableClassData

VERDICTS = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
"""States of a check that has been evaluated."""
TELLS_NOTHING = SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION


class EventTables(NamedTuple):
    """The storage that has them, events, verdicts of checks, and tags of events."""

    storage: type[Any]
    events: Any
    checks: Any
    tags: Any


def event_tables() -> EventTables:
    """The tables of Dagster's events; loads SQLAlchemy, which loading the definitions must not."""
    from dagster._core.storage.event_log.schema import (
        AssetCheckExecutionsTable,
        AssetEventTagsTable,
        SqlEventLogStorageTable,
    )
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

    return EventTables(SqlEventLogStorage, SqlEventLogStorageTable, AssetCheckExecutionsTable, AssetEventTagsTable)


def engine_of(storage: Any) -> Any:
    """The SQLAlchemy engine of one of Dagster's storages in PostgreSQL."""
    return storage._engine
