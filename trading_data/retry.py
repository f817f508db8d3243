"""Repeating what failed because somebody else was in the way: `retry`.

Not for waits that something can end early, such as those of a feed that may be stopped, of a subscription that may be closed, or
for a vendor that says when to come back: each of them waits on its own event.
"""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

Result = TypeVar("Result")


def retry(attempt: Callable[[], Result], may_pass: Callable[[Exception], bool], pauses: Iterable[float]) -> Result:
    """The result of `attempt`, repeated after each of `pauses` (seconds) while `may_pass` holds of its error.

    Raises:
        Exception: the error of the last attempt, or the first that does not pass.
    """
    for pause in pauses:
        try:
            return attempt()
        except Exception as error:
            if not may_pass(error):
                raise
        time.sleep(pause)
    return attempt()
