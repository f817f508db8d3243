"""Random walks: two archivers, producers, readers and deaths in any order; the model is a plain dict.

Hypothesis chooses the walk and prints it, with the seed, when it ends wrong. Two archivers are two independent rigs on
the same servers and intake; a death is a step that is broken off where a kill point is.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trading_data import kill_points
from trading_data.aggregates.compare import differences
from trading_data.datasets import METRICS
from trading_data.live.keys import lease
from trading_data.times import DAY, day_start
from trading_data_tests.rig import MOMENT, Rig, measurement

NAMES = st.sampled_from(["a", "b", "é"])
MINUTES = st.sampled_from([0, 1, 2, 61, -1500])
VALUES = st.sampled_from([1.0, 2.0, 3.5])
POINTS = st.sampled_from([point for point in kill_points.POINTS if not point.startswith("refresh")])
WHO = st.integers(0, 1)


class Died(BaseException):
    """What a SIGKILL is to the step it hits: nothing after it happens, no handler sees it."""


class Walk(RuleBasedStateMachine):
    """One walk over one dataset with a single journal, so that the order of acceptance is the order of writing."""

    rigs: tuple[Rig, Rig]

    @initialize()
    def begin(self) -> None:
        """Both tiers empty."""
        self.rigs[0].clean()
        self.model: dict[tuple[str, datetime], float] = {}
        self.counts: Counter[str] = Counter()

    @rule(name=NAMES, minute=MINUTES, value=VALUES)
    def write(self, name: str, minute: int, value: float) -> None:
        """Write, correct, repeat or come late: all the same to a producer."""
        self.rigs[0].store.record_metrics([measurement(name, minute, value)])
        key = (name, MOMENT + timedelta(minutes=minute))
        known = self.model.get(key)
        self.counts["inserted" if known is None else "unchanged" if known == value else "replaced"] += 1
        self.model[key] = value

    @rule()
    def write_broken(self) -> None:
        """An entry that no row can be made of."""
        self.rigs[0].entry("journal:metrics", {"metric_name": "a", "value": "x", "number": self.counts["quarantined"]})
        self.counts["quarantined"] += 1

    @rule(who=WHO, size=st.integers(1, 4))
    def snapshot(self, who: int, size: int) -> None:
        """Drain."""
        self.rigs[who].snapshot(METRICS, batch_entries=size)

    @rule(who=WHO)
    def load(self, who: int) -> None:
        """Load what waits."""
        self.rigs[who].load(METRICS)

    @rule(who=WHO)
    def trim(self, who: int) -> None:
        """Trim with no hot window."""
        self.rigs[who].trim(METRICS)

    @rule(who=WHO)
    def refresh(self, who: int) -> None:
        """Refresh what changed."""
        self.rigs[who].refresh(METRICS)

    @rule(who=WHO, point=POINTS, step=st.sampled_from(["snapshot", "load", "trim"]))
    def die(self, who: int, point: str, step: str) -> None:
        """A step that is broken off where the point is, if it comes by there; its lease is left to run out."""

        def reached(here: str) -> None:
            if here == point:
                raise Died

        patch = pytest.MonkeyPatch()
        for module in ("intake.store", "intake.snapshot", "archive.load", "archive.trim"):
            patch.setattr(f"trading_data.{module}.reached", reached)
        try:
            getattr(self.rigs[who], step)(METRICS)
        except Died:
            pass
        finally:
            patch.undo()
            self.rigs[0].client.delete(lease("metrics"))

    @precondition(lambda self: self.counts["inserted"] > 0)
    @rule(who=WHO)
    def lose_positions(self, who: int) -> None:
        """Redis forgets how far it was drained."""
        self.rigs[who].client.delete("archive:drained:metrics")

    @invariant()
    def reads_like_the_model(self) -> None:
        """At every moment one row a key, the newest."""
        if not hasattr(self, "model"):
            return
        frame = self.rigs[1].reader.metrics(None, MOMENT - 5 * DAY, MOMENT + DAY)
        times = frame["timestamp"].dt.to_pydatetime()
        found = dict(zip(zip(frame["metric_name"], times, strict=True), frame["value"], strict=True))
        assert len(found) == len(frame)
        assert found == self.model

    def teardown(self) -> None:
        """Let it settle: tables, counts and aggregates are the model's."""
        if not hasattr(self, "model"):
            return
        rig = self.rigs[0]
        rig.archive_all(METRICS)
        account = rig.account(METRICS)
        assert {one: getattr(account, one) for one in ("inserted", "replaced", "unchanged", "quarantined")} == {
            one: self.counts[one] for one in ("inserted", "replaced", "unchanged", "quarantined")
        }
        assert account.accepted == rig.accepted(METRICS)
        assert account.missing == 0
        rows = rig.query("select metric_name, timestamp, value from metrics_data")
        assert {(name, moment): value for name, moment, value in rows} == self.model
        start = day_start(MOMENT.date())
        assert differences(rig.archive, METRICS, METRICS.aggregates[0], start - 5 * DAY, start + DAY) == []


def test_random_walks(rig: Rig) -> None:
    other = Rig(rig.settings)

    class Here(Walk):
        rigs = (rig, other)

    case: Any = Here.TestCase
    case.settings = settings(
        max_examples=12,
        stateful_step_count=14,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    try:
        case("runTest").runTest()
    finally:
        other.close()
