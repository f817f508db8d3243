"""Every declared threshold, crossed and left: told once with its number, limit and command, and cleared once."""

import pytest

from trading_data.operations.alerts.message import Message
from trading_data.operations.alerts.state import CLEARED, NEW, ChannelState, step
from trading_data.operations.health.metric import Figures, Metric
from trading_data.operations.health.rules import BACKUPS, THRESHOLDS
from trading_data.operations.health.thresholds import Threshold, judge

EVERY_ONE = [*THRESHOLDS, *BACKUPS]


def figures(threshold: Threshold, value: float) -> Figures:
    return Figures((Metric(threshold.figure, value, "count", threshold.subject or "price"),))


@pytest.mark.parametrize("at", range(len(EVERY_ONE)), ids=lambda at: f"{EVERY_ONE[at].key}-{EVERY_ONE[at].severity}")
def test_crossed_and_left(at: int) -> None:
    threshold = EVERY_ONE[at]
    if threshold.above is not None:
        beyond, within = threshold.above + 1, threshold.above
    else:
        assert threshold.below is not None
        beyond, within = threshold.below - 1, threshold.below
    found = judge([threshold], figures(threshold, beyond))
    first = step(ChannelState(), found, 0.0, 1800.0)
    (told,) = first.due
    assert told.status == NEW
    said = Message(first.due, 0.0).as_text()
    assert said.startswith(f"{threshold.severity.upper()} {threshold.key}.")
    for line in ("value ", ", limit ", "run: "):
        assert line in said
    (over,) = step(first.delivered, judge([threshold], figures(threshold, within)), 600.0, 1800.0).due
    assert over.status == CLEARED
    assert Message((over,), 600.0).as_text().rstrip().endswith("10 min")
