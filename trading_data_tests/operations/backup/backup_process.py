"""Takes backups in processes that are told where to die: each a fork of this one, which has imported everything already.

Belongs here: that program. Does not: what has to be true afterwards (`test_kills`).
"""

import json
import os
import sys

from trading_data import kill_points
from trading_data.operations.backup.create import create_backup
from trading_data.settings import Settings
from trading_data_tests.rig import Rig


def _in_a_process(env: dict[str, str]) -> int:
    child = os.fork()
    if child == 0:
        os.environ.update(env)
        kill_points._SET = env[kill_points.VARIABLE]
        rig = Rig(Settings.from_env())
        create_backup(rig.settings.backup_uri, rig.client, rig.archive, rig.intake)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    for line in sys.stdin:
        print(_in_a_process(json.loads(line)), flush=True)
