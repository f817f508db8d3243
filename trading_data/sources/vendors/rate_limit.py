"""Retries of requests, and the pauses between them: `Patience`."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

_LONGEST_TOLD = 120.0
"""The longest wait in seconds that a server can request."""


def sleep(seconds: float) -> bool:
    """Sleep; returns False, because it is never time to give up."""
    time.sleep(seconds)
    return False


@dataclass(frozen=True)
class Patience:
    """Pauses that double from `first` to `longest` seconds, each shortened at random by up to half.

    Attributes:
        tries: attempts, the first included.
        first, longest: seconds.
        wait: waits some seconds, and returns True to give up, as an event's `wait` does.
    """

    tries: int = 8
    first: float = 0.5
    longest: float = 60.0
    wait: Callable[[float], bool] = sleep

    def seconds(self) -> Iterator[float]:
        """The pauses, without end; they are random so that clients that failed together do not retry together."""
        top = self.first
        while True:
            yield top * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret
            top = min(2 * top, self.longest)


def told_to_wait(headers: Mapping[str, str], moment: datetime) -> float | None:
    """The seconds to wait by an HTTP answer: `Retry-After` (seconds or a date), else `X-RateLimit-Reset` (seconds of 1970).

    None if the answer has neither in a known form; from 0 to two minutes. `headers` ignore upper and lower case.
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
