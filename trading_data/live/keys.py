"""Every key of the live tier: its name, its lifetime, and the keys this package keeps for itself.

Belongs here: names and TTLs, in one place. Does not: commands.
"""

from datetime import timedelta

PRICE = "stocks:price:{symbol}"
PERFORMANCE = "metrics:performance"

LATEST_TTL = timedelta(days=1)
"""How long a latest value outlives its last update. It may be evicted earlier; its journal entry never is."""


def drained(dataset: str) -> str:
    """Hash: journal → how far it was drained into the intake (JSON, see `intake.snapshot`)."""
    return f"archive:drained:{dataset}"


def sampled(dataset: str) -> str:
    """Hash: subject → digest of the latest value that was last looked at."""
    return f"archive:sampled:{dataset}"


def lease(dataset: str) -> str:
    """Lock: held by the one process that drains a dataset."""
    return f"archive:lease:{dataset}"
