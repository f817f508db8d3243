"""Bench `archive-parallel`: draining in one process while another one loads, as runs of the two assets do beside each other.

Leases and locks allow it: a drain holds the lease on the journals, a load the lock on the dataset's rows, and neither
wants the other's.

Belongs here: the overlap. Does not: the limit (`archive`).
"""

from collections.abc import Mapping

from trading_data.bench.archive import ENTRIES, Archiving
from trading_data.bench.cycle import drain
from trading_data.bench.measure import Bench, BenchPlan, Outcome, Promise, Ratio, RatioTarget, alternate, rates, seconds
from trading_data.bench.rows import bars_of
from trading_data.bench.servers import BenchRig
from trading_data.bench.worker import Child, child
from trading_data.errors import ServerError
from trading_data.intake.snapshot import BATCH_ENTRIES


def run(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Overlapped, serial, and the limit, in turn."""
    bars = bars_of(plan.size(ENTRIES, 40))
    work = Archiving(rig, bars)

    def overlapped() -> float:
        work.prepare()
        found: dict[str, int] = {}

        def both(loader: Child) -> None:
            for _ in drain(rig.client, rig.archive, rig.intake, rig.earliest):
                pass
            found.update(loader.tell())

        with child(rig, "load") as loader:
            took = seconds(lambda: both(loader))
        left = bars.symbols  # the last entry of each journal stays
        if found != {"inserted": bars.count, "trimmed": bars.count - left}:
            raise ServerError(f"{found} of {bars.count:,} entries arrived when draining and loading overlapped")
        return took

    plan.say(f"{bars.count:,} entries of {bars.symbols} symbols, {plan.repeat} times")
    times = alternate(plan.repeat, {"subject": overlapped, "serial": work.subject, "limit": work.limit})
    figures = {
        "entries": bars.count,
        "batches": -(-bars.count // BATCH_ENTRIES),
        "rows_per_second": rates(bars.count, times["subject"]),
        "serial_rows_per_second": rates(bars.count, times["serial"]),
        "limit_rows_per_second": rates(bars.count, times["limit"]),
        "against_serial": Ratio.of(times["serial"], times["subject"]).spread.as_json(),
    }
    return {"archive-parallel": Outcome(Ratio.of(times["limit"], times["subject"]), figures)}


BENCH = Bench(
    "archive-parallel",
    (
        Promise(
            "archive-parallel",
            "as `archive`, draining in one process while another loads and trims",
            "the serial limit: as `archive`",
            RatioTarget("above", 1.0),
        ),
    ),
    run,
)
