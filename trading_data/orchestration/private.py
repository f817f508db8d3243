"""The private names of Dagster that this package uses; it imports nothing else from `dagster._…`.

| name | used for |
| --- | --- |
| `AssetCheckExecutionRecordStatus` | telling the newest verdict of a check from an evaluation that is only planned |
| `InstigatorStatus`, `InstigatorType` | whether a schedule or sensor was switched by hand |
| `WILL_RETRY_TAG` | failed runs that Dagster is about to retry |
| `CheckError` | the error that an invalid `dagster.yaml` raises |
| `ConfigurableClassData` | the form in which `dagster.yaml` names our storage class |
| `TURNS_NOTHING_GREEN` | an output that turns no partition green |
| `engine_of` | replacing lost connections of Dagster's storage |
| `python -m dagster._daemon` | the daemon's process, in `local.processes`, as `dagster dev` starts it |
| `event_tables` | pruning: Dagster itself prunes only ticks |

A release that changes one of these breaks `test_private.py`.
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
TURNS_NOTHING_GREEN = SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION


class EventTables(NamedTuple):
    """The storage class, and its tables of events, of check evaluations, and of event tags."""

    storage: type[Any]
    events: Any
    checks: Any
    tags: Any


def event_tables() -> EventTables:
    """The tables of Dagster's events. Loads SQLAlchemy, so not to be called while definitions load."""
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
