"""Nights in processes of their own: `python -m trading_data_tests.operations.maintenance.nightly`; compression, then retention.

Each line on its standard input is the environment of one night, as JSON; the answer is the night's exit code. A night is a
fork of a process that has loaded everything and opened nothing, for loading costs more than a night.

Belongs here: the night. Does not: killing, checking.
"""

import json
import os
import sys

from trading_data import kill_points
from trading_data.settings import Settings
from trading_data_tests.operations.maintenance.ages import METRICS_SHORT, SHORT, compressed, retained
from trading_data_tests.rig import Rig

DATASETS = (SHORT, METRICS_SHORT)


def night(rig: Rig) -> None:
    """What compression_job and retention_job do, for the datasets of these tests."""
    for dataset in DATASETS:
        compressed(rig, dataset)
    for dataset in DATASETS:
        retained(rig, dataset)


def _in_a_process(env: dict[str, str]) -> int:
    child = os.fork()
    if child == 0:
        os.environ.update(env)
        kill_points._SET = env[kill_points.VARIABLE]
        night(Rig(Settings.from_env()))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    for line in sys.stdin:
        print(_in_a_process(json.loads(line)), flush=True)
