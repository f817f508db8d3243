"""Figures as a line of text bars: Markdown in Dagster's pages shows no drawing of its own.

Belongs here: drawing. Does not: what is drawn.
"""

from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 90


def bars(values: Sequence[float]) -> str:
    """A bar a value, from zero to the largest; the last ninety."""
    shown = values[-_WIDTH:]
    largest = max(shown, default=0.0)
    if largest <= 0:
        return _BARS[0] * len(shown)
    return "".join(_BARS[min(len(_BARS) - 1, int(max(value, 0.0) / largest * len(_BARS)))] for value in shown)
