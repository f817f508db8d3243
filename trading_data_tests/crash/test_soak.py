"""A short soak with random kills, three times as long with TRADING_DATA_TEST_FULL=1.

The long one is `python -m trading_data_tests.crash.soak --minutes 30`.
"""

import os

from trading_data_tests.crash.soak import soak
from trading_data_tests.rig import Rig

SEED = 20261123
SECONDS = 60.0 if os.environ.get("TRADING_DATA_TEST_FULL") else 20.0


def test_random_kills_balance(rig: Rig) -> None:
    outcome = soak(rig.settings, seed=SEED, seconds=SECONDS, symbols=40, pace=600)
    print(outcome)
    assert outcome.wrong == []
    assert outcome.accepted == outcome.accounted
    assert outcome.accepted["price"] > 0
    assert sum(outcome.kills.values()) > 0
