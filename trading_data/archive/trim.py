"""What may leave the journals: entries that the archive has committed and that the hot window no longer needs.

Belongs here: deciding how far, journal by journal, and refusing what is not proven. Does not: XTRIM (`live.journal`).
"""

from dataclasses import dataclass
from datetime import timedelta

from trading_data.archive.database import Archive
from trading_data.archive.ledger import archived_positions
from trading_data.datasets.declaration import Dataset
from trading_data.intake.snapshot import noted_positions
from trading_data.kill_points import reached
from trading_data.live.connection import Client
from trading_data.live.journal import EntryId, find_journals, inspect, server_ms, trim


@dataclass(frozen=True)
class Trimmed:
    """What a trim did: journals looked at, entries removed, and journals left alone because nothing was proven."""

    journals: int
    removed: int
    left_alone: tuple[str, ...]


def trim_archived(client: Client, archive: Archive, dataset: Dataset, *, hot_window: timedelta) -> Trimmed:
    """Remove entries at or before both the archived and the drained position that are older than the hot window.

    A journal that ends before its archived position went back (its server lost entries) and is left alone until a
    snapshot has looked at it.
    """
    journals = find_journals(client, dataset)
    return _trim(client, dataset, journals, archived_positions(archive, dataset, journals), hot_window)


def trim_drained(client: Client, dataset: Dataset) -> Trimmed:
    """Remove everything that is durable in the intake. For the one emergency: the archive is away and memory is full."""
    return _trim(client, dataset, find_journals(client, dataset), None, timedelta(0))


def _trim(
    client: Client,
    dataset: Dataset,
    journals: list[str],
    archived: dict[str, EntryId] | None,
    hot_window: timedelta,
) -> Trimmed:
    drained = noted_positions(client, dataset)
    infos = inspect(client, journals)
    hot = EntryId(max(0, server_ms(client) - round(hot_window.total_seconds() * 1000)), 0)
    keep_from: dict[str, EntryId] = {}
    left_alone = []
    for name, info in infos.items():
        position = drained[name].last if name in drained else None
        safe = position if archived is None else archived.get(name)
        if safe is None or position is None or info.last < max(safe, position):
            if info.length:
                left_alone.append(name)
            continue
        after = min(safe, position).following()
        keep_from[name] = after if hot_window == timedelta(0) else min(after, hot)
    reached("trim.decided")
    removed = trim(client, keep_from)
    reached("trim.done")
    return Trimmed(len(infos), removed, tuple(left_alone))
