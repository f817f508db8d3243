"""Which symbols or metrics there are, and which of them a mistaken name may have meant.

Belongs here: names. Does not: rows.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches

from trading_data.archive.database import Archive
from trading_data.archive.sql import statement
from trading_data.datasets.declaration import Dataset
from trading_data.live.connection import Client
from trading_data.live.journal import find_journals
from trading_data.reader.market_data import MarketData
from trading_data.times import DAY, now

_EARLIEST = datetime(1800, 1, 1, tzinfo=UTC)
_NEAR = 5


def unknown(reader: MarketData, dataset: Dataset, names: Iterable[str]) -> list[str]:
    """Of some symbols (or metrics) those of which neither tier holds a row, whenever it was.

    Raises:
        LiveTierError, ArchiveTierError: a tier is away.
        IntakeError: a batch in the intake is damaged.
    """
    wanted = sorted(set(names))
    frame = reader.read(dataset, wanted, _EARLIEST, now() + 2 * DAY) if wanted else None
    return [] if frame is None else [name for name in wanted if name not in set(frame[dataset.about])]


def near(client: Client, archive: Archive, dataset: Dataset, name: str) -> list[str]:
    """The known names that resemble `name` most, the best first; capital letters make no difference.

    Names of which nothing is archived are known only where each has a journal of its own.

    Raises:
        LiveTierError, ArchiveTierError: a tier is away.
    """
    found = (
        {journal.removeprefix(dataset.prefix) for journal in find_journals(client, dataset)}
        if dataset.carried
        else set()
    )
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("covered_subjects"), {"dataset": dataset.name})
        found |= {subject for subject, _ in cursor.fetchall()}
    folded: dict[str, list[str]] = {}
    for one in sorted(found):
        folded.setdefault(one.casefold(), []).append(one)
    return [one for match in get_close_matches(name.casefold(), folded, _NEAR) for one in folded[match]][:_NEAR]
