"""How often somebody who does not answer is asked again, and how long one waits in between: `Patience`.

Belongs here: the arithmetic of pauses, and what an HTTP answer says about them. Does not: what is asked.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

_LONGEST_TOLD = 120.0
"""Seconds that are waited at most because a server says so; after that it is asked again, whatever it said."""


def sleep(seconds: float) -> bool:
    """Let `seconds` pass; it is never time to give up."""
    time.sleep(seconds)
    return False


@dataclass(frozen=True)
class Patience:
    """Pauses that double from `first` to `longest` seconds, each between half of that and all of it, by chance.

    Attributes:
        tries: how often one thing is tried, the first time included.
        first, longest: seconds.
        wait: waits some seconds, and returns True when it is time to give up; an event's `wait` will do.
    """

    tries: int = 8
    first: float = 0.5
    longest: float = 60.0
    wait: Callable[[float], bool] = sleep

    def seconds(self) -> Iterator[float]:
        """The pauses, without end: chance keeps clients that failed together from coming back together."""
        top = self.first
        while True:
            yield top * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret
            top = min(2 * top, self.longest)


def told_to_wait(headers: Mapping[str, str], moment: datetime) -> float | None:
    """Seconds that an answer says to wait: `Retry-After` (seconds or a date), else `X-RateLimit-Reset` (seconds of 1970).

    None where it says nothing that can be understood; never negative, never more than two minutes. `headers` know no
    difference between capital and small letters.
    """
    seconds: float | None = None
    if after := headers.get("Retry-After"):
        seconds = _number(after)
        if seconds is None:
            with suppress(ValueError, TypeError):
                seconds = (parsedate_to_datetime(after) - moment) / timedelta(seconds=1)
    elif reset := _number(headers.get("X-RateLimit-Reset", "")):
        seconds = reset - moment.timestamp()
    return None if seconds is None else min(max(seconds, 0.0), _LONGEST_TOLD)


def _number(text: str) -> float | None:
    return float(text) if text.strip().replace(".", "", 1).isdecimal() else None
