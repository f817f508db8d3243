"""A soak: full feed, archive cycles in processes of their own, killed at random; `python -m trading_data_tests.crash.soak`.

Belongs here: writing, killing, and the balance at the end; from a seed, which is printed. Does not: servers, which the
environment names (see `trading-data services env`); the tests' short version is `test_soak`.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import click

from trading_data.kill_points import VARIABLE
from trading_data.live.keys import lease
from trading_data.settings import Settings
from trading_data.sources.feeds import FeedCounts, SimulatedMarket, pump
from trading_data.times import DAY, now
from trading_data_tests.crash.cycle import CYCLE_POINTS, cycle
from trading_data_tests.crash.workload import trimmed_early, unbalanced
from trading_data_tests.rig import Rig


@dataclass
class Outcome:
    """What a soak did and found; `wrong` is empty when everything balances."""

    seed: int
    cycles: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    accepted: dict[str, int] = field(default_factory=dict)
    accounted: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def soak(settings: Settings, *, seed: int, seconds: float, symbols: int, pace: float) -> Outcome:
    """Write for `seconds` while cycles run and are killed at random points or moments, then let it settle."""
    random_ = random.Random(seed)
    outcome = Outcome(seed)
    rig = Rig(settings)
    stop, counts = threading.Event(), FeedCounts()
    feed = threading.Thread(target=_feed, args=(rig, seed, symbols, pace, stop, counts))
    feed.start()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and feed.is_alive():
        _one_cycle(settings, random_, outcome)
        outcome.wrong += trimmed_early(rig)
        for name in rig.datasets:
            rig.client.delete(lease(name))
    stop.set()
    feed.join()
    cycle(rig)
    outcome.wrong += unbalanced(rig)
    outcome.accepted = {name: rig.accepted(dataset) for name, dataset in rig.datasets.items()}
    outcome.accounted = {name: rig.account(dataset).accepted for name, dataset in rig.datasets.items()}
    rig.close()
    return outcome


def _feed(rig: Rig, seed: int, symbols: int, pace: float, stop: threading.Event, counts: FeedCounts) -> None:
    day = now().date() - 9 * DAY
    while not stop.is_set() and day < now().date():
        market = SimulatedMarket(symbols, day, seed, round_the_clock=True)
        pump(rig.store, market, pace=pace, stop=stop, report=_say, counts=counts)
        day += DAY


def _one_cycle(settings: Settings, random_: random.Random, outcome: Outcome) -> None:
    env = {**os.environ, "TRADING_DATA_INTAKE_URI": settings.intake_uri}
    point = random_.choice([*CYCLE_POINTS, "at any moment", "not at all"])
    if point in CYCLE_POINTS:
        env[VARIABLE] = f"{point}:{random_.randint(1, 4)}"
    child = subprocess.Popen([sys.executable, "-m", "trading_data_tests.crash.cycle"], env=env)
    if point == "at any moment":
        time.sleep(random_.uniform(0.5, 5.0))
        child.kill()
    code = child.wait(600)
    outcome.cycles += 1
    if code == -signal.SIGKILL:
        outcome.kills[point] += 1
    elif code != 0:
        outcome.wrong.append(f"a cycle ended with {code}")


def _say(line: str) -> None:
    print(line, flush=True)


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--symbols", default=500, show_default=True)
@click.option("--pace", default=60.0, show_default=True, help="Simulated seconds a second.")
def main(seed: int, minutes: float, symbols: int, pace: float) -> None:
    """Run a soak against the servers that the environment names, which have to be empty; exit 1 if it does not balance."""
    outcome = soak(Settings.from_env(), seed=seed, seconds=minutes * 60, symbols=symbols, pace=pace)
    print(json.dumps(vars(outcome), indent=1))
    sys.exit(1 if outcome.wrong else 0)


if __name__ == "__main__":
    main()
