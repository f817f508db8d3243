"""How full the live tier is, and how long until it is full.

Belongs here: reading the figures and the forecast, a pure function. Does not: what is done about them (`sensors`).
"""

from dataclasses import dataclass

from trading_data.live.connection import Client, info_of_each


@dataclass(frozen=True)
class Memory:
    """A reading. `used` and `limit` in bytes; `limit` 0 means that no maxmemory is set; `at` seconds since 1970."""

    at: float
    used: int
    limit: int

    @property
    def ratio(self) -> float:
        """Used share of the limit; 0.0 without a limit."""
        return self.used / self.limit if self.limit else 0.0


def read_memory(client: Client, at: float) -> Memory:
    """One INFO call to each server; of a cluster, the reading of its fullest node, for that one refuses writes first.

    Raises:
        LiveTierError: a server does not answer.
    """
    readings = [Memory(at, int(info["used_memory"]), int(info["maxmemory"])) for info in info_of_each(client, "memory")]
    return max(readings, key=lambda one: (one.ratio, one.used))


def seconds_until_full(readings: list[Memory]) -> float | None:
    """Forecast by a least-squares line through the last readings; None while it does not grow or nothing is known."""
    if len(readings) < 2 or not readings[-1].limit:
        return None
    last = readings[-1]
    mean_at = sum(reading.at for reading in readings) / len(readings)
    mean_used = sum(reading.used for reading in readings) / len(readings)
    spread = sum((reading.at - mean_at) ** 2 for reading in readings)
    if spread <= 0:
        return None
    slope = sum((reading.at - mean_at) * (reading.used - mean_used) for reading in readings) / spread
    return max(0.0, (last.limit - last.used) / slope) if slope > 0 else None
