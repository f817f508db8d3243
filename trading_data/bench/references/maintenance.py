"""What maintenance is measured against: the bare statements of TimescaleDB over one open connection, and nothing around them."""

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any


def refreshes(connection: Any, windows: Iterable[tuple[str, datetime, datetime]]) -> float:
    """Seconds to refresh continuous aggregates, each in its window, in the order given."""
    began = time.perf_counter()
    with connection.cursor() as cursor:
        for window in windows:
            cursor.execute("call refresh_continuous_aggregate(%s, %s, %s)", window)
    return time.perf_counter() - began


def compress(connection: Any, chunks: Sequence[str]) -> float:
    """Seconds to compress chunks one after the other."""
    began = time.perf_counter()
    with connection.cursor() as cursor:
        for chunk in chunks:
            cursor.execute("select compress_chunk(%s)", (chunk,))
    return time.perf_counter() - began
