"""The backlog of a dataset: journal entries, latest values without an entry, and batches that are not archived yet."""

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
        """Whether there is any backlog."""
        return bool(self.entries or self.values or self.batches)


def backlog(client: Client, intake: Intake, dataset: Dataset, archived: Ranges | None) -> Backlog:
    """The backlog that an archive run would process now; `archived` as for `intake.snapshot.snapshot`.

    Raises:
        LiveTierError: the live tier is unavailable.
        IntakeError: the intake cannot be listed, or a batch is damaged.
    """
    entries = entries_left(client, intake, dataset, archived)
    return Backlog(entries, values_left(client, dataset), len(intake.pending(dataset.name)))
