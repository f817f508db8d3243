"""Bench `write`: the cost of `record_prices` for a producer, against the commands alone on a raw socket."""

from collections.abc import Mapping
from contextlib import closing

from trading_data import Bar, LiveStore
from trading_data.bench.measure import (
    Bench,
    BenchPlan,
    Outcome,
    Promise,
    RatioTarget,
    alternate,
    rates,
    ratios,
    seconds,
)
from trading_data.bench.references.wire import send_all, wire
from trading_data.bench.references.write import commands
from trading_data.bench.rows import Bars
from trading_data.bench.servers import BenchRig
from trading_data.live.connection import connect

_BATCH = 500
_BATCHES = 40


def run_write(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """The same bars as records, and as commands packed before."""
    batches = plan.size(_BATCHES, 2)
    records = Bars(_BATCH, batches).records(_BATCH * batches)
    parts = [records[at : at + _BATCH] for at in range(0, len(records), _BATCH)]
    bars = [[Bar(**record) for record in part] for part in parts]
    packed = [commands([{name: str(value) for name, value in record.items()} for record in part]) for part in parts]

    def product() -> float:
        rig.client.flushdb()
        with closing(connect(rig.settings.require_redis_url())) as client:
            store = LiveStore(client)
            store.record_prices(bars[0])
            rig.client.flushdb()
            return seconds(lambda: [store.record_prices(part) for part in bars])

    def reference() -> float:
        rig.client.flushdb()
        with wire(rig.client) as line:
            return seconds(lambda: send_all(line, packed))

    size = f"{len(records):,} bars in batches of {_BATCH}"
    plan.say(f"{size}, {plan.repeat} times")
    times = alternate(plan.repeat, {"product": product, "reference": reference})
    figures = {f"{name}_bars_per_second": rates(len(records), taken) for name, taken in times.items()}
    return {"write": Outcome(ratios(times["reference"], times["product"]), size, figures)}


WRITE = Bench(
    "write",
    (
        Promise(
            "write",
            "`record_prices` in batches of 500: journal entry, latest value, publication",
            "the same four commands a bar, packed before, on a raw socket",
            RatioTarget("at least", 0.5),
            "write.py",
        ),
    ),
    run_write,
)
