"""The results of benches: a table with bars for people, JSON for programs, and the page of the docs.

Belongs here: showing and saving. Does not: judging.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
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
    """`met`, `missed`, or `reported` if there is no target."""
    return "reported" if entry["met"] is None else "met" if entry["met"] else "missed"


def bar(entry: Entry, width: int = _WIDTH) -> str:
    """The ratio as a bar with its target as a mark in the middle; a bar that does not fit ends with an arrow."""
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
    entries = list(entries)
    if not console.is_terminal:
        for entry in entries:
            columns = f"{entry['name']:<24}{entry['ratio']:>9.3g}  {entry['target'] or '-':<38}{verdict(entry):<10}"
            console.print(f"{columns}{bar(entry)}", markup=False, highlight=False, soft_wrap=True)
        return
    table = Table(box=None, caption="┃ is the target; the quartiles are over the repetitions")
    for name in ("bench", "ratio", "quartiles", "target", "", "against"):
        table.add_column(name, justify="right" if name in ("ratio", "quartiles") else "left", overflow="fold")
    for entry in entries:
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
    """Write the JSON to a temporary file and rename it, so that an interrupted run leaves the last complete one."""
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_text(json.dumps(list(entries), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(file)


def read(file: Path) -> list[Entry]:
    """The entries in a file that `save` wrote.

    Raises:
        BadInput: it is not such a file.
    """
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{file} is not a report of `trading-data bench --json`: {error}") from error
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and set(_NEEDED) <= set(entry) for entry in entries
    ):
        raise BadInput(
            f"{file} is not a report of `trading-data bench --json`, which is a list of objects with {', '.join(_NEEDED)}"
        )
    return entries


_HEAD = """# Performance

Made by `trading-data bench --page docs/performance.md --from FILE…`; do not edit it by hand.

Every speed target is a ratio to a reference, measured within the same minutes, on the same rows and the same servers: compare
ratios, not absolute figures. A ratio is the ratio of the medians; the quartiles over the repetitions are in brackets. The last
table explains what each bench measures, and against what.
"""


def page(reports: Sequence[Sequence[Entry]]) -> str:
    """The page with these reports side by side, in the order given."""
    titles = [_title(entries) for entries in reports]
    by_name = [{entry["name"]: entry for entry in entries} for entries in reports]
    names = list(dict.fromkeys(entry["name"] for entries in reports for entry in entries))
    parts = [_HEAD, "## Ratios", _ratios(names, titles, by_name)]
    for title, entries in zip(titles, reports, strict=True):
        parts += [f"## Measured on {title}", _surroundings(entries), _figures(entries)]
    parts += ["## What is measured", _meanings(names, by_name)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _title(entries: Sequence[Entry]) -> str:
    """The servers of a report, from its first entry that names them."""
    for entry in entries:
        versions = entry["versions"]
        if "live" in versions:
            kinds = set(entry["conditions"]["servers"].values())
            return f"{'/'.join(sorted(kinds))}: {versions['live']}, {versions['archive']}"
    return "embedded servers of its own"


def _ratios(names: Sequence[str], titles: Sequence[str], by_name: Sequence[Mapping[str, Entry]]) -> str:
    rows = []
    for name in names:
        known = next(entries[name] for entries in by_name if name in entries)
        cells = [_ratio(entries[name]) if name in entries else "–" for entries in by_name]
        rows.append([f"`{name}`", known["target"] or "reported", *cells])
    return _table(["bench", "target", *titles], rows)


def _ratio(entry: Entry) -> str:
    spread = entry["figures"]["ratio"]
    text = f"{entry['ratio']:.3g} ({spread['lower_quartile']:.3g}–{spread['upper_quartile']:.3g})"
    return {"met": f"**{text}**", "missed": f"{text} missed", "reported": text}[verdict(entry)]


def _surroundings(entries: Sequence[Entry]) -> str:
    """Time, machine, conditions and versions of a report."""
    first = entries[0]
    times = sorted(entry["at"] for entry in entries)
    machine = first["machine"]
    loads = [entry["conditions"]["load_before"] for entry in entries]
    conditions = (
        f"scale {_all(entries, 'scale')}, {_all(entries, 'repetitions')} repetitions, "
        f"load of the machine before each bench {min(loads)} to {max(loads)}"
    )
    lines = [
        f"- When: {times[0]} to {times[-1]}.",
        f"- Machine: {machine['cores']} cores, {machine['memory_gb']} GB, {machine['processor']}, {machine['system']}.",
        f"- Conditions: {conditions}.",
    ]
    versions: dict[str, str] = {}
    for entry in entries:
        versions |= entry["versions"]
    lines.append(f"- Versions: {', '.join(f'{name} {value}' for name, value in versions.items())}.")
    return "\n".join(lines)


def _all(entries: Sequence[Entry], name: str) -> str:
    return " and ".join(sorted({f"{entry['conditions'][name]:g}" for entry in entries}))


def _figures(entries: Sequence[Entry]) -> str:
    parts = []
    for entry in entries:
        others = {name: value for name, value in entry["figures"].items() if name != "ratio"}
        rows = [[name.replace("_", " "), _figure(value)] for name, value in others.items() if name != "curve"]
        text = f"### `{entry['name']}`\n\n```\n{entry['ratio']:>9.3g}  {bar(entry)}\n```"
        if rows:
            text += "\n\n" + _table(["figure", "median (quartiles)"], rows)
        if curve := others.get("curve"):
            text += "\n\n" + _curve(curve)
        parts.append(text)
    return "\n\n".join(parts)


def _curve(points: Sequence[Mapping[str, Any]]) -> str:
    unit = next(name for name in points[0] if name not in ("times", "seconds"))
    rows = [[f"{point['times']}×", f"{point[unit]:,}", _figure(point["seconds"])] for point in points]
    return _table(["size", unit.replace("_", " "), "seconds"], rows)


def _figure(value: Any) -> str:
    if isinstance(value, Mapping) and "median" in value:
        return f"{_number(value['median'])} ({_number(value['lower_quartile'])}–{_number(value['upper_quartile'])})"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_number(part)}" for name, part in value.items()) or "none"
    return _number(value)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or isinstance(value, int) else f"{value:.3g}"


def _meanings(names: Sequence[str], by_name: Sequence[Mapping[str, Entry]]) -> str:
    rows = []
    for name in names:
        entry = next(entries[name] for entries in by_name if name in entries)
        rows.append([f"`{name}`", entry.get("measures", ""), entry["reference"]])
    return _table(["bench", "measures", "against"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
