"""What was accepted and is not archived yet: entries, values that were only set, batches.

Belongs here: counting it, without taking any of it. Does not: whether to run for it (`orchestration.schedules`).
"""

from dataclasses import dataclass

from trading_data.datasets.declaration import Dataset
from trading_data.intake.accounted import Ranges
from trading_data.intake.poll_latest import values_left
from trading_data.intake.snapshot import entries_left
from trading_data.intake.store import Intake
from trading_data.live.connection import Client


@dataclass(frozen=True)
class Backlog:
    """Counts of one dataset, or of several added up."""

    entries: int = 0
    values: int = 0
    batches: int = 0

    def __add__(self, other: "Backlog") -> "Backlog":
        """Both together."""
        return Backlog(self.entries + other.entries, self.values + other.values, self.batches + other.batches)

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.entries or self.values or self.batches)


def backlog(client: Client, intake: Intake, dataset: Dataset, archived: Ranges | None) -> Backlog:
    """What an archive run would take now, of one dataset; `archived` as for `intake.snapshot.snapshot`.

    Raises:
        LiveTierError: the live tier is away.
        IntakeError: the intake cannot be listed, or a batch is damaged.
    """
    entries = entries_left(client, intake, dataset, archived)
    return Backlog(entries, values_left(client, dataset), len(intake.pending(dataset.name)))
