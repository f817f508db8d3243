"""Reading what is kept under the keys of the live tier: one record, many, or all there are.

A key with the wrong content is an error where one was asked for; among many it is reported in `problems` beside the others.

Belongs here: reading and reporting. Does not: what a hash means (`live.hash_codec`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from redis.exceptions import ResponseError

from trading_data.errors import WrongContent
from trading_data.live.connection import Client, live_errors
from trading_data.live.hash_codec import R, Shape
from trading_data.live.journal import find_keys, raw, text
from trading_data.live.keys import LiveKey
from trading_data.live.writes import check_type, type_of

T = TypeVar("T")

_KEYS_PER_PIPELINE = 500
"""As many as records are written in one."""


class Found(dict[str, T]):
    """What was found, by name; `problems` has an error for each key whose content was wrong, in order.

    `problems` is part of the answer: look at it, or call `whole` to have the first one raised.
    """

    def __init__(self, found: Mapping[str, T], problems: Sequence[WrongContent] = ()) -> None:
        """What could be read, and what could not."""
        super().__init__(found)
        self.problems = tuple(problems)

    def whole(self) -> "Found[T]":
        """Itself, if there was no problem. Raises the first one, a WrongContent, otherwise."""
        if self.problems:
            raise self.problems[0]
        return self


def listed(names: str | Iterable[str]) -> list[str]:
    """Names as a list; a single one may stand for itself."""
    return [names] if isinstance(names, str) else list(names)


def read_one(client: Client, shape: Shape[R], **about: str) -> R | None:
    """The record of one key, or None if there is none.

    Raises:
        WrongContent: the key is of another type, or a field is missing or malformed.
        BadInput: the name is empty or ambiguous.
        LiveTierError: the server is away.
    """
    name = shape.key.name(**about)
    found = ask(client, shape.key, name, lambda server: server.hgetall(raw(name)))
    return shape.decode(name, about, as_text(found)) if found else None


def read_many(client: Client, shape: Shape[R], symbols: Sequence[str], **about: str) -> Found[R]:
    """The records of those symbols that have one.

    Raises:
        BadInput: a name is empty or ambiguous.
        LiveTierError: the server is away.
    """
    names = {symbol: shape.key.name(symbol=symbol, **about) for symbol in symbols}
    found: dict[str, R] = {}
    problems: list[WrongContent] = []
    for symbol, reply in zip(names, _hashes(client, list(names.values())), strict=True):
        try:
            if isinstance(reply, ResponseError):
                record = read_one(client, shape, symbol=symbol, **about)
            else:
                record = shape.decode(names[symbol], {**about, "symbol": symbol}, as_text(reply)) if reply else None
            if record is not None:
                found[symbol] = record
        except WrongContent as problem:
            problems.append(problem)
    return Found(found, problems)


def read_all(client: Client, shape: Shape[R], **about: str) -> Found[R]:
    """The records of all symbols that have one, sorted by symbol; raises as `read_many`."""
    prefix = shape.key.name(symbol="-", **about)[:-1]
    names = find_keys(client, prefix, None)
    symbols = [name.removeprefix(prefix) for name in names]
    found = read_many(client, shape, [symbol for symbol in symbols if symbol.strip()], **about)
    nameless = [
        WrongContent(name, f"{name!r} names no symbol: another program wrote it; rename or delete it")
        for name, symbol in zip(names, symbols, strict=True)
        if not symbol.strip()
    ]
    return Found(found, [*nameless, *found.problems])


def ask(client: Client, key: LiveKey, name: str, command: Callable[[Any], Any]) -> Any:
    """The reply to one command. Raises WrongContent if the key is of another type, LiveTierError as always."""
    with live_errors(client):
        try:
            return command(client)
        except ResponseError as error:
            if _is_wrong_type(error):
                check_type(type_of(client, name), key, name)
            raise


def as_text(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """A hash as it came over the wire, as text; what is not UTF-8 survives the way to text and back."""
    return {text(name): text(value) for name, value in fields.items()}


def _hashes(client: Client, names: Sequence[str]) -> list[dict[bytes, bytes] | ResponseError]:
    """HGETALL of each name; an error for a key of another type."""
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
