"""What becomes of each entry of a batch: a pure function of the batch and of what the archive knows.

| an entry that | is counted as | and causes |
| --- | --- | --- |
| is archived already (same journal, same incarnation, inside an archived range; or recognised) | replayed | nothing |
| was rejected on its way, or again now | quarantined | a quarantined entry |
| lies on a day that retention has dropped | quarantined | a quarantined entry |
| cannot be ordered: the archive's row may be newer or not | quarantined | a quarantined entry |
| is the first of its row | inserted | a row, at its moment, or at a free one where the table keeps another row there |
| says what the version before it says | unchanged | nothing |
| says so, but entries between the two may still be on their way | replaced | a revision of that version, a row |
| is newer than the version before it, or from a better source | replaced | a revision of that version, a row where that was, \
or at its own moment, or a free one, if it says another moment, of another day perhaps |
| is older than the archive's row, or from a worse source | replaced | a revision of itself |

Versions of one row agree in the key; where rows have an identity, in the subject and it, and may say several moments.
Each entry has exactly one count, so a batch offers what its counts add up to. Belongs here: this table. Does not: asking the
archive (`archive.known`), which moments are free (`archive.places`) and writing (`archive.load`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa

from trading_data.archive.order import Order
from trading_data.archive.places import displaced
from trading_data.archive.versions import Indices, Mask, by_row, encoded, equal_to_previous, microseconds
from trading_data.datasets.declaration import Dataset

NOT_ORDERED = "cannot be ordered"


class Count(IntEnum):
    """What an entry is counted as."""

    REPLAYED = 0
    INSERTED = 1
    REPLACED = 2
    UNCHANGED = 3
    QUARANTINED = 4


@dataclass(frozen=True)
class HeldRow:
    """The row that the archive has of an entry: with other values than the entry's, or to be replaced all the same.

    Attributes:
        batch_id: the batch that brought it.
        order: where the entry stands to it.
        source: its source; empty for datasets without.
        kept: whether the newest revision of the entry's own source says what the entry says.
        said: the moment that it reports, in microseconds since 1970; 0 for datasets whose rows have no identity, since there it
            is the entry's.
    """

    batch_id: int
    order: Order
    source: str = ""
    kept: bool = False
    said: int = 0


@dataclass(frozen=True)
class KnownRows:
    """What the archive knows of the good rows of a batch.

    Attributes:
        replayed: which are archived already.
        dropped: which lie on a day that retention has dropped.
        missing: of which the archive holds no version.
        held: for those of which it holds other values, or the same that the entry has to replace, by position.
        taken: by subject, the moments (µs since 1970) at which it keeps rows in the minutes of these, where rows have an identity.
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
        insert, update: the rows that the archive is to show, which it lacks, or holds with other values.
        moves: those of `update` that say another moment than the archive's row, and the one that this says (µs since 1970).
        places: the moments (µs since 1970) at which rows of both are put that cannot have the one they report.
        revise: rows that are kept as revisions, and the batch that replaced each (0 for this one).
        reject: rows for quarantine: kind and reason.
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
    """One entry of a row. `held` is None if the archive lacks the row, or if it has the same values and keeps its row (`equal`).

    `said` is the moment that it reports (µs since 1970), where rows have an identity.
    """

    at: int
    values: tuple[Any, ...]
    rank: int = 0
    source: str = ""
    held: HeldRow | None = None
    equal: bool = False
    said: int = 0


def plan(dataset: Dataset, rows: pa.Table, known: KnownRows, day_dropped: tuple[str, str] = ("", "")) -> Plan:
    """Decide for each good row of a batch, in the order of acceptance.

    Args:
        dataset: whose rows.
        rows: the dataset's columns.
        known: what the archive knows of them.
        day_dropped: kind and reason for rows on days that were dropped.
    """
    out = Plan(np.zeros(rows.num_rows, dtype=np.int8))
    for at in np.flatnonzero(known.dropped & ~known.replayed).tolist():
        out.quarantine(at, *day_dropped)
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
    """Which entries, in the order of their keys, have a key that has to be decided by itself."""
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
    found: Mask = hard[of_key]
    return found


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
    """Keys that the archive lacks, or holds with the same values as all their entries here; of one source and identity."""
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
    said = microseconds(dataset, taken).tolist() if dataset.identity else [0] * len(order)
    versions: list[EntryVersion] = []
    for place, (at, again) in enumerate(zip(chosen[order].tolist(), same_key.tolist(), strict=True)):
        if versions and not again:
            yield versions
            versions = []
        held = known.held.get(at)
        equal = held is None and not known.missing[at]
        versions.append(EntryVersion(at, values[place], ranks[place], sources[place], held, equal, said[place]))
    yield versions


def _plan_key(dataset: Dataset, versions: Sequence[EntryVersion], out: Plan) -> None:
    """The versions of one row, in the order of their acceptance, against the row that the archive has of it."""
    row = next((version.held for version in versions if version.held is not None), None)
    row_rank = dataset.sources.rank(row.source) if dataset.sources and row else 0
    shown: EntryVersion | None = None
    """The version that is shown so far, if it is not the archive's row."""
    kept: dict[str, EntryVersion | HeldRow] = {}
    """The version kept last of each source, where this batch keeps one."""
    for version in versions:
        by = 0 if shown or row is None else row.batch_id
        rank = shown.rank if shown else row_rank
        if shown is None and row is None:
            out.counts[version.at], shown = Count.INSERTED, version
        elif version.values == shown.values if shown else version.equal:
            out.counts[version.at] = Count.UNCHANGED
        elif version.rank > rank or (version.rank == rank and _is_older(version, shown)):
            if _is_kept(version, kept, row):
                out.counts[version.at] = Count.UNCHANGED
            else:
                out.counts[version.at], out.revise[version.at], kept[version.source] = Count.REPLACED, by, version
        elif (
            shown is None and version.rank == rank and version.held is not None and version.held.order is Order.UNKNOWN
        ):
            out.quarantine(version.at, NOT_ORDERED, str(version.held.batch_id))
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
    """Have a version shown, in the place of the archive's row where there is one."""
    if row is None:
        out.insert.append(shown.at)
    else:
        out.update.append(shown.at)
        if shown.said != row.said:
            out.moves[shown.at] = row.said


def _place(dataset: Dataset, rows: pa.Table, known: KnownRows, out: Plan) -> None:
    """Find a moment for each row that is new, or says another one than before."""
    at = positions([*out.insert, *out.moves])
    if not len(at):
        return
    times = microseconds(dataset, rows)[at]
    moments = np.sort(times)
    if not known.taken and (moments[1:] != moments[:-1]).all():
        return
    subjects = encoded(rows[dataset.subject].take(pa.array(at)))
    numbers = {subject: number for number, subject in enumerate(subjects.dictionary.to_pylist())} if known.taken else {}
    taken = {numbers[subject]: moments for subject, moments in known.taken.items() if subject in numbers}
    found = displaced(subjects.indices.to_numpy(), times, taken)
    out.places |= {int(at[place]): moment for place, moment in found.items()}


def _is_older(entry_version: EntryVersion, shown: EntryVersion | None) -> bool:
    return shown is None and entry_version.held is not None and entry_version.held.order is Order.OLDER


def _is_kept(entry_version: EntryVersion, kept: Mapping[str, EntryVersion | HeldRow], row: HeldRow | None) -> bool:
    """Whether the version of this source that was kept last says the same."""
    before = kept.get(entry_version.source)
    if isinstance(before, EntryVersion):
        return before.values == entry_version.values
    if before is not None:
        return entry_version.equal
    return row is not None and entry_version.held is not None and entry_version.held.kept


def ranks_of(dataset: Dataset, rows: pa.Table) -> Indices:
    """The rank of each row's source: 0 for the best, and for datasets without sources."""
    if dataset.sources is None:
        return np.zeros(rows.num_rows, dtype=np.int64)
    texts = encoded(rows["source"])
    ranks = np.array([dataset.sources.rank(source) for source in texts.dictionary.to_pylist()], dtype=np.int64)
    found: Indices = ranks[texts.indices.to_numpy()]
    return found


def said_again(known: KnownRows, decided: Plan) -> Indices:
    """The rows that say what the archive's row says, and change nothing."""
    found = (decided.counts == Count.UNCHANGED) & ~known.missing
    found[list(known.held)] = False
    return np.flatnonzero(found)


def positions(found: Iterable[int]) -> Indices:
    """Positions as an array, in order."""
    return np.sort(np.fromiter(found, dtype=np.int64))
