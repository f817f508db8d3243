"""The balance at the end of a soak with returns.

Belongs here: settling, and what has to be true then. Does not: what happened before.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from trading_data.archive.aggregates.compare import differences
from trading_data.archive.ledger import account
from trading_data.archive.plan import NOT_ORDERED
from trading_data.archive.verify.ledger import AuditResult
from trading_data.archive.verify.run import verify
from trading_data.datasets.declaration import Dataset
from trading_data.times import DAY, day_start
from trading_data_tests.crash.returns_books import VALUE, Key, Producer, every_number, quarantined, rows_of
from trading_data_tests.crash.returns_cycle import DATASETS, cycle
from trading_data_tests.rig import MOMENT, Rig

_SHOWN = 5
_START, _END = day_start(MOMENT.date()) - DAY, day_start(MOMENT.date()) + 2 * DAY


@dataclass
class Balance:
    """What was found; by dataset how many entries there have to be, and how many the ledger counts."""

    expected: dict[str, int] = field(default_factory=dict)
    accounted: dict[str, int] = field(default_factory=dict)
    quarantined: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    unknown_found: int = 0
    wrong: list[str] = field(default_factory=list)


def settle(rig: Rig, rounds: int = 6) -> None:
    """Cycles until nothing changes any more."""
    for _ in range(rounds):
        if not cycle(rig, timedelta(0), ""):
            return


def unbalanced(rig: Rig, producer: Producer, lost: set[int], *, last: bool) -> Balance:
    """Compare the archive with what was written; `last`: every key has been written once more since, and is in order."""
    balance = Balance()
    for dataset in DATASETS:
        _compare(rig, producer, lost, dataset, balance, last=last)
    balance.wrong += [f"{fault.dataset} {fault.what}: {fault.message}" for fault in _faults(rig)]
    return balance


def _faults(rig: Rig) -> Iterator[AuditResult]:
    return (one for one in verify(rig.client, rig.archive, rig.intake, deep=True) if not one.ok)


def _compare(rig: Rig, producer: Producer, lost: set[int], dataset: Dataset, balance: Balance, *, last: bool) -> None:
    name = dataset.name
    written = {number for number, key in producer.key_of.items() if key[0] == name}
    archived = Counter(every_number(rig, dataset))
    unknown = written & producer.unknown & archived.keys()
    expected = (written & producer.accepted.keys()) - lost | unknown
    said = {
        "accepted and nowhere": expected - archived.keys(),
        "there more than once": {number for number, times in archived.items() if times > 1},
        "there though lost": archived.keys() & lost,
        "never written": archived.keys() - written,
    }
    balance.wrong += [f"{name}: {len(these)} {what}: {_shown(these)}" for what, these in said.items() if these]
    books = account(rig.archive, dataset, "journal")
    balance.expected[name], balance.accounted[name] = len(expected), books.accepted
    balance.unknown_found += len(unknown)
    if books.accepted != len(expected):
        balance.wrong.append(f"{name}: {len(expected)} accepted, {books.accepted} accounted for")
    refused = quarantined(rig, dataset)
    balance.quarantined.update(f"{name}: {kind}" for _, kind, _ in refused)
    balance.examples += [f"{name} {number}: {reason}" for number, _, reason in refused[:_SHOWN]]
    others = [f"{name} {number}: {kind}: {reason}" for number, kind, reason in refused if kind != NOT_ORDERED]
    balance.wrong += others[:_SHOWN]
    doubtful = set() if last else {producer.key_of[number] for number, _, _ in refused}
    balance.wrong += _older(producer, expected, rows_of(rig, dataset), doubtful)
    if rig.intake.pending(name):
        balance.wrong.append(f"{name}: {len(rig.intake.pending(name))} batches wait")
    for aggregate in dataset.aggregates:
        balance.wrong += differences(rig.archive, dataset, aggregate, _START, _END)[:_SHOWN]
    frame = rig.reader.read(dataset, None, _START, _END)
    shown = frame[VALUE[name]].astype(int).tolist()
    if sorted(shown) != sorted(rows_of(rig, dataset).values()):
        balance.wrong.append(f"{name}: the reader shows other values than the archive has")


def _older(producer: Producer, expected: set[int], rows: Mapping[Key, int], doubtful: set[Key]) -> list[str]:
    """Keys whose row is not the newest accepted value."""
    newest: dict[Key, int] = {}
    for number in sorted(expected):
        newest[producer.key_of[number]] = number
    wrong = [
        f"{' '.join(map(str, key))} is {rows.get(key)}, not {number}"
        for key, number in newest.items()
        if rows.get(key) != number and key not in doubtful
    ]
    return [f"{len(wrong)} rows are not the newest: {'; '.join(wrong[:_SHOWN])}"] if wrong else []


def _shown(numbers: set[int]) -> str:
    return ", ".join(map(str, sorted(numbers)[:_SHOWN]))
