"""A state as tables: what the run's page and the command line show. Every text came from anybody and is escaped.

Belongs here: rows and columns. Does not: drawing them.
"""

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
    """One kind's table: column names, each once, and cells of text; a field that a key does not have is an empty cell."""

    name: str
    pattern: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(state: StateSnapshot) -> list[Table]:
    """A table a kind, in the order of their declaration, empty ones included.

    Hashes of which there are many keys have a row a key and a column a field; the hash of a single key has a row a field;
    sets have a row a member, and so have sorted sets, the highest score first. Keys that expire say in how many seconds.
    """
    return [_table(kind) for kind in state.kinds]


def said(problem: Problem) -> str:
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
    for one in kind.keys:
        lead = [one.key[len(kind.prefix) :]] if about else []
        left = ["" if one.ttl_ms is None else f"{one.ttl_ms / 1000:.3f}"] if expires else []
        cells = [[cast(dict[str, str], one.value).get(name, "") for name in fields]] if wide else _cells(kind, one)
        rows += [tuple(map(printable, [*lead, *left, *some])) for some in cells]
    return Table(kind.name, kind.pattern, _once_each([*about, *expires, *fields]), tuple(rows))


def _cells(kind: KeyGroup, key: Key) -> Iterable[Sequence[str]]:
    value: Any = key.value
    if kind.type == "hash":
        return cast(Iterable[Sequence[str]], value.items())
    if kind.type == "zset":
        ranked = enumerate(reversed(value), start=1)
        return [(str(rank), member, plain(score)) for rank, (member, score) in ranked]
    return [(member,) for member in ([value] if kind.type == "string" else value)]


def _once_each(names: Iterable[str]) -> tuple[str, ...]:
    """Fit for column names: a field may be called as the column before it, and two may look the same when escaped."""
    return tuple(_numbered(map(printable, names)))


def _numbered(names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        once, count = name, 1
        while once in seen:
            count += 1
            once = f"{name} ({count})"
        seen.add(once)
        yield once
