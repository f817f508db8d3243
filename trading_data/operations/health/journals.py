"""What waits in the journals and the intake and for how long, and which entries are lost between them.

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
    ArchivedJournals,
    IntakeHeads,
    JournalSides,
    RangesByJournal,
    find_losses,
    heads,
    losses_of,
    read_archived_journals,
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
"""Heads of batches that are read at most; more batches than that wait only while nothing is loaded."""
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
    """What each side answered; `waiting` is None if there are too many batches, `archived` if the archive is unavailable."""

    infos: dict[str, JournalInfo]
    files: list[BatchFile]
    waiting: IntakeHeads | None
    archived: ArchivedJournals | None

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
    subject = dataset.name
    readings = _read_all(client, archive, intake, dataset, away)
    oldest = max(0.0, moment.timestamp() - readings.files[0].turn / 1e9) if readings.files else 0.0
    yield from numbered(_INTAKE, subject, (len(readings.files), oldest))
    yield _damaged(readings, subject)
    known: RangesByJournal = {}
    not_drained = 0
    if "redis" in away:
        yield from not_measured(_LIVE, subject, "redis")
    else:
        sides = _sides(client, readings, dataset)
        known = sides.current(client, list(sides.infos))
        not_drained = undrained(known, sides.infos)
        length = sum(info.length for info in readings.infos.values())
        yield from numbered(_LIVE, subject, (len(readings.infos), length, not_drained, _bytes(client, readings.infos)))
    if readings.archived is None or away:
        yield from not_measured((*_BOTH, _LOST), subject, next(iter(away)))
    else:
        yield from _unarchived(client, readings, readings.archived, subject, known, not_drained)
        yield _lost(client, archive, intake, dataset, readings)


def _read_all(
    client: Client, archive: Archive, intake: Intake, dataset: Dataset, away: Collection[str]
) -> _JournalReadings:
    """Reads in the order in which entries move: an entry that moves meanwhile is seen twice, and never missed."""
    infos = {} if "redis" in away else inspect(client, find_journals(client, dataset))
    files = intake.pending(dataset.name)
    waiting = heads(intake, files) if len(files) <= _HEADS else None
    if "timescale" in away:
        return _JournalReadings(infos, files, waiting, None)
    with archive.transaction(snapshot=True, lock="1s", statement="10s") as cursor:
        return _JournalReadings(
            infos, files, waiting, read_archived_journals(cursor, dataset, waiting or IntakeHeads({}))
        )


def _sides(client: Client, readings: _JournalReadings, dataset: Dataset) -> JournalSides:
    """All sides; the note in Redis replaces an unavailable archive and batches that are too many to open."""
    if readings.archived is not None and readings.waiting is not None:
        return JournalSides(readings.infos, readings.waiting, readings.archived)
    ranges = {
        ledger_name(key): [ArchivedRange(range_, 0) for range_ in noted_ranges]
        for key, noted_ranges in noted(client, dataset).items()
    }
    return JournalSides(readings.infos, readings.waiting or IntakeHeads({}), ArchivedJournals(ranges))


def _damaged(readings: _JournalReadings, subject: str) -> Metric:
    name, unit = _DAMAGED
    if readings.waiting is None:
        return Metric(name, None, unit, subject, readings.too_many)
    return Metric(
        name, float(len(readings.waiting.damaged)), unit, subject, about="; ".join(readings.waiting.damaged[:1])
    )


def _unarchived(
    client: Client,
    readings: _JournalReadings,
    archived: ArchivedJournals,
    subject: str,
    known: RangesByJournal,
    not_drained: int,
) -> Iterator[Metric]:
    """Entries that are not in the archive yet, and the age of the oldest of them."""
    sides = JournalSides(readings.infos, IntakeHeads({}), archived)
    if readings.files:
        known = sides.current(client, list(sides.infos))
    behind = {sides.keys[name]: end for name, info in sides.infos.items() if (end := _end(known, name)) < info.last}
    entries: float | str = 0.0
    if behind:
        entries = readings.too_many if readings.waiting is None else float(not_drained + readings.waiting.entries)
    yield from numbered(_BOTH, subject, (entries, _oldest(client, behind)))


def _end(known: RangesByJournal, name: str) -> EntryId:
    return known[name][-1].last if name in known else BEGINNING


def _lost(client: Client, archive: Archive, intake: Intake, dataset: Dataset, readings: _JournalReadings) -> Metric:
    """Entries that two looks find lost."""
    name, unit = _LOST
    if readings.waiting is None or readings.archived is None:
        return Metric(name, None, unit, dataset.name, readings.too_many)
    lost = losses_of(client, JournalSides(readings.infos, readings.waiting, readings.archived))
    if lost:
        lost = find_losses(client, archive, intake, dataset).only(lost.journals)
    return Metric(name, float(lost.least), unit, dataset.name, about="; ".join(line for _, line in lost.messages()))


def _oldest(client: Client, behind: dict[str, EntryId]) -> float:
    """Age in seconds of the oldest entry after these positions; 0 if there is none."""
    oldest: int | None = None
    names = list(behind)
    for start in range(0, len(names), ROWS_PER_PIPELINE):
        pipeline = client.pipeline(transaction=False)
        for name in names[start : start + ROWS_PER_PIPELINE]:
            pipeline.xrange(cast(str, raw(name)), f"({behind[name]}", "+", 1)
        firsts = [EntryId.parse(entries[0][0]).ms for entries in execute(client, pipeline, []) if entries]
        oldest = min([*firsts, *([] if oldest is None else [oldest])], default=None)
    return 0.0 if oldest is None else max(0.0, (server_ms(client) - oldest) / 1e3)


def _bytes(client: Client, infos: dict[str, JournalInfo]) -> float:
    """Memory of the journals in bytes, estimated from a sample: its bytes per entry, times all entries."""
    names = sorted(infos)
    chosen = names[:: max(1, len(names) // _SAMPLED)][:_SAMPLED]
    if not chosen:
        return 0.0
    pipeline = client.pipeline(transaction=False)
    for name in chosen:
        pipeline.memory_usage(cast(str, raw(name)))
    sampled_bytes = sum(int(size or 0) for size in execute(client, pipeline, 0))
    entries = sum(infos[name].length for name in chosen)
    total = sum(info.length for info in infos.values())
    return sampled_bytes * total / entries if entries else sampled_bytes * len(names) / len(chosen)
