"""What may leave the journals: entries that the archive has committed and that are older than `Dataset.hot_window`.

A journal is cut only up to the end of the range that covers it without a gap from its first entry. A gap without entries (they were
deleted) does not count as one. The entry at that end is compared by content in the step that cuts. It stays, so that the journal
can be recognised later. `live.journal` has the XTRIM.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from trading_data.archive.database import Archive
from trading_data.archive.ledger import archived_ranges
from trading_data.collector import without_gc
from trading_data.datasets.declaration import Dataset
from trading_data.intake.accounted import Ranges, accounted_for
from trading_data.intake.store import Intake
from trading_data.kill_points import reached
from trading_data.live.connection import Client
from trading_data.live.journal import (
    Cut,
    EntryId,
    JournalInfo,
    ReadRange,
    entries_at,
    entry_digest,
    find_journals,
    first_entries,
    inspect,
    server_ms,
    trim,
)
from trading_data.live.ranges import EntryRange, continues, ends, newest, trimmable


@dataclass(frozen=True)
class Trimmed:
    """What a trim did: journals inspected, entries removed, and journals left alone for lack of proof."""

    journals: int
    removed: int
    left_alone: tuple[str, ...]


def trim_archived(client: Client, archive: Archive, dataset: Dataset, *, hot_window: timedelta) -> Trimmed:
    """Remove entries that are older than the hot window and archived without a gap from the journal's first entry.

    A journal that is not the one in the archive's ranges (it was restored or recreated) is left alone until a snapshot has read it.
    """
    journals = find_journals(client, dataset)
    return _trim(client, journals, archived_ranges(archive, dataset, journals), hot_window)


def trim_drained(client: Client, intake: Intake, dataset: Dataset) -> Trimmed:
    """Remove all entries that are durable in the intake. For one emergency: the archive is unreachable and memory is full."""
    known = accounted_for(client, intake, dataset, None)
    return _trim(client, find_journals(client, dataset), known, timedelta(0))


@without_gc()
def _trim(client: Client, journals: list[str], known: Ranges, hot_window: timedelta) -> Trimmed:
    infos = inspect(client, journals, ends(known))
    hot = EntryId(max(0, server_ms(client) - round(hot_window.total_seconds() * 1000)), 0)
    first = {name: covering for name, info in infos.items() if (covering := _covering(known.get(name, []), info))}
    proven = _over_empty_gaps(client, first, known)
    wanted = {
        name: cut
        for name, covering in proven.items()
        if (cut := covering.last if hot_window == timedelta(0) else min(covering.last, hot))
        > (infos[name].first or cut)
    }
    anchors = entries_at(client, {name: proven[name].last for name in wanted}, infos)
    cuts = {
        name: Cut(wanted[name], proven[name].last, fields)
        for name, fields in anchors.items()
        if (digest := entry_digest(str(proven[name].last).encode(), fields)) == proven[name].anchor
        and continues(proven[name], infos[name], digest)
    }
    reached("trim.decided")
    removed = trim(client, cuts)
    reached("trim.done")
    not_proven = (name for name, info in infos.items() if info.length and name not in proven)
    return Trimmed(len(infos), removed, (*not_proven, *(name for name in wanted if name not in cuts)))


def _covering(ranges: list[EntryRange], info: JournalInfo) -> EntryRange | None:
    """The newest incarnation's range that covers the journal from its first entry on."""
    return trimmable(newest(ranges), info.first)


def _over_empty_gaps(client: Client, proven: Mapping[str, EntryRange], known: Ranges) -> dict[str, EntryRange]:
    """The last ranges that can be reached from these without passing an entry that lies in no range."""
    reached_upto = dict(proven)
    behind = {
        name: [later for later in newest(known[name]) if later.after > part.last]
        for name, part in proven.items()
        if len(known[name]) > 1
    }
    while gaps := [ReadRange(name, reached_upto[name].last, left[0].after, 1) for name, left in behind.items() if left]:
        held = first_entries(client, gaps)
        for gap in gaps:
            if gap.journal in held:
                behind[gap.journal] = []
            else:
                reached_upto[gap.journal] = behind[gap.journal].pop(0)
    return reached_upto
