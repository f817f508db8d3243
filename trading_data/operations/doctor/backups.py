"""How old the newest backup is, and whether it was ever proven.

Belongs here: the finding and the fact for the page. Does not: backups (`backup`), and the limits (`operations.health.rules`).
"""

from datetime import datetime

from trading_data.errors import BackupError, TradingDataError
from trading_data.operations.backup.listing import backups
from trading_data.operations.backup.metrics import measure_backups
from trading_data.operations.health.rules import BACKUPS
from trading_data.operations.health.thresholds import WARN, Finding, judge

UNKNOWN = "backup_unknown"


def unknown(error: Exception) -> Finding:
    """That the backups could not be looked at, and why."""
    said = " ".join(str(error).split()) if isinstance(error, TradingDataError) else f"{type(error).__name__}: {error}"
    return Finding(UNKNOWN, WARN, said, "trading-data backup --list", harm=560)


def look_at_backups(uri: str, now: datetime) -> tuple[list[Finding], list[str]]:
    """What is wrong with the backups under `uri`, and what there is."""
    try:
        every = backups(uri)
    except BackupError as error:
        return [unknown(error)], []
    newest = next((one for one in every if one.complete), None)
    facts = [f"{sum(one.complete for one in every):,} complete backups"]
    if newest is not None:
        proven = "restored in a drill" if newest.drilled else "not proven by a drill"
        facts = [f"{facts[0]}, the newest {newest.age(now).total_seconds() / 3600:,.1f} h old, {proven}"]
    return judge(BACKUPS, measure_backups(uri, now)), facts
