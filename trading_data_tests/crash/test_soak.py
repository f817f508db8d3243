"""A short soak with random kills; the long one is `python -m trading_data_tests.crash.soak --minutes 30`."""

from trading_data_tests.crash.soak import soak
from trading_data_tests.rig import Rig

SEED = 20261123


def test_twenty_seconds_of_random_kills_balances(rig: Rig) -> None:
    outcome = soak(rig.settings, seed=SEED, seconds=20, symbols=40, pace=600)
    print(outcome)
    assert outcome.wrong == []
    assert outcome.accepted == outcome.accounted
    assert outcome.accepted["price"] > 0
    assert sum(outcome.kills.values()) > 0
