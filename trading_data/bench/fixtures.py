"""What has to be there before a bench begins: an archive that holds bars, and jobs of Dagster in this process.

Belongs here: setting scenes by the doors that production uses. Does not: measuring.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

from trading_data.archive.aggregates.refresh import refresh
from trading_data.archive.load import load_pending
from trading_data.bench.measure import seconds
from trading_data.bench.rows import Bars
from trading_data.bench.servers import BenchRig, environment
from trading_data.datasets import PRICE
from trading_data.errors import ServerError
from trading_data.intake.import_rows import take
from trading_data.intake.snapshot import BATCH_ENTRIES

Job = Callable[..., float]


def archived(rig: BenchRig, bars: Bars) -> None:
    """Bring bars into the archive as a file's, and refresh the aggregates."""
    table = bars.table()
    slices = (table.slice(at, BATCH_ENTRIES) for at in range(0, table.num_rows, BATCH_ENTRIES))
    for _ in take(rig.intake, PRICE, "bench", slices, origin="file", earliest=rig.earliest):
        pass
    for _ in load_pending(rig.archive, rig.intake, PRICE):
        pass
    refresh_all(rig)


def refresh_all(rig: BenchRig) -> None:
    """Refresh what waits for it, finest first."""
    for aggregate in PRICE.aggregates:
        refresh(rig.archive, PRICE, aggregate)


@contextmanager
def dagster_jobs(rig: BenchRig, **env: str) -> Iterator[Job]:
    """`run(job, first, last, config)` runs a job of the code location in this process, on a temporary instance; its seconds."""
    import dagster as dg

    from trading_data.orchestration.build import build_defs

    with environment({**rig.env, **env}), dg.DagsterInstance.local_temp() as instance:
        definitions = build_defs()

        def run(name: str, first: date | None = None, last: date | None = None, **ops: Any) -> float:
            ends = {"start": first, "end": last}
            tags = {f"dagster/asset_partition_range_{end}": str(day) for end, day in ends.items() if day}
            config = {"ops": ops, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
            job = definitions.resolve_job_def(name)
            done: list[bool] = []

            def execute() -> None:
                result = job.execute_in_process(instance=instance, tags=tags, run_config=config, raise_on_error=False)
                done.append(result.success)

            took = seconds(execute)
            if not all(done):
                raise ServerError(f"a run of {name} failed on the servers of a bench: run it on your own, and see why")
            return took

        yield run
