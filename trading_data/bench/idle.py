"""Bench `idle`: what the whole system costs when nothing is sent.

Belongs here: CPU time of all its processes, commands at the live tier. Does not: running it (`whole`).
"""

import time
from collections.abc import Mapping

from trading_data.bench.full_system import Whole, whole_system
from trading_data.bench.measure import Bench, BenchPlan, Outcome, Promise, Ratio
from trading_data.bench.servers import BenchRig
from trading_data.live.connection import Client, connect, live_errors

_SECONDS = 180
_SETTLE_SECONDS = 20


def run(_: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Some minutes of `up --feed none`, once: archive runs come every minute, so more repetitions are in it."""
    wanted = plan.size(_SECONDS, 2)
    plan.say(f"`up --feed none` for {wanted} s")
    with whole_system("--feed", "none") as system:
        system.wait()
        time.sleep(min(_SETTLE_SECONDS, wanted))
        client = connect(system.settings.require_redis_url())
        calls, spent, began = _calls(client), _cpu(system), time.perf_counter()
        time.sleep(wanted)
        passed = time.perf_counter() - began
        used = {name: max(0.0, after - spent.get(name, 0.0)) for name, after in _cpu(system).items()}
        commands = {name: count - calls.get(name, 0) for name, count in _calls(client).items()}
        client.close()
        system.check()
    commands["info"] = max(0, commands.get("info", 0) - 1)  # our own
    per_minute = {name: round(60 * count / passed, 1) for name, count in commands.items() if count > 0}
    figures = {
        "seconds": passed,
        "cpu_seconds": sum(used.values()),
        "cpu_share": {name: round(one / passed, 4) for name, one in used.items()},
        "live_commands_per_minute": sum(per_minute.values()),
        "live_commands": dict(sorted(per_minute.items(), key=lambda one: -one[1])),
    }
    return {"idle": Outcome(Ratio.alone(sum(used.values()) / passed), figures)}


def _cpu(system: Whole) -> dict[str, float]:
    """CPU seconds so far by process, with what its ended children used; named by its folder among the services."""
    import psutil

    root = psutil.Process(system.process.pid)
    found: dict[str, float] = {}
    for process in [root, *root.children(recursive=True)]:
        try:
            times = process.cpu_times()
            name = _name(process.cwd(), process.pid == root.pid)
        except psutil.Error:
            continue
        ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        found[name] = found.get(name, 0.0) + times.user + times.system + ended
    return found


def _name(folder: str, is_root: bool) -> str:
    parts = folder.split("/services/")
    return "up" if is_root or len(parts) < 2 else parts[1].split("/")[0]


def _calls(client: Client) -> dict[str, int]:
    with live_errors(client):
        found = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): int(one["calls"]) for name, one in found.items()}


BENCH = Bench(
    "idle",
    (
        Promise(
            "idle",
            "CPU seconds a second of all processes of `up --feed none`; beside it the commands at the live tier",
            "one core",
            None,
        ),
    ),
    run,
    own_servers=True,
)
