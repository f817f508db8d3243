"""Bench `write`: the cost of `record_prices` for a producer, against its own commands on a raw socket."""

from collections.abc import Mapping
from typing import Any

from trading_data import Bar, LiveStore
from trading_data.bench.measure import Bench, BenchPlan, Outcome, Promise, Ratio, RatioTarget, alternate, rates, seconds
from trading_data.bench.rows import Bars
from trading_data.bench.servers import BenchRig
from trading_data.bench.wire import RecordingClient, send_all, wire
from trading_data.live.connection import connect, live_errors

_BATCH = 500
_BATCHES = 40


def run_write(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """The same commands, from records and packed in advance."""
    batches = plan.size(_BATCHES, 2)
    records = [Bar(**record) for record in Bars(_BATCH, batches).records(_BATCH * batches)]
    blocks = [records[at : at + _BATCH] for at in range(0, len(records), _BATCH)]
    client = connect(rig.settings.require_redis_url())
    recording: Any = RecordingClient(client)
    rig.clean()
    _record(LiveStore(recording), blocks)

    def library() -> float:
        _empty(rig)
        store = LiveStore(client)
        store.record_prices(blocks[0])
        _empty(rig)
        return seconds(lambda: _record(store, blocks))

    def raw() -> float:
        _empty(rig)
        with wire(client) as line:
            return seconds(lambda: send_all(line, recording.requests))

    plan.say(f"{len(records):,} bars in batches of {_BATCH}, {plan.repeat} times")
    times = alternate(plan.repeat, {"library": library, "raw": raw})
    client.close()
    figures = {
        "bars": len(records),
        "bars_per_second": rates(len(records), times["library"]),
        "reference_bars_per_second": rates(len(records), times["raw"]),
    }
    return {"write": Outcome(Ratio.of(times["raw"], times["library"]), figures)}


def _record(store: LiveStore, blocks: list[list[Bar]]) -> None:
    for block in blocks:
        store.record_prices(block)


def _empty(rig: BenchRig) -> None:
    with live_errors(rig.client):
        rig.client.flushdb()


WRITE = Bench(
    "write",
    (
        Promise(
            "write",
            "`record_prices` in batches of 500: journal entry, latest value, publication",
            "the same commands, packed in advance, on a raw socket",
            RatioTarget("at least", 0.4),
        ),
    ),
    run_write,
)
