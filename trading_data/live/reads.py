"""Reading records of the live tier (one, many, or all of a kind), and finding keys of the wrong type.

Wrong content raises where one key is read; where many are read, it is reported in `problems` beside the other records. Keys with
a name of this system and another type than declared, which another program wrote, are left alone: they are neither archived
nor read, and hold up nothing else. Only TYPE reveals them, since a SCAN by type skips them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from redis.exceptions import ResponseError

from trading_data.datasets.declaration import Dataset
from trading_data.errors import WrongContent
from trading_data.live.connection import Client, live_errors
from trading_data.live.hash_codec import R, Shape
from trading_data.live.journal import execute, find_keys, raw, text
from trading_data.live.keys import KEYS, KeyType, LiveKey
from trading_data.live.writes import check_type, type_of

MOST = 1000
"""Most keys reported; the first ones are enough to find their writer."""
_TYPES_PER_PIPELINE = 300


@dataclass(frozen=True)
class WrongType:
    """A key (as `live.keys.text` writes it), its declared type and its actual one."""

    key: str
    expected: KeyType
    actual: str

    @property
    def message(self) -> str:
        """A sentence, printable whatever bytes are in the key."""
        return f"`{raw(self.key).decode('utf-8', 'backslashreplace')}` is a {self.actual}, not a {self.expected}"


def keys_of(dataset: Dataset) -> list[LiveKey]:
    """The kinds of keys from which a dataset is archived."""
    return [kind for kind in KEYS.values() if kind.pattern in (dataset.journal, dataset.latest)]


def wrong_types(client: Client, kinds: Iterable[LiveKey] | None = None) -> list[WrongType]:
    """The first thousand keys of `kinds` (None: of all kinds) whose type is not the declared one.

    Raises:
        LiveTierError: the server is unavailable.
    """
    wrong: list[WrongType] = []
    for kind in KEYS.values() if kinds is None else kinds:
        names = find_keys(client, kind.prefix, None) if "{" in kind.pattern else [kind.pattern]
        for start in range(0, len(names), _TYPES_PER_PIPELINE):
            block = names[start : start + _TYPES_PER_PIPELINE]
            pipeline = client.pipeline(transaction=False)
            for name in block:
                pipeline.type(cast(str, raw(name)))
            types = [reply.decode() for reply in execute(client, pipeline, b"none")]
            wrong += [
                WrongType(name, kind.type, type_)
                for name, type_ in zip(block, types, strict=True)
                if type_ not in (kind.type, "none")
            ]
            if len(wrong) >= MOST:
                return wrong[:MOST]
    return wrong


T = TypeVar("T")

_KEYS_PER_PIPELINE = 500
"""As many as records in a pipeline of `live.store`."""


class Found(dict[str, T]):
    """Records by name; `problems` has an error for each key with wrong content, in order.

    `problems` is part of the answer: check it, or call `whole`, which raises the first one.
    """

    def __init__(self, records: Mapping[str, T], problems: Sequence[WrongContent] = ()) -> None:
        """The readable records, and the errors of the others."""
        super().__init__(records)
        self.problems = tuple(problems)

    def whole(self) -> "Found[T]":
        """This mapping, if there are no problems; otherwise raises the first one, a WrongContent."""
        if self.problems:
            raise self.problems[0]
        return self


def listed(names: str | Iterable[str]) -> list[str]:
    """Names as a list; a string is one name."""
    return [names] if isinstance(names, str) else list(names)


def read_one(client: Client, shape: Shape[R], **about: str) -> R | None:
    """The record of one key, or None if there is none.

    Raises:
        WrongContent: the key has another type, or a field is missing or malformed.
        BadInput: the name is empty or ambiguous.
        LiveTierError: the server is unavailable.
    """
    name = shape.key.name(**about)
    fields = ask(client, shape.key, name, lambda server: server.hgetall(raw(name)))
    return shape.decode(name, about, as_text(fields)) if fields else None


def read_many(client: Client, shape: Shape[R], symbols: Sequence[str], **about: str) -> Found[R]:
    """The records of those symbols that have one.

    Raises:
        BadInput: a name is empty or ambiguous.
        LiveTierError: the server is away.
    """
    names = {symbol: shape.key.name(symbol=symbol, **about) for symbol in symbols}
    records: dict[str, R] = {}
    problems: list[WrongContent] = []
    for symbol, reply in zip(names, _hashes(client, list(names.values())), strict=True):
        try:
            if isinstance(reply, ResponseError):
                record = read_one(client, shape, symbol=symbol, **about)
            else:
                record = shape.decode(names[symbol], {**about, "symbol": symbol}, as_text(reply)) if reply else None
            if record is not None:
                records[symbol] = record
        except WrongContent as problem:
            problems.append(problem)
    return Found(records, problems)


def read_all(client: Client, shape: Shape[R], **about: str) -> Found[R]:
    """The records of all symbols that have one, sorted by symbol; raises as `read_many`."""
    prefix = shape.key.name(symbol="-", **about)[:-1]
    names = find_keys(client, prefix, None)
    symbols = [name.removeprefix(prefix) for name in names]
    records = read_many(client, shape, [symbol for symbol in symbols if symbol.strip()], **about)
    nameless = [
        WrongContent(name, f"{name!r} names no symbol: another program wrote it; rename or delete it")
        for name, symbol in zip(names, symbols, strict=True)
        if not symbol.strip()
    ]
    return Found(records, [*nameless, *records.problems])


def ask(client: Client, key: LiveKey, name: str, command: Callable[[Any], Any]) -> Any:
    """The reply to one command. Raises WrongContent if the key has another type, LiveTierError if the server fails."""
    with live_errors(client):
        try:
            return command(client)
        except ResponseError as error:
            if _is_wrong_type(error):
                check_type(type_of(client, name), key, name)
            raise


def as_text(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """A hash's fields as text (see `live.keys.text`)."""
    return {text(name): text(value) for name, value in fields.items()}


def _hashes(client: Client, names: Sequence[str]) -> list[dict[bytes, bytes] | ResponseError]:
    """The reply to HGETALL for each name; an error for a key of another type."""
    out: list[dict[bytes, bytes] | ResponseError] = []
    for start in range(0, len(names), _KEYS_PER_PIPELINE):
        pipeline = client.pipeline(transaction=False)
        for name in names[start : start + _KEYS_PER_PIPELINE]:
            pipeline.hgetall(cast(str, raw(name)))
        with live_errors(client):
            replies = pipeline.execute(raise_on_error=False)
            for reply in replies:
                if isinstance(reply, Exception) and not _is_wrong_type(reply):
                    raise reply
        out += replies
    return out


def _is_wrong_type(error: Exception) -> bool:
    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)
