"""Random walks whose steps are carried out by two real processes at once, and whose deaths are real SIGKILLs.

A walk is drawn from its seed: what is written, which steps overlap, and where or after how many milliseconds a process is
killed or held up. How they overlap is up to the machine; so when a walk ends wrong, its course is printed with the seed.
`TRADING_DATA_TEST_FULL=1` walks further, `TRADING_DATA_TEST_SEED` chooses the walks.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import connection
from typing import Any

import pytest

from trading_data.datasets import DATASETS
from trading_data_tests.crash.cycle import CYCLE_POINTS, STEPS
from trading_data_tests.crash.model import MINUTES, SUBJECTS, VALUES, Model, Written
from trading_data_tests.crash.worker import Order, Worker
from trading_data_tests.crash.workload import trimmed_early
from trading_data_tests.rig import Rig

WALKS, LENGTH = (40, 60) if os.environ.get("TRADING_DATA_TEST_FULL") else (3, 30)
SEED = int(os.environ.get("TRADING_DATA_TEST_SEED") or random.SystemRandom().randrange(10**6))
PAIRS = [*((step, step) for step in STEPS), ("snapshot", "load"), ("load", "trim"), *2 * (("refresh", "load"),)]
LOST = ("the lease on the", "another process has been draining")
"""What the one clear error says when a step loses to the other process."""
LONGEST = 0.025
"""Seconds after which a step is killed or held up, at most: most have ended by then."""


class Walk:
    """A producer and a reader, here, beside two processes that archive: what happens is drawn, one thing after another."""

    def __init__(self, rig: Rig, workers: tuple[Worker, Worker], seed: int, tally: Counter[str]) -> None:
        """The datasets take turns."""
        self.random, self.workers, self.tally = random.Random(seed), workers, tally
        self.model = Model(rig, list(DATASETS.values())[seed % len(DATASETS)])
        self.course: list[str] = []
        self.may_happen = (
            self.model.write_broken,
            self.model.lose_positions,
            self.drain_again,
            self.model.check_buckets,
            *4 * (self.begin,),
            *2 * (self.both,),
            *3 * (self.die_at_a_point,),
            self.die_at_any_moment,
            self.held_up,
            self.settle,
        )

    def go(self, steps: int) -> None:
        """Walk, and settle: an error carries the course."""
        try:
            for _ in range(steps):
                if self.random.random() < 0.6:
                    self.write()
                what = self.random.choice(self.may_happen)
                self.note(what.__name__)
                what()
                self.model.check_rows()
                assert trimmed_early(self.model.rig, self.model.dataset) == []
            self.settle()
            self.model.settle()
        except BaseException as error:
            error.add_note("\n".join(self.course))
            raise

    def begin(self) -> None:
        """A step that is left running."""
        self.order(self.random.randrange(2))

    def both(self) -> None:
        """Two steps at once, with something to do, and both to their end; after a refresh all aggregates are right."""
        one, other = self.random.choice(PAIRS)
        if "load" in (one, other):
            self.order(0, "snapshot")
            self.settle()
        self.order(0, one)
        self.order(1, other)
        self.settle()
        self.order(0, "refresh")
        self.settle()
        self.model.check_buckets()

    def drain_again(self) -> None:
        """Redis has forgotten how far it was drained, and the archive cannot be asked."""
        self.settle()
        self.model.lose_positions()
        self.order(self.random.randrange(2), "snapshot", archived=None)

    def die_at_a_point(self) -> None:
        """A step that is killed at one of its kill points, if it comes by there; left running."""
        self.order(self.random.randrange(2), deadly=True)

    def die_at_any_moment(self) -> None:
        """A step that is killed sooner or later."""
        who = self.random.randrange(2)
        self.order(who)
        time.sleep(self.random.uniform(0, LONGEST))
        self.workers[who].kill()
        self.take(who)
        self.model.lose_lease()

    def held_up(self) -> None:
        """A step that stands still for longer than its lease lasts, and then goes on as if nothing had happened."""
        who = self.random.randrange(2)
        self.settle()
        self.order(who)
        time.sleep(self.random.uniform(0, LONGEST))
        os.kill(self.workers[who].pid, signal.SIGSTOP)
        self.model.lose_lease()
        self.order(1 - who)
        self.write()
        time.sleep(self.random.uniform(0, LONGEST))
        os.kill(self.workers[who].pid, signal.SIGCONT)
        self.tally["held up"] += 1

    def settle(self) -> None:
        """Both to their end."""
        for who in range(2):
            self.take(who)

    def write(self) -> None:
        """Some entries of few keys."""
        draw = self.random.choice
        many: list[Written] = [(draw(SUBJECTS), draw(MINUTES), draw(VALUES)) for _ in range(draw(range(1, 7)))]
        self.note(f"write {many}")
        self.model.write(many)

    def order(self, who: int, step: str | None = None, *, deadly: bool = False, **options: Any) -> None:
        """Let a worker begin a step, by default any, once it has ended the one before."""
        self.take(who)
        step = step or self.random.choice(list(STEPS))
        points = [point for point in CYCLE_POINTS if point.startswith(STEPS[step])]
        kill_at = f"{self.random.choice(points)}:{self.random.choice((1, 1, 2))}" if deadly else ""
        if step == "snapshot":
            options["batch_entries"] = self.random.randint(1, 4)
        order = Order(step, self.model.dataset.name, options, kill_at)
        self.note(f"{'AB'[who]}: {order}")
        self.tally["steps"] += 1
        self.workers[who].begin(order)

    def take(self, who: int) -> None:
        """Wait for a worker. The other may die meanwhile, with a lease for which this one waits."""
        while self.workers[who].order is not None:
            busy = {id(worker.line): worker for worker in self.workers if worker.order is not None}
            lines = connection.wait([worker.line for worker in busy.values()], 150)
            assert lines, "no answer"
            for line in lines:
                self.judge(busy[id(line)])

    def judge(self, worker: Worker) -> None:
        """A step may end, lose to the other with one clear error, or die."""
        answer = worker.answer()
        self.note(f"{'AB'[self.workers.index(worker)]}: {answer.outcome} {answer.said}")
        self.tally[f"{answer.outcome} {answer.said[:70]}".strip()] += 1
        assert answer.outcome != "wrong"
        assert answer.outcome != "refused" or any(lost in answer.said for lost in LOST)
        if answer.outcome == "killed":
            self.tally["kills"] += 1
            self.model.lose_lease()

    def note(self, line: str) -> None:
        """One line of the course."""
        self.course.append(line)


@pytest.fixture
def workers(rig: Rig) -> Iterator[tuple[Worker, Worker]]:
    made = Worker(rig.settings), Worker(rig.settings)
    yield made
    for worker in made:
        worker.close()


def test_random_walks_of_two_processes(rig: Rig, workers: tuple[Worker, Worker]) -> None:
    tally: Counter[str] = Counter(walks=WALKS)
    print(f"TRADING_DATA_TEST_SEED={SEED}")
    try:
        for walk in range(WALKS):
            Walk(rig, workers, SEED + walk, tally).go(LENGTH)
    finally:
        print("\n".join(f"{count:6} {name}" for name, count in sorted(tally.items())))
    assert tally["kills"] > 0
    assert tally["done"] > tally["steps"] / 2
