"""One archive cycle in a process of its own, with a hot window; the environment says how much of it.

Belongs here: the cycle. Does not: killing, checking.
"""

import os
import sys
from datetime import timedelta

from trading_data.datasets import METRICS, PRICE
from trading_data.errors import TradingDataError
from trading_data.settings import Settings
from trading_data_tests.crash.cycle import BATCH_ENTRIES
from trading_data_tests.rig import Rig

HOT, STEPS = "TRADING_DATA_TEST_HOT", "TRADING_DATA_TEST_STEPS"
DATASETS = (METRICS, PRICE)
"""One with a single journal, and one with a journal for each symbol."""


def cycle(rig: Rig, hot_window: timedelta, steps: str) -> bool:
    """Snapshot, load, trim and refresh each dataset, or only the snapshot; whether anything came through."""
    moved = False
    for dataset in DATASETS:
        moved |= bool(rig.snapshot(dataset, batch_entries=BATCH_ENTRIES))
        if steps != "snapshot":
            moved |= bool(rig.load(dataset))
            rig.trim(dataset, hot_window)
            rig.refresh(dataset)
    return moved


if __name__ == "__main__":
    try:
        cycle(Rig(Settings.from_env()), timedelta(seconds=float(os.environ[HOT])), os.environ.get(STEPS, ""))
    except TradingDataError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
