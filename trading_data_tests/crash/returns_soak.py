"""A soak with returns: batches away and back, an older archive, another primary, among killed cycles, under a running feed.

`python -m trading_data_tests.crash.returns_soak --minutes 20 --seed 1` takes the archive that TRADING_DATA_TIMESCALE_URL names
(an empty database of its own) or starts an embedded one; the Redis servers are its own. At the end every record that Redis
accepted and has not lost itself is in the archive, exactly once, and the newest one of each key is its row.

Belongs here: what happens, at random, from a seed that is printed. Does not: servers (`pair`), books (`returns_books`), the
balance at the end (`returns_balance`).
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from trading_data.archive.database import Archive
from trading_data.archive.schema.migrate import migrate
from trading_data.kill_points import VARIABLE
from trading_data.live.keys import drained, lease
from trading_data.local.servers import Stack
from trading_data.operations.backup.create import create_backup
from trading_data.operations.backup.manifest import Backup, chosen
from trading_data.operations.backup.restore import restore
from trading_data.settings import HOME, INTAKE_URI, REDIS_URL, TIMESCALE_URL, Settings
from trading_data_tests.crash.cycle import CYCLE_POINTS
from trading_data_tests.crash.pair import Pair, program_for
from trading_data_tests.crash.returns_balance import settle, unbalanced
from trading_data_tests.crash.returns_books import Lost, Producer
from trading_data_tests.crash.returns_cycle import DATASETS, HOT, STEPS
from trading_data_tests.rig import Rig

_RECENT = 60.0
"""Seconds before a failover in which what Redis loses was written: the replica is never held back longer."""
_OLDEST = 60.0
"""Seconds that a backup is old at most when it is restored."""
_STRETCH = 3
"""How many times as long a soak may take on a busy machine, until it has seen a failover and a restore."""
_MARGIN = 15.0
"""Seconds by which the hot window is longer than what a restore needs: clocks of servers differ by some of them."""
_ACTIONS = ("cycle",) * 12 + ("snapshot",) * 2 + ("batch away",) * 4 + ("two archivers",) * 2 + ("note", "lease")


@dataclass
class Outcome:
    """What a soak did and found; `wrong` is empty when everything balances."""

    seed: int
    minutes: float
    servers: str = ""
    clock_offsets: list[float] = field(default_factory=list)
    cycles: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    failed_cycles: Counter[str] = field(default_factory=Counter)
    failovers: Counter[str] = field(default_factory=Counter)
    backups: int = 0
    restores: int = 0
    restores_left_out: int = 0
    batches_away: int = 0
    two_archivers: int = 0
    notes_deleted: int = 0
    leases_deleted: int = 0
    accepted: int = 0
    unknown: int = 0
    unknown_found: int = 0
    lost_by_redis: int = 0
    lost_by_redis_and_restore: int = 0
    expected: dict[str, int] = field(default_factory=dict)
    accounted: dict[str, int] = field(default_factory=dict)
    quarantined: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@dataclass
class Taken:
    """A backup, when it was taken, and up to when everything accepted is in its archive; on our clock."""

    backup: Backup
    at: float
    archived_to: float
    wait: float


class Soak:
    """One soak: both tiers, the feed, and what may happen to them."""

    def __init__(self, settings: Settings, pair: Pair, outcome: Outcome, *, every: float, hot: float, pause: float):
        """`every`: seconds between two failovers, or two backups, on average; `hot`: the hot window in seconds."""
        self.settings, self.pair, self.outcome = settings, pair, outcome
        self.every, self.hot = every, hot
        self.random = random.Random(outcome.seed)
        self.rig = Rig(settings)
        self.away = settings.home / "away"
        self.producer = Producer(pair.url, outcome.seed, pause)
        self.lost = Lost()
        self.turns_away: dict[Path, int] = {}
        self.taken: Taken | None = None
        self.archived_to = time.monotonic()
        self.next_failover = self.next_backup = 0.0

    def run(self, seconds: float) -> None:
        """Everything, for so many seconds, and the balance at the end."""
        began = time.monotonic()
        self.next_failover, self.next_backup = self._soon(began), self._soon(began)
        self.producer.start()
        while (moment := time.monotonic()) < began + seconds or (
            moment < began + _STRETCH * seconds and not (self.outcome.failovers and self.outcome.restores)
        ):
            self._put_back()
            if moment > self.next_backup:
                self._backup_or_restore(moment)
            elif moment > self.next_failover:
                self._fail_over()
                self.next_failover = self._soon(time.monotonic())
            else:
                self._act(self.random.choice(_ACTIONS))
        self.producer.over.set()
        self.producer.join()
        self._put_back(everything=True)
        self._finish()

    def _finish(self) -> None:
        outcome, producer = self.outcome, self.producer
        self._say("settling")
        self._delete_leases()
        settle(self.rig)
        outcome.wrong += unbalanced(self.rig, producer, self.lost.numbers, last=False).wrong
        producer.write_every_key()
        settle(self.rig)
        found = unbalanced(self.rig, producer, self.lost.numbers, last=True)
        outcome.wrong += found.wrong
        outcome.expected, outcome.accounted = found.expected, found.accounted
        outcome.quarantined, outcome.examples = found.quarantined, found.examples
        outcome.unknown_found = found.unknown_found
        outcome.accepted, outcome.unknown = len(producer.accepted), len(producer.unknown)
        outcome.lost_by_redis = len(self.lost.by_redis & producer.accepted.keys())
        outcome.lost_by_redis_and_restore = len(self.lost.by_redis_and_restore)
        outcome.clock_offsets = self.pair.offsets
        self.rig.close()

    def _act(self, action: str) -> None:
        if action in ("cycle", "snapshot"):
            self._cycle(action)
        elif action == "batch away":
            self._cycle("snapshot", kill=False)
            self._take_away()
        elif action == "two archivers":
            self._two_archivers()
        elif action == "note":
            self.outcome.notes_deleted += 1
            for dataset in DATASETS:
                self.rig.client.delete(drained(dataset.name))
        else:
            child = self._start()
            time.sleep(self.random.uniform(1.5, 4.0))
            self.outcome.leases_deleted += 1
            self._delete_leases()
            self._end(child, "lease deleted", may_fail=True)

    def _cycle(self, steps: str, *, kill: bool = True) -> None:
        """One cycle, or only its snapshot, killed at a random point or moment or not at all."""
        point = self.random.choice([*CYCLE_POINTS, "at any moment", *(["not at all"] * 8)]) if kill else "not at all"
        began = time.monotonic()
        extra = {VARIABLE: f"{point}:{self.random.randint(1, 4)}"} if point in CYCLE_POINTS else {}
        child = self._start(steps, **extra)
        if point == "at any moment":
            time.sleep(self.random.uniform(0.5, 6.0))
            child.kill()
        if self._end(child, point) == 0 and steps == "cycle":
            self.archived_to = max(self.archived_to, began)
        self._delete_leases()

    def _two_archivers(self) -> None:
        """One stands still after its lease has run out, and goes on when another one is at work."""
        self.outcome.two_archivers += 1
        first = self._start()
        time.sleep(self.random.uniform(1.0, 4.0))
        first.send_signal(signal.SIGSTOP)
        self._delete_leases()
        second = self._start()
        time.sleep(self.random.uniform(0.5, 4.0))
        first.send_signal(signal.SIGCONT)
        self._end(second, "two archivers", may_fail=True)
        self._end(first, "two archivers", may_fail=True)
        self._delete_leases()

    def _take_away(self) -> None:
        """Some of the batches that wait are moved to another folder for one to three turns."""
        for dataset in DATASETS:
            for file in self.rig.intake.pending(dataset.name):
                if self.random.random() < 0.5:
                    there = self.away / dataset.name / file.name
                    there.parent.mkdir(parents=True, exist_ok=True)
                    os.rename(file.path, there)
                    self.turns_away[there] = self.random.randint(2, 4)
                    self.outcome.batches_away += 1

    def _put_back(self, *, everything: bool = False) -> None:
        for file in list(self.turns_away):
            self.turns_away[file] -= 1
            if everything or not self.turns_away[file]:
                del self.turns_away[file]
                folder = Path(self.settings.intake_uri) / file.parent.name
                folder.mkdir(parents=True, exist_ok=True)
                os.rename(file, folder / file.name)

    def _backup_or_restore(self, moment: float) -> None:
        if self.taken is None:
            made = create_backup(self.settings.backup_uri, self.rig.client, self.rig.archive, self.rig.intake)
            found = chosen(self.settings.backup_uri, made.name)
            self.outcome.backups += 1
            self.taken = Taken(found, moment, self.archived_to, self.random.uniform(0.1, 0.6) * self.every)
            self.next_backup = moment + min(self.taken.wait, _OLDEST - 10)
            self._say(f"backup {made.name} in {time.monotonic() - moment:.1f} s")
            return
        taken, self.taken = self.taken, None
        if moment - taken.at > _OLDEST or moment - taken.archived_to > self.hot - _MARGIN:
            self.outcome.restores_left_out += 1
        else:
            self._restore(taken, moment)
        shutil.rmtree(Path(taken.backup.uri) / taken.backup.name)
        self.next_backup = self._soon(time.monotonic())

    def _restore(self, taken: Taken, moment: float) -> None:
        """The archive goes back to the backup while the feed goes on."""
        url = self.settings.require_timescale_url()
        restore(
            taken.backup, client=None, timescale_url=url, intake=self.rig.intake, tier="timescale", into_non_empty=True
        )
        self.archived_to = taken.archived_to
        self.outcome.restores += 1
        lost = len(self.lost.by_redis_and_restore)
        self.lost.after_restore(self.rig, self.away)
        lost = len(self.lost.by_redis_and_restore) - lost
        took = time.monotonic() - moment
        self._say(f"restored a backup {moment - taken.at:.0f} s old in {took:.1f} s; {lost} were only in the archive")

    def _fail_over(self) -> None:
        """The primary dies while its replica lags: between two cycles, after a whole one in the lag, or during one."""
        kind = self.random.choice(("between cycles", "after a cycle", "during a cycle", "during a cycle"))
        child = self._start() if kind == "during a cycle" else None
        time.sleep(self.random.uniform(0.5, 4.0) if child else 0)
        self.pair.link.hold()
        if kind == "after a cycle":
            self._cycle("cycle")
        time.sleep(self.random.uniform(0.3, 1.5))
        producer = self.producer
        producer.may_go_on.clear()
        self.pair.kill_primary()
        producer.stands.wait()
        killed, written = time.monotonic(), set(producer.unknown)
        written |= {number for number, at in list(producer.accepted.items()) if at > killed - _RECENT}
        self.pair.promote()
        if self.random.random() < 0.5:
            producer.may_go_on.set()
        if child:
            self._end(child, "failover", may_fail=True)
        self._delete_leases()
        before = len(self.lost.by_redis)
        producer.found(self.lost.after_failover(self.rig, self.away, written - self.lost.numbers))
        producer.may_go_on.set()
        self.outcome.failovers[kind] += 1
        self.pair.add_replica(self.random.randint(0, 9))
        lost = len(self.lost.by_redis) - before
        self._say(f"failover {kind}: clock {self.pair.offsets[-1]} s, {lost} lost by Redis")
        if kind == "after a cycle" or self.random.random() < 0.3:
            # Until new entries have larger ids than any that was lost.
            time.sleep(self.pair.primary.behind + self.random.uniform(0.5, 3.0))

    def _start(self, steps: str = "cycle", **extra: str) -> "subprocess.Popen[bytes]":
        """A cycle in a process of its own."""
        env = {**os.environ, **_environment(self.settings), HOT: str(self.hot), STEPS: steps, **extra}
        env["TRADING_DATA_TEST_BATCH"] = str(self.random.choice((150, 600, 5000)))
        self.outcome.cycles += steps == "cycle"
        return subprocess.Popen([sys.executable, "-m", "trading_data_tests.crash.returns_cycle"], env=env)

    def _end(self, child: "subprocess.Popen[bytes]", point: str, *, may_fail: bool = False) -> int:
        code = child.wait(300)
        if code == -signal.SIGKILL:
            self.outcome.kills[point] += 1
            time.sleep(0.3)  # what it had sent to the archive last may still be committed
        elif code and may_fail:
            self.outcome.failed_cycles[point] += 1
        elif code:
            self.outcome.wrong.append(f"a cycle ended with {code}")
        return code

    def _delete_leases(self) -> None:
        for dataset in DATASETS:
            self.rig.client.delete(lease(dataset.name))

    def _soon(self, moment: float) -> float:
        return moment + self.random.uniform(0.5, 1.2) * self.every

    def _say(self, line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {len(self.producer.key_of):7,} written: {line}", flush=True)


def _environment(settings: Settings) -> dict[str, str]:
    return {
        HOME: str(settings.home),
        INTAKE_URI: settings.intake_uri,
        REDIS_URL: settings.require_redis_url(),
        TIMESCALE_URL: settings.require_timescale_url(),
    }


def soak(
    settings: Settings, *, native: bool, seed: int, seconds: float, every: float, hot: float, pause: float
) -> Outcome:
    """Run a soak in `settings.home` against the archive that `settings` names, which has to be empty and migrated."""
    outcome = Outcome(seed, round(seconds / 60, 2))
    program = program_for(native)
    pair = Pair(settings.home / "live", program)
    try:
        outcome.servers = f"{Path(program).name}, clocks {'differ' if pair.clocks_can_differ else 'cannot differ here'}"
        here = replace(settings, redis_url=pair.url)
        Soak(here, pair, outcome, every=every, hot=hot, pause=pause).run(seconds)
    finally:
        pair.stop()
    return outcome


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--minutes", default=20.0, show_default=True)
@click.option("--every", default=60.0, show_default=True, help="Seconds between two failovers, or two backups.")
@click.option("--hot", default=180.0, show_default=True, help="Hot window in seconds.")
@click.option("--pause", default=0.05, show_default=True, help="Seconds between two writes of some records.")
@click.option("--keep", is_flag=True, help="Keep the folder with the servers' files.")
def main(seed: int, minutes: float, keep: bool, **options: Any) -> None:
    """Run a soak; exit 1 if it does not balance."""
    home = Path(tempfile.mkdtemp(prefix="returns_soak_"))
    given = replace(
        Settings.from_env(),
        home=home,
        intake_uri=str(home / "intake"),
        backup_uri=str(home / "backups"),
        redis_url="redis://127.0.0.1:1/0",
    )
    native = given.timescale_url is not None
    stack = Stack(replace(given, dagster_url="postgresql+psycopg2://postgres@127.0.0.1:1/none"))
    settings = stack.start()
    print(f"seed {seed}, {minutes} minutes, in {home}", flush=True)
    try:
        migrate(Archive(settings.require_timescale_url()))
        outcome = soak(settings, native=native, seed=seed, seconds=minutes * 60, **options)
    finally:
        stack.stop()
        if not keep:
            shutil.rmtree(home, ignore_errors=True)
    print(json.dumps(vars(outcome), indent=1))
    sys.exit(1 if outcome.wrong else 0)


if __name__ == "__main__":
    main()
