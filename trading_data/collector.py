"""Pausing the cyclic garbage collector: `without_gc`.

Allocating tens of thousands of small objects that all stay alive triggers full collections again and again: with ten thousand
journals they took a third of the time of a snapshot and of a load. Cycles are collected after the call instead.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_gc() -> Iterator[None]:
    """Pause it inside the block, or while a decorated function runs; in the whole process."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
