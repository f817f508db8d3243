"""Sending to a live tier that may be full or away: `Sender` retries until all records are accepted, and counts.

Belongs here: blocks, pauses and retries. Does not: when a minute is due (`pump`), and how records are written (`live.store`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Dataset
from trading_data.errors import LiveTierError, LiveTierFull
from trading_data.live.connection import live_errors
from trading_data.live.store import LiveStore
from trading_data.printable import counted

_BLOCK = 250
"""Records per call, within one pipeline of LiveStore (500): a refusal lists the refused records of its pipeline, and stops the
pipelines after it."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
"""Seconds before a retry; each pause is twice the last one, until a record is accepted."""


@dataclass
class FeedCounts:
    """Counts of the records so far.

    Attributes:
        accepted: dataset → records known to be accepted by the live tier, each counted once.
        repeats: records sent again although they were, or may have been, accepted.
        waits: pauses because the live tier was full or away.
        minutes: minutes sent completely.
        unsent: records given up, not known to be accepted, because the feed was stopped in such a pause.
    """

    accepted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DATASETS, 0))
    repeats: int = 0
    waits: int = 0
    minutes: int = 0
    unsent: int = 0

    def __str__(self) -> str:
        """One line for a log."""
        taken = ", ".join(f"{count:,} {DATASETS[name].title}" for name, count in self.accepted.items())
        rest = f"{self.repeats:,} repeats, {self.waits:,} waits, {self.unsent:,} unsent"
        return f"{self.minutes:,} minutes: {taken}; {rest}"


class Sender:
    """Sends records in order and loses none.

    Within each journal the *last* entries of the records are in the order of the records, so that the newest wins: a record that
    was accepted after an earlier one of its journal was refused is sent again after that one. A repeated entry is an unchanged
    row of the archive.
    """

    def __init__(
        self, store: LiveStore, counts: FeedCounts, report: Callable[[str], None], pause: Callable[[float], bool]
    ) -> None:
        """`pause` waits some seconds and returns True to give up; `report` gets lines for people."""
        self._store, self._counts, self._report, self._pause = store, counts, report, pause
        self._trouble: type[LiveTierError] | None = None
        self._smooth = self._gave_up = False
        self._waits_before = 0

    @contextmanager
    def one_minute(self) -> Iterator[None]:
        """The context of one minute's records. Trouble is over after a minute without any."""
        self._smooth = True
        yield
        self._counts.minutes += not self._gave_up
        if self._smooth:
            self.over()

    def over(self) -> None:
        """Report the end of trouble, if there was any and no record was given up."""
        if self._trouble and not self._gave_up:
            self._report(
                f"the live tier accepts all records again, after {counted(self._counts.waits - self._waits_before, 'wait')}"
            )
            self._trouble = None

    def send(self, dataset: Dataset, records: Sequence[Any]) -> None:
        """Send all `records`, and return then; records that are given up are counted as unsent.

        Raises:
            BadInput: a record breaks a rule of the dataset; none of its block was written.
        """
        for start in range(0, len(records), _BLOCK):
            self._send_block(dataset, records[start : start + _BLOCK])

    def _send_block(self, dataset: Dataset, block: Sequence[Any]) -> None:
        todo = list(range(len(block)))
        taken: set[int] = set()  # known to be accepted
        maybe: set[int] = set()
        seconds = _FIRST_PAUSE
        while todo and not self._gave_up:
            sent, refused, known = set(todo), set[int](), True
            trouble: LiveTierError | None = None
            try:
                self._store.record(dataset, [block[at] for at in todo])
                todo = []
            except LiveTierFull as error:
                trouble, refused = error, {todo[at] for at in error.refused}
                known = bool(refused)  # else only latest values were refused, or it is not known which records
                todo = _again(dataset, block, todo, refused) if known else todo
            except LiveTierError as error:
                trouble, known = error, False
            arrived = sent - refused
            self._counts.repeats += len(arrived & (taken | maybe))
            if known:
                self._counts.accepted[dataset.name] += len(arrived - taken)
                seconds = _FIRST_PAUSE if arrived - taken else seconds
            (taken if known else maybe).update(arrived)
            if trouble is not None:
                seconds = self._wait_out(trouble, seconds)
        self._counts.unsent += len(block) - len(taken)

    def _wait_out(self, error: LiveTierError, seconds: float) -> float:
        """Pause once if the server is full, else until it answers, so that a block is not sent again after each pause."""
        while True:
            seconds = self._wait(error, seconds)
            if self._gave_up or isinstance(error, LiveTierFull):
                return seconds
            try:
                with live_errors(self._store.client):
                    self._store.client.ping()
                return seconds
            except LiveTierError as still_away:
                error = still_away

    def _wait(self, error: LiveTierError, seconds: float) -> float:
        """Pause, and return the length of the next pause."""
        if self._trouble is None:
            self._waits_before = self._counts.waits
        if self._trouble is not type(error):
            self._trouble = type(error)
            self._report(f"waiting, no record is lost: {error}")
        self._smooth = False
        self._counts.waits += 1
        self._gave_up = self._pause(seconds)
        return min(2 * seconds, _LONGEST_PAUSE)


def _again(dataset: Dataset, block: Sequence[Any], sent: list[int], refused: set[int]) -> list[int]:
    """The positions to send again, in order: refused records, and later ones of their journals."""
    held_up: set[str] = set()
    out = []
    for at in sent:
        journal = dataset.journal_of(getattr(block[at], dataset.subject))
        if at in refused:
            held_up.add(journal)
        if journal in held_up:
            out.append(at)
    return out
