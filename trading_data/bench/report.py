"""The results of benches: a table with bars for people, JSON for programs, and the page of the docs.

The page is made from reports and the goals of today: a ratio that misses its goal says so, one that was measured against another
reference too, and a goal without a figure is "not measured".

Belongs here: showing and saving. Does not: measuring.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trading_data.bench.measure import Promise
from trading_data.bench.references import blob
from trading_data.errors import BadInput
from trading_data.files import replacing

Entry = dict[str, Any]
_WIDTH = 24
_NEEDED = ("name", "size", "ratio", "also", "settled", "figures", "versions", "settings", "machine", "conditions", "at")


def verdict(entry: Entry, promise: Promise) -> str:
    """`met`, `missed`, or `reported` if there is no target; `measured against an earlier reference` comes before all."""
    if promise.settled and entry["settled"] != blob(promise.settled):
        return "measured against an earlier reference"
    if promise.target is None:
        return "reported"
    return "met" if promise.target.met_by(entry["ratio"]["median"]) and entry["also"] else "missed"


def bar(ratio: float, goal: float | None, width: int = _WIDTH) -> str:
    """The ratio as a bar with its target as a mark in the middle; a bar that does not fit ends with an arrow."""
    full = 2 * (goal or 1.0)
    filled = round(width * min(max(ratio, 0) / full, 1.0))
    cells = ["█"] * filled + [" "] * (width - filled)
    if goal is not None:
        cells[width // 2] = "┃" if filled <= width // 2 else "╋"
    if ratio > full:
        cells[-1] = "▶"
    return "".join(cells).rstrip()


def show(entries: Iterable[Entry], promises: Mapping[str, Promise], console: Console) -> None:
    """A table on a terminal, plain lines elsewhere."""
    table = Table(box=None, caption="┃ is the target; the quartiles are over the repetitions")
    for name in ("bench", "ratio", "quartiles", "target", "", "size", "against"):
        table.add_column(name, justify="right" if name in ("ratio", "quartiles") else "left", overflow="fold")
    for entry in entries:
        promise, ratio = promises[entry["name"]], entry["ratio"]
        outcome, goal = verdict(entry, promise), promise.target.value if promise.target else None
        drawn = bar(ratio["median"], goal)
        target = str(promise.target or "reported")
        if not console.is_terminal:
            line = f"{entry['name']:<24}{ratio['median']:>9.3g}  {target:<38}{outcome:<10}{drawn}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            continue
        style = {"met": "green", "missed": "red"}.get(outcome, "")
        quartiles = f"{ratio['lower_quartile']:.3g}–{ratio['upper_quartile']:.3g}"
        cells = (
            f"{ratio['median']:.3g}",
            quartiles,
            target,
            Text(drawn, style=style),
            entry["size"],
            promise.reference,
        )
        table.add_row(entry["name"], *cells)
    if console.is_terminal:
        console.print(table)


def save(entries: Sequence[Entry], file: Path) -> None:
    """Write the JSON; an interrupted run leaves the last complete one."""
    with replacing(file) as aside:
        aside.write_text(json.dumps(list(entries), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(file: Path) -> list[Entry]:
    """The entries in a file that `save` wrote, all of one scale.

    Raises:
        BadInput: it is not such a file, or has several scales.
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
    scales = {entry["conditions"]["scale"] for entry in entries}
    if len(scales) > 1:
        raise BadInput(f"{file} has figures of several scales, {sorted(scales)}: a report has one")
    return entries


def merged(before: Sequence[Entry], new: Sequence[Entry], order: Iterable[str]) -> list[Entry]:
    """The newest entry of each promise, in the order of the promises; what is no promise any more is left out."""
    by_name = {entry["name"]: entry for entry in (*before, *new)}
    return [by_name[name] for name in order if name in by_name]


_HEAD = """# Performance

Made by `trading-data bench --page docs/performance.md` from the reports in `docs/performance`; do not edit it by hand.

Every goal is a ratio against a reference measured in the same minutes, on the same rows, on the same servers: read the ratios, not
the absolute figures. A ratio is the median over the repetitions of subject by reference, each pair measured in turn; in brackets
are the quartiles. References are what a competent user would write with the best library; they are in
`trading_data/bench/references`, and a test holds that none changes without an entry that gives the reason. All figures of a column
have one scale."""


def page(promises: Mapping[str, Promise], reports: Mapping[str, Sequence[Entry]], earlier: str = "") -> str:
    """The page with these reports (by their names) side by side, and the earlier figures (TOML)."""
    by_name = {title: {entry["name"]: entry for entry in entries} for title, entries in reports.items()}
    rows = []
    for name, promise in promises.items():
        cells = [cell for entries in by_name.values() for cell in _cells(entries.get(name), promise)]
        rows.append([f"`{name}`", str(promise.target or "reported"), *cells])
    heads = [(f"{title}, scale {_all(entries, 'scale') or '–'}", "size") for title, entries in reports.items()]
    parts = [_HEAD, "## Ratios", _table(["bench", "goal", *chain.from_iterable(heads)], rows)]
    parts += [_missed(title, entries, promises) for title, entries in by_name.items()]
    meanings = [[f"`{name}`", promise.measures, promise.reference] for name, promise in promises.items()]
    parts += ["## What is measured", _table(["bench", "measures", "against"], meanings)]
    if earlier:
        parts.append(_earlier(tomllib.loads(earlier)["figure"]))
    for title, entries in reports.items():
        if entries:
            parts += [f"## Measured: {title}", _surroundings(entries), *map(_figures, entries)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _cells(entry: Entry | None, promise: Promise) -> tuple[str, str]:
    """The ratio, and the size at which it was measured."""
    if entry is None:
        return "not measured", "–"
    ratio, outcome = entry["ratio"], verdict(entry, promise)
    text = f"{ratio['median']:.3g} ({ratio['lower_quartile']:.3g}–{ratio['upper_quartile']:.3g})"
    return {"met": f"**{text}**", "reported": text}.get(outcome, f"{text} {outcome}"), entry["size"]


def _missed(title: str, entries: Mapping[str, Entry], promises: Mapping[str, Promise]) -> str:
    """How many goals are met, in a sentence."""
    goals = {name: promise for name, promise in promises.items() if promise.target}
    met = [name for name, promise in goals.items() if name in entries and verdict(entries[name], promise) == "met"]
    rest = ", ".join(f"`{name}`" for name in goals if name not in met)
    return f"{title.capitalize()}: {len(met)} of {len(goals)} goals hold." + (f" Not: {rest}." if rest else "")


def _earlier(figures: Sequence[Mapping[str, str]]) -> str:
    head = ["bench", "goal", "native", "embedded", "was measured against", "why it is not any more"]
    names = ("bench", "goal", "native", "embedded", "against", "why")
    text = "## Earlier figures\n\nAs this page had them before the references were settled, and why each reference changed.\n\n"
    return text + _table(head, [[figure[name] for name in names] for figure in figures])


def _surroundings(entries: Sequence[Entry]) -> str:
    """Time, machine, conditions, versions and settings of a report."""
    first, times = entries[0], sorted(entry["at"] for entry in entries)
    machine, loads = first["machine"], [entry["conditions"]["load_before"] for entry in entries]
    versions: dict[str, str] = {}
    for entry in entries:
        versions |= entry["versions"]
    busy = (
        " **Others were at work on it: no figure here is to be relied on.**" if median(loads) > machine["cores"] else ""
    )
    servers = " and ".join(sorted({kind for entry in entries for kind in entry["conditions"]["servers"].values()}))
    lines = [
        f"- When: {times[0]} to {times[-1]}.",
        f"- Machine: {machine['cores']} cores, {machine['memory_gb']} GB, {machine['processor']}, {machine['system']}.",
        f"- Conditions: servers {servers}, scale {_all(entries, 'scale')}, {_all(entries, 'repetitions')} repetitions.",
        f"- Load of the machine before each bench: {min(loads)} to {max(loads)}.{busy}",
        f"- Versions: {', '.join(f'{name} {value}' for name, value in versions.items())}.",
        *(
            f"- Settings, {tier}: {', '.join(f'{name} {value}' for name, value in values.items())}."
            for tier, values in first["settings"].items()
        ),
    ]
    return "\n".join(lines)


def _all(entries: Sequence[Entry], name: str) -> str:
    return " and ".join(sorted({f"{entry['conditions'][name]:g}" for entry in entries}))


def _figures(entry: Entry) -> str:
    ratio = entry["ratio"]
    shown = f"{ratio['median']:.3g}, from {ratio['low']:.3g} to {ratio['high']:.3g} in {ratio['samples']:g} repetitions"
    rows = [["ratio", shown], *([name.replace("_", " "), _figure(value)] for name, value in entry["figures"].items())]
    return f"### `{entry['name']}`: {entry['size']}\n\n" + _table(["figure", "median (quartiles)"], rows)


def _figure(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and "median" in value:
        return f"{_number(value['median'])} ({_number(value['lower_quartile'])}–{_number(value['upper_quartile'])})"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_number(part)}" for name, part in value.items()) or "none"
    return _number(value)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or isinstance(value, int) else f"{value:.3g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
