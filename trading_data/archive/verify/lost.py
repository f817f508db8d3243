"""What is lost: entries of journals that are nowhere, in numbers and in words, and the command that acknowledges them.

Belongs here: this value and its words. Does not: finding what is lost (`losses`).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from trading_data.datasets.declaration import Dataset
from trading_data.live.journal import EntryId
from trading_data.printable import counted, noun

_NAMED = 5
Note = tuple[str, str, int]
"""What is acknowledged: journal, what, how many entries or up to which batch."""


@dataclass(frozen=True)
class Gap:
    """Entries of a journal, after one id up to another, that are nowhere."""

    journal: str
    incarnation: int
    after: EntryId
    upto: EntryId

    @property
    def name(self) -> str:
        """What it is acknowledged by."""
        return f"{self.incarnation}: after {self.after} up to {self.upto}"


@dataclass(frozen=True)
class Lost:
    """What is nowhere and not acknowledged; journals by their names in the ledger.

    Attributes:
        gaps: parts of journals between what is known.
        missing: how many entries are lost of a journal, those in its gaps too; a gap may have no number.
        nowhere: entries that were removed after the last range of a journal; the next snapshot notes them.
        notes: what acknowledges gaps and missing entries.
        total: missing entries, the acknowledged ones too, as far as it is known.
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
        """Which journals have lost something."""
        return {*self.missing, *self.nowhere, *(gap.journal for gap in self.gaps)}

    @property
    def least(self) -> int:
        """How many entries are lost at least: a gap stands for one or more."""
        in_gaps = Counter(gap.journal for gap in self.gaps)
        return sum((self.missing | in_gaps).values()) + self.nowhere.total()

    def only(self, journals: set[str]) -> "Lost":
        """What some journals have lost."""
        return Lost(
            tuple(gap for gap in self.gaps if gap.journal in journals),
            Counter({name: number for name, number in self.missing.items() if name in journals}),
            Counter({name: number for name, number in self.nowhere.items() if name in journals}),
            tuple(note for note in self.notes if not note[0] or note[0] in journals),
            self.total,
        )

    @property
    def named(self) -> str:
        """Gaps and missing entries by their journals."""
        shown = [f"{gap.journal} after {gap.after} up to {gap.upto}" for gap in self.gaps[:_NAMED]]
        more = [f"{len(self.gaps) - _NAMED:,} more"] if len(self.gaps) > _NAMED else []
        numbers = (
            [f"{counted(self.missing.total(), 'entry', 'entries')}, from {_listed(self.missing)}"]
            if self.missing
            else []
        )
        return "; ".join([*shown, *more, *numbers])

    def said(self) -> Iterator[tuple[str, str]]:
        """Each kind of loss in words: `gaps`, `missing` or `journals`, and what happened."""
        with_gaps = {gap.journal for gap in self.gaps}
        if self.gaps:
            number = sum(self.missing[name] for name in with_gaps)
            many = f" ({counted(number, 'entry', 'entries')})" if number else ""
            shown = "; ".join(f"{gap.journal} after {gap.after} up to {gap.upto}" for gap in self.gaps[:_NAMED])
            more = f"; and {len(self.gaps) - _NAMED:,} more" if len(self.gaps) > _NAMED else ""
            said = (
                f"{counted(len(self.gaps), 'range')} of entries{many} {noun(len(self.gaps), 'is', 'are')} neither archived, "
                "nor in a readable batch of the intake, nor in "
                f"their journals: {shown}{more}. Either a batch was moved away: put it back into the intake, or restore it from a "
                "backup. Or the archive was restored to an earlier state, or somebody trims or deletes journals"
            )
            yield "gaps", said
        if missing := Counter({name: number for name, number in self.missing.items() if name not in with_gaps}):
            said = (
                f"{counted(missing.total(), 'entry', 'entries')} had been removed before "
                f"{noun(missing.total(), 'it', 'they')} could be drained, from {_listed(missing)}: somebody trims or deletes "
                "journals"
            )
            yield "missing", said
        if self.nowhere:
            said = (
                f"{counted(self.nowhere.total(), 'entry is', 'entries are')} nowhere, from {_listed(self.nowhere)}: removed "
                "before being drained, or a batch was moved away. The next archive run notes what is missing"
            )
            yield "journals", said


def acknowledge_command(dataset: Dataset) -> str:
    """The command that acknowledges what a dataset has lost."""
    return f"trading-data verify --acknowledge {dataset.plural} --reason 'looked into'"


def _listed(journals: Counter[str]) -> str:
    named = ", ".join(f"{name} ({number:,})" for name, number in journals.most_common(_NAMED))
    return named + (f" and {len(journals) - _NAMED:,} more" if len(journals) > _NAMED else "")
