"""Names of symbols and metrics: which have no rows, and which known names resemble a mistaken one."""

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
    """Those symbols (or metrics) without a row in any tier, at any time.

    Raises:
        LiveTierError, ArchiveTierError: a tier is away.
        IntakeError: a batch in the intake is damaged.
    """
    wanted = sorted(set(names))
    frame = reader.read(dataset, wanted, _EARLIEST, now() + 2 * DAY) if wanted else None
    return [] if frame is None else [name for name in wanted if name not in set(frame[dataset.about])]


def near(client: Client, archive: Archive, dataset: Dataset, name: str) -> list[str]:
    """The known names that resemble `name` most, the best first; case makes no difference.

    Names without archived rows are known only where each symbol has a journal of its own.

    Raises:
        LiveTierError, ArchiveTierError: a tier is away.
    """
    names = set[str]()
    if dataset.carried:
        names |= {journal.removeprefix(dataset.prefix) for journal in find_journals(client, dataset)}
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("covered_subjects"), {"dataset": dataset.name})
        names |= {subject for subject, _ in cursor.fetchall()}
    spellings: dict[str, list[str]] = {}
    for known in sorted(names):
        spellings.setdefault(known.casefold(), []).append(known)
    matches = get_close_matches(name.casefold(), spellings, _NEAR)
    return [known for match in matches for known in spellings[match]][:_NEAR]
