"""What waits in the journals and the intake, for how long, and what is lost on the way from the one to the other.

Belongs here: these figures of one dataset. Does not: the archive's figures and the forecast (`flow`), and what counts as lost
(`archive.verify.losses`).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from trading_data.archive.database import Archive
from trading_data.archive.ledger import ArchivedRange
from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.archive.verify.losses import (
    Archived,
    IntakeHeads,
    Known,
    Sides,
    archived_journals,
    heads,
    look_for_lost,
    lost_of,
)
from trading_data.datasets.declaration import Dataset
from trading_data.intake.accounted import noted, undrained
from trading_data.intake.store import BatchFile, Intake
from trading_data.live.connection import Client
from trading_data.live.journal import (
    BEGINNING,
    ROWS_PER_PIPELINE,
    EntryId,
    JournalInfo,
    execute,
    find_journals,
    inspect,
    raw,
    server_ms,
)
from trading_data.operations.health.metric import Metric, Wanted, not_measured, numbered
from trading_data.printable import counted

_SAMPLED = 16
_HEADS = 50
"""Batches of which the heads are read at most; there are more only while nothing is loaded."""
_LIVE: Wanted = (
    ("flow.journal.count", "count"),
    ("flow.journal.length", "count"),
    ("flow.journal.undrained", "count"),
    ("flow.journal.bytes", "bytes"),
)
_INTAKE: Wanted = (("flow.batches.waiting", "count"), ("flow.batches.oldest", "s"))
_BOTH: Wanted = (("flow.journal.unarchived", "count"), ("flow.journal.oldest", "s"))
_DAMAGED, _LOST = ("flow.batches.damaged", "count"), ("flow.journal.lost", "count")


@dataclass(frozen=True)
class _JournalReadings:
    """What was asked of each side; `waiting` is None where there are too many batches, `archived` where the archive is away."""

    infos: dict[str, JournalInfo]
    files: list[BatchFile]
    waiting: IntakeHeads | None
    archived: Archived | None

    @property
    def too_many(self) -> str:
        """Why the heads of the batches are not known."""
        return (
            f"{counted(len(self.files), 'batch waits', 'batches wait')}, too many to open each: `trading-data status` "
            f"counts them"
        )


def measure_journals(
    client: Client, archive: Archive, intake: Intake, dataset: Dataset, moment: datetime, away: Collection[str]
) -> Iterator[Metric]:
    """The figures of a dataset's journals and of its batches that wait; arguments and errors as `flow.measure_flow`."""
    of = dataset.name
    asked = _ask(client, archive, intake, dataset, away)
    oldest = max(0.0, moment.timestamp() - asked.files[0].turn / 1e9) if asked.files else 0.0
    yield from numbered(_INTAKE, of, (len(asked.files), oldest))
    yield _damaged(asked, of)
    current: Known = {}
    not_drained = 0
    if "redis" in away:
        yield from not_measured(_LIVE, of, "redis")
    else:
        sides = _sides(client, asked, dataset)
        current = sides.current(client, list(sides.infos))
        not_drained = undrained(current, sides.infos)
        length = sum(info.length for info in asked.infos.values())
        yield from numbered(_LIVE, of, (len(asked.infos), length, not_drained, _bytes(client, asked.infos)))
    if asked.archived is None or away:
        yield from not_measured((*_BOTH, _LOST), of, next(iter(away)))
    else:
        yield from _unarchived(client, asked, asked.archived, of, current, not_drained)
        yield _lost(client, archive, intake, dataset, asked)


def _ask(client: Client, archive: Archive, intake: Intake, dataset: Dataset, away: Collection[str]) -> _JournalReadings:
    """In the order in which entries move, so that one that moves meanwhile is seen twice."""
    infos = {} if "redis" in away else inspect(client, find_journals(client, dataset))
    files = intake.pending(dataset.name)
    waiting = heads(intake, files) if len(files) <= _HEADS else None
    if "timescale" in away:
        return _JournalReadings(infos, files, waiting, None)
    with archive.transaction(snapshot=True, lock="1s", statement="10s") as cursor:
        return _JournalReadings(infos, files, waiting, archived_journals(cursor, dataset, waiting or IntakeHeads({})))


def _sides(client: Client, asked: _JournalReadings, dataset: Dataset) -> Sides:
    """All sides; the note in Redis stands in for the archive that is away, and for batches that are too many."""
    if asked.archived is not None and asked.waiting is not None:
        return Sides(asked.infos, asked.waiting, asked.archived)
    ranges = {
        ledger_name(key): [ArchivedRange(one, 0) for one in found] for key, found in noted(client, dataset).items()
    }
    return Sides(asked.infos, asked.waiting or IntakeHeads({}), Archived(ranges))


def _damaged(asked: _JournalReadings, of: str) -> Metric:
    name, unit = _DAMAGED
    if asked.waiting is None:
        return Metric(name, None, unit, of, asked.too_many)
    return Metric(name, float(len(asked.waiting.damaged)), unit, of, about="; ".join(asked.waiting.damaged[:1]))


def _unarchived(
    client: Client, asked: _JournalReadings, archived: Archived, of: str, current: Known, not_drained: int
) -> Iterator[Metric]:
    """Entries that are not in the archive yet, and the age of the oldest of them."""
    sides = Sides(asked.infos, IntakeHeads({}), archived)
    if asked.files:
        current = sides.current(client, list(sides.infos))
    behind = {sides.keys[name]: end for name, info in sides.infos.items() if (end := _end(current, name)) < info.last}
    entries: float | str = 0.0
    if behind:
        entries = asked.too_many if asked.waiting is None else float(not_drained + asked.waiting.entries)
    yield from numbered(_BOTH, of, (entries, _oldest(client, behind)))


def _end(current: Known, name: str) -> EntryId:
    return current[name][-1].last if name in current else BEGINNING


def _lost(client: Client, archive: Archive, intake: Intake, dataset: Dataset, asked: _JournalReadings) -> Metric:
    """What is lost by two looks."""
    name, unit = _LOST
    if asked.waiting is None or asked.archived is None:
        return Metric(name, None, unit, dataset.name, asked.too_many)
    lost = lost_of(client, Sides(asked.infos, asked.waiting, asked.archived))
    if lost:
        lost = look_for_lost(client, archive, intake, dataset).only(lost.journals)
    return Metric(name, float(lost.least), unit, dataset.name, about="; ".join(said for _, said in lost.said()))


def _oldest(client: Client, behind: dict[str, EntryId]) -> float:
    """Seconds since the oldest entry was added that lies after these positions; 0 where there is none."""
    oldest: int | None = None
    names = list(behind)
    for start in range(0, len(names), ROWS_PER_PIPELINE):
        pipeline = client.pipeline(transaction=False)
        for name in names[start : start + ROWS_PER_PIPELINE]:
            pipeline.xrange(cast(str, raw(name)), f"({behind[name]}", "+", 1)
        firsts = [EntryId.parse(found[0][0]).ms for found in execute(client, pipeline, []) if found]
        oldest = min([*firsts, *([] if oldest is None else [oldest])], default=None)
    return 0.0 if oldest is None else max(0.0, (server_ms(client) - oldest) / 1e3)


def _bytes(client: Client, infos: dict[str, JournalInfo]) -> float:
    """What the journals take, by some of them: their bytes an entry, times all entries, is near enough."""
    names = sorted(infos)
    chosen = names[:: max(1, len(names) // _SAMPLED)][:_SAMPLED]
    if not chosen:
        return 0.0
    pipeline = client.pipeline(transaction=False)
    for name in chosen:
        pipeline.memory_usage(cast(str, raw(name)))
    found = sum(int(one or 0) for one in execute(client, pipeline, 0))
    entries = sum(infos[name].length for name in chosen)
    total = sum(info.length for info in infos.values())
    return found * total / entries if entries else found * len(names) / len(chosen)
