"""The cyclic collector, held back where it would run for nothing: `without_gc`.

Tens of thousands of small objects that all stay make it look through everything there is, again and again: with ten thousand
journals a third of a snapshot's and of a load's time. What it would find is found after the call.

Belongs here: this switch. Does not: memory that is bounded otherwise (`intake.drain`).
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_gc() -> Iterator[None]:
    """Hold it back inside the block, or while a decorated function runs; in the whole process."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
