"""Follows a call through the package: the files that it enters, and the names under which a value is handed on."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import trading_data

_PACKAGE = f"{Path(trading_data.__file__).parent}/"


@dataclass
class Walk:
    """What a call went through.

    Attributes:
        entered: the files of the package, below it, whose functions ran.
        holding: those of them where a variable had the value.
        names: the names of these variables.
    """

    entered: set[str] = field(default_factory=set)
    holding: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)


@contextmanager
def walking(is_followed: Callable[[Any], bool]) -> Iterator[Walk]:
    """Trace the calls made inside; `is_followed` recognises the value to follow among the variables."""
    walk = Walk()

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event not in ("call", "return") or not frame.f_code.co_filename.startswith(_PACKAGE):
            return
        file = frame.f_code.co_filename.removeprefix(_PACKAGE)
        walk.entered.add(file)
        for name, value in frame.f_locals.items():
            if is_followed(value):
                walk.holding.add(file)
                walk.names.add(name)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield walk
    finally:
        sys.setprofile(before)
