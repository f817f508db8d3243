"""Group `live`: the live tier's state into the intake, in one asset."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from trading_data.intake.state.document import StateSnapshot, Table, problem_text, tables
from trading_data.intake.state.files import StateFile, put_state
from trading_data.intake.state.take import take_state
from trading_data.orchestration.assets.sources import OWNER, state_keys
from trading_data.orchestration.declared import DECLARED_KEYS, STATE
from trading_data.orchestration.reports import Event, as_evaluation
from trading_data.orchestration.resources import IntakeStore, LiveTier, as_dagster_failure
from trading_data.printable import counted

_ROWS, _COLUMNS, _LETTERS = 50, 30, 200
"""The most that a page shows of a table; the document is complete."""


def state_assets() -> list[dg.AssetsDefinition]:
    """The one asset."""
    return [state_snapshot]


@dg.asset(
    key=STATE,
    group_name="live",
    deps=list(state_keys().values()),
    kinds={"redis", "json"},
    owners=[OWNER],
    output_required=False,  # an output would hold the tables a second time
    description="Positions, signals, watchlist, candidates and system state, as one dated document in the intake. "
    "`trading-data state show --at TIME` prints the newest one before a moment.",
)
def state_snapshot(context: dg.AssetExecutionContext, live: LiveTier, intake: IntakeStore) -> Iterator[Event]:
    """Read the state and write it."""
    with as_dagster_failure(), live.for_archiver() as client:
        state = take_state(client, run_id=context.run.run_id)
        file = put_state(intake.open(), state)
    yield dg.AssetMaterialization(STATE, metadata=_metadata(state, file))
    yield as_evaluation(state_as_declared(state))


def _metadata(state: StateSnapshot, file: StateFile) -> dict[str, Any]:
    shown = tables(state)
    problems = [dg.TableRecord({"key": problem_text(problem)[:_LETTERS]}) for problem in state.problems[:_ROWS]]
    return {
        "keys": state.keys,
        "began": dg.MetadataValue.timestamp(state.began),
        "ended": dg.MetadataValue.timestamp(state.ended),
        "file": file.name,
        "problems": len(state.problems),
        **{f"{table.name} rows": len(table.rows) for table in shown},
        **{table.name: _shown(table) for table in shown},
    } | ({"problem keys": dg.MetadataValue.table(problems)} if problems else {})


def _shown(table: Table) -> dg.TableMetadataValue:
    columns = table.columns[:_COLUMNS]
    records = [
        dg.TableRecord({name: cell[:_LETTERS] for name, cell in zip(columns, row, strict=False)})
        for row in table.rows[:_ROWS]
    ]
    return dg.MetadataValue.table(records, dg.TableSchema([dg.TableColumn(name) for name in columns]))


def state_as_declared(state: StateSnapshot) -> dg.AssetCheckResult:
    """Whether every key is of its declared type."""
    problems = "; ".join(map(problem_text, state.problems[:5]))
    return dg.AssetCheckResult(
        asset_key=STATE,
        check_name=DECLARED_KEYS,
        passed=not state.problems,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{counted(len(state.problems), 'key is', 'keys are')} not in the document: {problems}. Correct "
        "the producer and delete them"
        if state.problems
        else "Every key of the state is of its declared type.",
        metadata={"problems": len(state.problems)},
    )
