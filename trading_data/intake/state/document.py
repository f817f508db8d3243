"""A state: every key that belongs to it, with its whole content, as one self-describing JSON document.

    {"format": 1, "began": …, "ended": …, "run_id": …,
     "kinds": [{"name": "watchlist", "pattern": "watchlist:current", "type": "set",
                "keys": [{"key": "watchlist:current", "ttl_ms": null, "value": ["AAPL", …]}]}, …],
     "problems": [{"kind": …, "key": …, "expected": "hash", "found": "string"}, …]}

A hash is a list of pairs, a sorted set a list of member and score (lowest first; `"inf"` and `"-inf"` as text), a set a
sorted list, a string a text. A text that is not UTF-8 is `{"base64": …}` instead, so that any reader of JSON can restore it.

Belongs here: the format of a document, and tables of its content. Does not: its origin (`take`) and its location (`files`).
"""

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from trading_data.datasets.codec import plain
from trading_data.errors import IntakeError
from trading_data.live.journal import raw, text
from trading_data.live.keys import KeyType
from trading_data.printable import printable

FORMAT = 1

Value = dict[str, str] | list[str] | list[tuple[str, float]] | str
"""Of a hash, a set (sorted), a sorted set (lowest score first), a string; texts as `live.journal.text` makes them."""


@dataclass(frozen=True)
class Key:
    """One key: its name, its content, and its remaining lifetime in milliseconds (None: it does not expire)."""

    key: str
    value: Value
    ttl_ms: int | None = None


@dataclass(frozen=True)
class KeyGroup:
    """All keys of one kind, sorted by name: `name`, `pattern` and `type` as declared in `live.keys`."""

    name: str
    pattern: str
    type: KeyType
    keys: tuple[Key, ...] = ()

    @property
    def prefix(self) -> str:
        """The pattern up to its first placeholder, or the whole pattern."""
        return self.pattern.partition("{")[0]


@dataclass(frozen=True)
class Problem:
    """A key that could not be read because its type (`found`) is not the declared one."""

    kind: str
    key: str
    expected: str
    found: str


@dataclass(frozen=True)
class StateSnapshot:
    """The live tier's state between two moments of the server's clock, aware UTC (see `take.take_state`)."""

    began: datetime
    ended: datetime
    run_id: str
    kinds: tuple[KeyGroup, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def keys(self) -> int:
        """The number of keys in it."""
        return sum(len(kind.keys) for kind in self.kinds)


def as_json(state: StateSnapshot) -> dict[str, Any]:
    """The document, as JSON's own types."""
    return {
        "format": FORMAT,
        "began": state.began.isoformat(),
        "ended": state.ended.isoformat(),
        "run_id": state.run_id,
        "kinds": [
            {
                "name": kind.name,
                "pattern": kind.pattern,
                "type": kind.type,
                "keys": [
                    {"key": _packed(key.key), "ttl_ms": key.ttl_ms, "value": _PACK[kind.type](key.value)}
                    for key in kind.keys
                ],
            }
            for kind in state.kinds
        ],
        "problems": [{**vars(problem), "key": _packed(problem.key)} for problem in state.problems],
    }


def encode(state: StateSnapshot) -> bytes:
    """The document as a file's bytes."""
    return json.dumps(as_json(state), ensure_ascii=False, allow_nan=False).encode()


def decode(data: bytes, where: str) -> StateSnapshot:
    """The state in a document's bytes.

    Raises:
        IntakeError: it is no such document, or of a newer form.
    """
    try:
        head = json.loads(data)
        if head["format"] != FORMAT:
            raise IntakeError(f"{where} was written by another release (format {head['format']}): upgrade to read it")
        return StateSnapshot(
            datetime.fromisoformat(head["began"]),
            datetime.fromisoformat(head["ended"]),
            head["run_id"],
            tuple(map(_kind, head["kinds"])),
            tuple(Problem(**{**problem, "key": _unpacked(problem["key"])}) for problem in head["problems"]),
        )
    except (ValueError, LookupError, TypeError) as error:
        raise IntakeError(f"{where} is damaged or not a state: {error!r}") from error


def _kind(group: Mapping[str, Any]) -> KeyGroup:
    unpack = _UNPACK[group["type"]]
    keys = (Key(_unpacked(key["key"]), unpack(key["value"]), key["ttl_ms"]) for key in group["keys"])
    return KeyGroup(group["name"], group["pattern"], group["type"], tuple(keys))


def _packed(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:
        return {"base64": b64encode(raw(value)).decode()}
    return value


def _unpacked(value: Any) -> str:
    return value if isinstance(value, str) else text(b64decode(value["base64"], validate=True))


def _score(score: float) -> float | str:
    return score if math.isfinite(score) else str(score)


_PACK: Mapping[str, Callable[[Any], Any]] = {
    "hash": lambda value: [[_packed(name), _packed(held)] for name, held in value.items()],
    "set": lambda value: [_packed(member) for member in value],
    "zset": lambda value: [[_packed(member), _score(score)] for member, score in value],
    "string": _packed,
}
_UNPACK: Mapping[str, Callable[[Any], Value]] = {
    "hash": lambda value: {_unpacked(name): _unpacked(held) for name, held in value},
    "set": lambda value: [_unpacked(member) for member in value],
    "zset": lambda value: [(_unpacked(member), float(score)) for member, score in value],
    "string": _unpacked,
}


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
