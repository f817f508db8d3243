"""A state as tables, for the run's page and the command line. All texts are untrusted, and escaped."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from trading_data.datasets.codec import plain
from trading_data.intake.state.document import Key, KeyGroup, Problem, StateSnapshot
from trading_data.printable import printable

_EXPIRES = "expires in s"
_COLUMNS = {"hash": ("name", "value"), "set": ("member",), "zset": ("rank", "member", "score"), "string": ("value",)}


@dataclass(frozen=True)
class Table:
    """One kind's table: distinct column names, and cells of text; a cell is empty where a key lacks the field."""

    name: str
    pattern: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(state: StateSnapshot) -> list[Table]:
    """One table per kind, in the order of their declaration, empty ones included.

    Kinds of hashes with many keys have a row per key and a column per field; the hash of a single key has a row per field; sets
    and sorted sets have a row per member, the highest score first. A column shows the seconds left of keys that expire.
    """
    return [_table(kind) for kind in state.kinds]


def problem_text(problem: Problem) -> str:
    """A problem in one line."""
    return f"{printable(problem.key)} is a {printable(problem.found)}, not the {problem.expected} that is declared"


def _table(kind: KeyGroup) -> Table:
    about = [kind.pattern[len(kind.prefix) :].replace("{", "").replace("}", "")] if kind.prefix != kind.pattern else []
    expires = [_EXPIRES] if any(key.ttl_ms is not None for key in kind.keys) else []
    fields: Sequence[str] = _COLUMNS[kind.type]
    wide = kind.type == "hash" and bool(about)
    if wide:
        fields = list(dict.fromkeys(name for key in kind.keys for name in cast(dict[str, str], key.value)))
    rows = []
    for key in kind.keys:
        lead = [key.key[len(kind.prefix) :]] if about else []
        left = ["" if key.ttl_ms is None else f"{key.ttl_ms / 1000:.3f}"] if expires else []
        cells = [[cast(dict[str, str], key.value).get(name, "") for name in fields]] if wide else _cells(kind, key)
        rows += [tuple(map(printable, [*lead, *left, *cell])) for cell in cells]
    return Table(kind.name, kind.pattern, tuple(_distinct(map(printable, [*about, *expires, *fields]))), tuple(rows))


def _cells(kind: KeyGroup, key: Key) -> Iterable[Sequence[str]]:
    value: Any = key.value
    if kind.type == "hash":
        return cast(Iterable[Sequence[str]], value.items())
    if kind.type == "zset":
        ranked = enumerate(reversed(value), start=1)
        return [(str(rank), member, plain(score)) for rank, (member, score) in ranked]
    return [(member,) for member in ([value] if kind.type == "string" else value)]


def _distinct(names: Iterable[str]) -> Iterator[str]:
    """Numbered where they repeat: a field may have the name of a column before it, and escaped names may look the same."""
    seen: set[str] = set()
    for name in names:
        distinct, count = name, 1
        while distinct in seen:
            count += 1
            distinct = f"{name} ({count})"
        seen.add(distinct)
        yield distinct
