"""One whole archive cycle in a process of its own: `python -m trading_data_tests.crash.cycle`.

Belongs here: the cycle, in small batches so that each step happens several times. Does not: killing, checking.
"""

import os
import sys

from trading_data.datasets import DATASETS
from trading_data.errors import TradingDataError
from trading_data.kill_points import POINTS
from trading_data.settings import Settings
from trading_data_tests.rig import Rig

STEPS = {
    "snapshot": ("batch.", "snapshot."),
    "load": ("load.",),
    "trim": ("trim.",),
    "refresh": ("refresh.",),
}
"""The steps of a cycle, and how the names of their kill points begin."""
CYCLE_POINTS = [
    point for point in POINTS if point.startswith(tuple(kind for kinds in STEPS.values() for kind in kinds))
]
BATCH_ENTRIES = int(os.environ.get("TRADING_DATA_TEST_BATCH", "9"))


def cycle(rig: Rig) -> None:
    """Snapshot, load, trim and refresh every dataset."""
    for dataset in DATASETS.values():
        rig.snapshot(dataset, batch_entries=BATCH_ENTRIES)
        rig.load(dataset)
        rig.trim(dataset)
        rig.refresh(dataset)


if __name__ == "__main__":
    try:
        cycle(Rig(Settings.from_env()))
    except TradingDataError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
