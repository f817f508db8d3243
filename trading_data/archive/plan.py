"""What becomes of each entry of a batch: a pure function of the batch and of what the archive holds.

| an entry that | is counted as | and causes |
| --- | --- | --- |
| is archived already (inside an archived range of its journal, and recognised) | replayed | nothing |
| was rejected on its way, or is rejected now | quarantined | a quarantined entry |
| lies on a day that retention has dropped | quarantined | a quarantined entry |
| cannot be ordered: the archive's row may be newer or older | quarantined | a quarantined entry |
| is the first of its row | inserted | a row, at its own moment, or at a free one if another row is kept there |
| has the values of the version before it | unchanged | nothing |
| has these values, but other entries between the two may still arrive | replaced | a revision of that version, a row |
| is newer than the version before it, or from a better source | replaced | a revision of that version, and a row: in the same \
place, or, if its time was corrected, at its own moment or a free one, perhaps on another day |
| is older than the archive's row, or from a worse source | replaced | a revision of the entry itself |

Versions of one row share its key; where rows have an identity, they share subject and identity and may report different times.
Each entry is counted once, so the counts of a batch add up to its entries. `known` queries the archive, `places` finds free
moments, and `load` writes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa

from trading_data.archive.order import Order
from trading_data.archive.places import displaced
from trading_data.archive.versions import Indices, Mask, by_row, dictionary_of, equal_to_previous, microseconds
from trading_data.datasets.declaration import Dataset

DAY_DROPPED, NOT_ORDERED = "day dropped", "cannot be ordered"
"""Kinds of quarantined entries."""
_DAY_DROPPED = (
    "retention has dropped its day from {table}, and keeps the aggregates of that day as they were: discard the entry, or leave "
    "it here. In {table} it would be the only row of that day"
)
_NOT_ORDERED = (
    "the archive holds other values for this key, from batch {batch_id}, and it is not known which were accepted later: "
    "discard this entry, or import the row from a file if it is to replace them"
)


class Count(IntEnum):
    """What an entry is counted as."""

    REPLAYED = 0
    INSERTED = 1
    REPLACED = 2
    UNCHANGED = 3
    QUARANTINED = 4


@dataclass(frozen=True)
class HeldRow:
    """The archive's row for an entry, if its values differ from the entry's or the entry has to replace it all the same.

    Attributes:
        batch_id: the batch that brought it.
        order: whether the entry is newer or older than the row.
        source: the row's source; empty for datasets without sources.
        kept: whether the newest revision of the entry's source has the entry's values.
        reported_us: the time that the row reports, µs since 1970. 0 for datasets whose rows have no identity: their time is the
            entry's.
    """

    batch_id: int
    order: Order
    source: str = ""
    kept: bool = False
    reported_us: int = 0


@dataclass(frozen=True)
class KnownRows:
    """What the archive holds for the good rows of a batch.

    Attributes:
        replayed: which are archived already.
        dropped: which lie on a day that retention has dropped.
        missing: which have no version in the archive.
        held: by position, the archive's rows that differ from the entry or that it has to replace.
        taken: where rows have an identity: by subject, the moments (µs since 1970) at which the archive keeps rows, in the minutes
            of these.
    """

    replayed: Mask
    dropped: Mask
    missing: Mask
    held: Mapping[int, HeldRow] = field(default_factory=dict)
    taken: Mapping[str, Set[int]] = field(default_factory=dict)


@dataclass
class Plan:
    """What becomes of the good rows of a batch, by position.

    Attributes:
        counts: a `Count` for each row.
        insert: rows to add.
        update: rows that replace the archive's.
        moves: rows of `update` whose time was corrected, with the time that the archive's row reports (µs since 1970).
        places: rows of both that cannot be kept at the time they report, with the moment at which they are (µs since 1970).
        revise: rows that are kept as revisions, and the batch that replaced each (0 for this one).
        reject: rows for quarantine, with kind and reason.
    """

    counts: np.ndarray[Any, np.dtype[np.int8]]
    insert: list[int] = field(default_factory=list)
    update: list[int] = field(default_factory=list)
    moves: dict[int, int] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    revise: dict[int, int] = field(default_factory=dict)
    reject: dict[int, tuple[str, str]] = field(default_factory=dict)

    def quarantine(self, at: int, kind: str, reason: str) -> None:
        """Send a row to quarantine."""
        self.counts[at] = Count.QUARANTINED
        self.reject[at] = (kind, reason)


@dataclass(frozen=True)
class EntryVersion:
    """One entry of a row. `held` is None if the archive lacks the row, or keeps it because its values are the same (`equal`).

    `reported_us` is the entry's time (µs since 1970) where rows have an identity, otherwise 0.
    """

    at: int
    values: tuple[Any, ...]
    rank: int = 0
    source: str = ""
    held: HeldRow | None = None
    equal: bool = False
    reported_us: int = 0


def plan(dataset: Dataset, rows: pa.Table, known: KnownRows) -> Plan:
    """Decide about each good row of a batch (the dataset's columns, in the order of acceptance)."""
    out = Plan(np.zeros(rows.num_rows, dtype=np.int8))
    for at in np.flatnonzero(known.dropped & ~known.replayed).tolist():
        out.quarantine(at, DAY_DROPPED, _DAY_DROPPED.format(table=dataset.table))
    chosen = np.flatnonzero(~known.replayed & ~known.dropped)
    if not len(chosen):
        return out
    taken = rows if len(chosen) == rows.num_rows else rows.take(pa.array(chosen))
    order, same_key = by_row(dataset, taken)
    hard = _hard(dataset, taken, order, same_key, chosen, known)
    easy = ~hard
    if easy.any():
        _plan_easy(dataset, taken, order[easy], same_key[easy], chosen, known.missing, out)
    if hard.any():
        for versions in _by_key(dataset, taken, order[hard], same_key[hard], chosen, known):
            _plan_key(dataset, versions, out)
    if dataset.identity is not None:
        _place(dataset, rows, known, out)
    return out


def _hard(dataset: Dataset, rows: pa.Table, order: Indices, same_key: Mask, chosen: Indices, known: KnownRows) -> Mask:
    """Which entries (in `order`) belong to a row whose versions have to be decided one by one."""
    of_key = np.cumsum(~same_key) - 1
    hard = np.zeros(of_key[-1] + 1, dtype=bool)
    if known.held:
        contested = np.zeros(len(known.missing), dtype=bool)
        contested[list(known.held)] = True
        hard[of_key[contested[chosen[order]]]] = True
    if same_key.any():
        several = np.zeros(len(hard), dtype=bool)
        several[of_key[same_key]] = True
        if dataset.identity is None:
            several &= _of_several_ranks(dataset, rows, order, of_key)
        missing = np.zeros(len(hard), dtype=bool)
        missing[of_key] = known.missing[chosen[order]]
        hard |= several & missing
    of_entry: Mask = hard[of_key]
    return of_entry


def _of_several_ranks(dataset: Dataset, rows: pa.Table, order: Indices, of_key: Indices) -> Mask:
    out = np.zeros(of_key[-1] + 1, dtype=bool)
    if dataset.sources is not None:
        ranks = ranks_of(dataset, rows)[order]
        first = np.zeros(len(out), dtype=np.int64)
        first[of_key[::-1]] = ranks[::-1]
        out[of_key[ranks != first[of_key]]] = True
    return out


def _plan_easy(
    dataset: Dataset, rows: pa.Table, order: Indices, same_key: Mask, chosen: Indices, missing: Mask, out: Plan
) -> None:
    """Decide about rows that the archive lacks, or holds with the values of all their entries; each from one source."""
    at = chosen[order]
    new = missing[at]
    same_row = np.zeros(len(order), dtype=bool)
    if same_key.any():
        same_row = same_key & equal_to_previous(dataset, rows, order)
    changes = same_key & ~same_row & new
    out.counts[at] = Count.UNCHANGED
    out.counts[at[new & ~same_key]] = Count.INSERTED
    out.counts[at[changes]] = Count.REPLACED
    closes = np.append(~same_key[1:], True)
    out.insert += at[closes & new].tolist()
    out.revise |= dict.fromkeys(at[np.append(changes[1:], False)].tolist(), 0)


def _by_key(
    dataset: Dataset, rows: pa.Table, order: Indices, same_key: Mask, chosen: Indices, known: KnownRows
) -> Iterator[list[EntryVersion]]:
    names = [name for name in dataset.names if name not in dataset.named_by]
    taken = rows.take(pa.array(order))
    values = list(zip(*(taken[name].to_pylist() for name in names), strict=True))
    ranks = ranks_of(dataset, taken).tolist()
    sources = taken["source"].to_pylist() if dataset.sources else [""] * len(order)
    times = microseconds(dataset, taken).tolist() if dataset.identity else [0] * len(order)
    versions: list[EntryVersion] = []
    for place, (at, again) in enumerate(zip(chosen[order].tolist(), same_key.tolist(), strict=True)):
        if versions and not again:
            yield versions
            versions = []
        held = known.held.get(at)
        equal = held is None and not known.missing[at]
        versions.append(EntryVersion(at, values[place], ranks[place], sources[place], held, equal, times[place]))
    yield versions


def _plan_key(dataset: Dataset, versions: Sequence[EntryVersion], out: Plan) -> None:
    """Decide about the versions of one row, in the order of acceptance, against the archive's row."""
    row = next((version.held for version in versions if version.held is not None), None)
    row_rank = dataset.sources.rank(row.source) if dataset.sources and row else 0
    shown: EntryVersion | None = None
    """The version that stands so far, if it is not the archive's row."""
    kept: dict[str, EntryVersion | HeldRow] = {}
    """By source, the version that this batch kept last."""
    for version in versions:
        by = 0 if shown or row is None else row.batch_id
        rank = shown.rank if shown else row_rank
        if shown is None and row is None:
            out.counts[version.at], shown = Count.INSERTED, version
        elif version.values == shown.values if shown else version.equal:
            out.counts[version.at] = Count.UNCHANGED
        elif version.rank > rank or (version.rank == rank and _has_order(version, shown, Order.OLDER)):
            if _is_kept(version, kept, row):
                out.counts[version.at] = Count.UNCHANGED
            else:
                out.counts[version.at], out.revise[version.at], kept[version.source] = Count.REPLACED, by, version
        elif version.rank == rank and _has_order(version, shown, Order.UNKNOWN):
            out.quarantine(version.at, NOT_ORDERED, _NOT_ORDERED.format(batch_id=by))
        else:
            out.counts[version.at] = Count.REPLACED
            if shown is not None:
                out.revise[shown.at], kept[shown.source] = 0, shown
            elif row is not None:
                kept[row.source] = row
            shown = version
    if shown is not None:
        _show(shown, row, out)


def _show(shown: EntryVersion, row: HeldRow | None, out: Plan) -> None:
    """Insert a version, or have it replace the archive's row."""
    if row is None:
        out.insert.append(shown.at)
    else:
        out.update.append(shown.at)
        if shown.reported_us != row.reported_us:
            out.moves[shown.at] = row.reported_us


def _place(dataset: Dataset, rows: pa.Table, known: KnownRows, out: Plan) -> None:
    """Find a moment for each row that is new or whose time was corrected."""
    at = positions([*out.insert, *out.moves])
    if not len(at):
        return
    times = microseconds(dataset, rows)[at]
    moments = np.sort(times)
    if not known.taken and (moments[1:] != moments[:-1]).all():
        return
    subjects = dictionary_of(rows[dataset.subject].take(pa.array(at)))
    numbers = {subject: number for number, subject in enumerate(subjects.dictionary.to_pylist())} if known.taken else {}
    taken = {numbers[subject]: moments for subject, moments in known.taken.items() if subject in numbers}
    moved = displaced(subjects.indices.to_numpy(), times, taken)
    out.places |= {int(at[place]): moment for place, moment in moved.items()}


def _has_order(version: EntryVersion, shown: EntryVersion | None, order: Order) -> bool:
    """Whether the archive's row still stands, and the version has this order to it."""
    return shown is None and version.held is not None and version.held.order is order


def _is_kept(version: EntryVersion, kept: Mapping[str, EntryVersion | HeldRow], row: HeldRow | None) -> bool:
    """Whether the last kept version of this source has the same values."""
    before = kept.get(version.source)
    if isinstance(before, EntryVersion):
        return before.values == version.values
    if before is not None:
        return version.equal
    return row is not None and version.held is not None and version.held.kept


def ranks_of(dataset: Dataset, rows: pa.Table) -> Indices:
    """The rank of each row's source: 0 for the best, and for datasets without sources."""
    if dataset.sources is None:
        return np.zeros(rows.num_rows, dtype=np.int64)
    texts = dictionary_of(rows["source"])
    ranks = np.array([dataset.sources.rank(source) for source in texts.dictionary.to_pylist()], dtype=np.int64)
    of_row: Indices = ranks[texts.indices.to_numpy()]
    return of_row


def confirming(known: KnownRows, decided: Plan) -> Indices:
    """The entries that have exactly the values of the archive's row, and change nothing."""
    equal = (decided.counts == Count.UNCHANGED) & ~known.missing
    equal[list(known.held)] = False
    return np.flatnonzero(equal)


def positions(unordered: Iterable[int]) -> Indices:
    """Positions as an array, in order."""
    return np.sort(np.fromiter(unordered, dtype=np.int64))
