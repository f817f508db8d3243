"""Random walks: two archivers, producers, readers and deaths in any order; the model is a plain dict.

Hypothesis chooses the walk and prints it, with the seed, when it ends wrong. Two archivers are two independent rigs on
the same servers and intake; a death is a step that is broken off where a kill point is. One thing happens after another
here, so that a walk can be repeated; in `test_two_processes` they happen at once.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trading_data.datasets import METRICS
from trading_data_tests.crash.cycle import CYCLE_POINTS
from trading_data_tests.crash.model import MINUTES, SUBJECTS, VALUES, Model, Written
from trading_data_tests.rig import Rig

WRITTEN = st.tuples(st.sampled_from(SUBJECTS), st.sampled_from(MINUTES), st.sampled_from(VALUES))
POINTS = st.sampled_from([point for point in CYCLE_POINTS if not point.startswith("refresh")])
WHO = st.integers(0, 1)


class Died(BaseException):
    """What a SIGKILL is to the step it hits: nothing after it happens, no handler sees it."""


class Walk(RuleBasedStateMachine):
    """One walk over one dataset with a single journal."""

    rigs: tuple[Rig, Rig]

    @initialize()
    def begin(self) -> None:
        """Both tiers empty."""
        self.model = Model(self.rigs[0], METRICS)

    @rule(written=WRITTEN)
    def write(self, written: Written) -> None:
        """One entry."""
        self.model.write([written])

    @rule()
    def write_broken(self) -> None:
        """An entry that no row can be made of."""
        self.model.write_broken()

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
        for module in ("intake.store", "intake.accounted", "archive.load", "archive.trim"):
            patch.setattr(f"trading_data.{module}.reached", reached)
        try:
            getattr(self.rigs[who], step)(METRICS)
        except Died:
            pass
        finally:
            patch.undo()
            self.model.lose_lease()

    @precondition(lambda self: self.model.counts["inserted"] > 0)
    @rule()
    def lose_positions(self) -> None:
        """Redis forgets how far it was drained."""
        self.model.lose_positions()

    @invariant()
    def reads_like_the_model(self) -> None:
        """At every moment one row a key, the newest."""
        if hasattr(self, "model"):
            self.model.check_rows()

    def teardown(self) -> None:
        """Let it settle."""
        if hasattr(self, "model"):
            self.model.settle()


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
