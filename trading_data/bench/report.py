"""What benches found: a table with bars for people, JSON for programs.

Belongs here: showing and keeping. Does not: judging; the page of the docs is `page`.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trading_data.errors import BadInput

Entry = dict[str, Any]
_WIDTH = 24
_NEEDED = ("name", "ratio", "target", "met", "reference", "figures", "versions", "machine", "conditions", "at")


def verdict(entry: Entry) -> str:
    """`met`, `missed`, or `reported` where there is no target."""
    return "reported" if entry["met"] is None else "met" if entry["met"] else "missed"


def bar(entry: Entry, width: int = _WIDTH) -> str:
    """The ratio as a bar whose target is a mark in its middle; a bar that runs out of room ends with an arrow."""
    goal = goal_of(entry)
    full = 2 * (goal or 1.0)
    filled = round(width * min(entry["ratio"] / full, 1.0))
    cells = ["█"] * filled + [" "] * (width - filled)
    if goal is not None:
        cells[width // 2] = "┃" if filled <= width // 2 else "╋"
    if entry["ratio"] > full:
        cells[-1] = "▶"
    return "".join(cells).rstrip()


def goal_of(entry: Entry) -> float | None:
    """The number in the target."""
    return None if entry["target"] is None else float(entry["target"].split()[1])


def show(entries: Iterable[Entry], console: Console) -> None:
    """A table on a terminal, plain lines elsewhere."""
    found = list(entries)
    if not console.is_terminal:
        for entry in found:
            said = f"{entry['name']:<24}{entry['ratio']:>9.3g}  {entry['target'] or '-':<38}{verdict(entry):<10}"
            console.print(f"{said}{bar(entry)}", markup=False, highlight=False, soft_wrap=True)
        return
    table = Table(box=None, caption="┃ is the target; the quartiles are those of the repetitions")
    for name in ("bench", "ratio", "quartiles", "target", "", "against"):
        table.add_column(name, justify="right" if name in ("ratio", "quartiles") else "left", overflow="fold")
    for entry in found:
        spread = entry["figures"]["ratio"]
        style = {"met": "green", "missed": "red", "reported": ""}[verdict(entry)]
        table.add_row(
            entry["name"],
            f"{entry['ratio']:.3g}",
            f"{spread['lower_quartile']:.3g}–{spread['upper_quartile']:.3g}",
            entry["target"] or "reported",
            Text(bar(entry), style=style),
            entry["reference"],
        )
    console.print(table)


def save(entries: Sequence[Entry], file: Path) -> None:
    """Write the JSON, aside and renamed, so that a run that is cut short leaves what it had."""
    aside = file.with_name(f".{file.name}.tmp")
    aside.write_text(json.dumps(list(entries), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    aside.replace(file)


def read(file: Path) -> list[Entry]:
    """The entries in a file that `save` wrote.

    Raises:
        BadInput: it is none.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{file} is no report of `trading-data bench --json`: {error}") from error
    if not isinstance(found, list) or not all(isinstance(one, dict) and set(_NEEDED) <= set(one) for one in found):
        raise BadInput(
            f"{file} is no report of `trading-data bench --json`: it has to be a list of {', '.join(_NEEDED)}"
        )
    return found
