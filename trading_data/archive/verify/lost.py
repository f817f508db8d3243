"""Lost journal entries as a value: in numbers, in words, and with the command that acknowledges them. `losses` finds them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from trading_data.datasets.declaration import Dataset
from trading_data.live.journal import EntryId
from trading_data.printable import counted, noun

_NAMED = 5
Note = tuple[str, str, int]
"""An acknowledgement: the journal, the name of the loss, and the number of entries or the last batch."""


@dataclass(frozen=True)
class Gap:
    """Lost entries of a journal: after one id, up to and including another."""

    journal: str
    incarnation: int
    after: EntryId
    upto: EntryId

    @property
    def name(self) -> str:
        """The name under which it is acknowledged."""
        return f"{self.incarnation}: after {self.after} up to {self.upto}"


@dataclass(frozen=True)
class Losses:
    """The unacknowledged losses of a dataset; journals by their names in the ledger.

    Attributes:
        gaps: lost parts of journals, between known ranges.
        missing: the number of lost entries by journal, those in gaps included; the number of a gap may be unknown.
        nowhere: the number of entries removed after the last range of a journal; the next snapshot records them.
        notes: the notes that acknowledge gaps and missing entries.
        total: the number of missing entries, acknowledged ones included, as far as it is known.
    """

    gaps: tuple[Gap, ...] = ()
    missing: Counter[str] = field(default_factory=Counter)
    nowhere: Counter[str] = field(default_factory=Counter)
    notes: tuple[Note, ...] = ()
    total: int = 0

    def __bool__(self) -> bool:
        return bool(self.gaps or self.missing or self.nowhere)

    @property
    def journals(self) -> set[str]:
        """The journals that have lost entries."""
        return {*self.missing, *self.nowhere, *(gap.journal for gap in self.gaps)}

    @property
    def least(self) -> int:
        """The minimum number of lost entries: a gap of unknown size counts as one."""
        in_gaps = Counter(gap.journal for gap in self.gaps)
        return sum((self.missing | in_gaps).values()) + self.nowhere.total()

    def only(self, journals: set[str]) -> "Losses":
        """The losses of these journals alone."""
        return Losses(
            tuple(gap for gap in self.gaps if gap.journal in journals),
            Counter({name: number for name, number in self.missing.items() if name in journals}),
            Counter({name: number for name, number in self.nowhere.items() if name in journals}),
            tuple(note for note in self.notes if not note[0] or note[0] in journals),
            self.total,
        )

    @property
    def named(self) -> str:
        """Gaps and missing entries, for people, by journal."""
        more = [f"{len(self.gaps) - _NAMED:,} more"] if len(self.gaps) > _NAMED else []
        numbers = (
            [f"{counted(self.missing.total(), 'entry', 'entries')}, from {_listed(self.missing)}"]
            if self.missing
            else []
        )
        return "; ".join([*self._first_gaps, *more, *numbers])

    @property
    def _first_gaps(self) -> list[str]:
        return [f"{gap.journal} after {gap.after} up to {gap.upto}" for gap in self.gaps[:_NAMED]]

    def messages(self) -> Iterator[tuple[str, str]]:
        """Each kind of loss (`gaps`, `missing` or `journals`) with a message that explains it."""
        with_gaps = {gap.journal for gap in self.gaps}
        if self.gaps:
            number = sum(self.missing[name] for name in with_gaps)
            entries = f" ({counted(number, 'entry', 'entries')})" if number else ""
            more = f"; and {len(self.gaps) - _NAMED:,} more" if len(self.gaps) > _NAMED else ""
            message = (
                f"{counted(len(self.gaps), 'range')} of entries{entries} {noun(len(self.gaps), 'is', 'are')} neither archived, "
                "nor in a readable batch of the intake, nor in "
                f"their journals: {'; '.join(self._first_gaps)}{more}. If a batch was moved away, put it back into the intake or "
                "restore it from a backup. Otherwise the archive was restored to an earlier state, or another program trims or "
                "deletes journals"
            )
            yield "gaps", message
        if missing := Counter({name: number for name, number in self.missing.items() if name not in with_gaps}):
            message = (
                f"{counted(missing.total(), 'entry', 'entries')} had been removed before "
                f"{noun(missing.total(), 'it', 'they')} could be drained, from {_listed(missing)}: another program trims or "
                "deletes journals"
            )
            yield "missing", message
        if self.nowhere:
            message = (
                f"{counted(self.nowhere.total(), 'entry is', 'entries are')} lost, from {_listed(self.nowhere)}: removed "
                "before being drained, or a batch was moved away. The next archive run records what is missing"
            )
            yield "journals", message


def acknowledge_command(dataset: Dataset) -> str:
    """The command that acknowledges the losses of a dataset."""
    return f"trading-data verify --acknowledge {dataset.plural} --reason 'looked into'"


def _listed(journals: Counter[str]) -> str:
    largest = ", ".join(f"{name} ({number:,})" for name, number in journals.most_common(_NAMED))
    return largest + (f" and {len(journals) - _NAMED:,} more" if len(journals) > _NAMED else "")
