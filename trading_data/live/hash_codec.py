"""Records to hashes and back, exactly: each shape follows from its record class and its declaration in `KEYS`.

A field of the record is a field of the hash, except for the parts of the key's name. Further fields of the hash that are finite
numbers go to the record's `values`, if it has that attribute; all others go to `extra`.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from typing import Any, Generic, TypeVar, get_type_hints

from trading_data.datasets.records import Bar
from trading_data.errors import BadInput, WrongContent
from trading_data.live.field_types import FLOAT, TEXT, FieldType, kind_of, plain_number
from trading_data.live.keys import KEYS, LiveKey
from trading_data.live.records import Indicators, MarketContext, Position, Sentiment, Signal

R = TypeVar("R")


@dataclass(frozen=True)
class Hash:
    """A record as it is written: the key, the parts of its name, and the fields, all text."""

    key: str
    about: Mapping[str, str]
    fields: Mapping[str, str]

    @property
    def message(self) -> str:
        """The publication: the fields and the parts of the key's name, as a JSON object of strings."""
        return json.dumps({**self.fields, **self.about})


@dataclass(frozen=True)
class Shape(Generic[R]):
    """The mapping between one record class and one kind of key.

    Attributes:
        record: the class.
        key: the kind of key, whose placeholders are fields of the record.
        setter: the method of `LiveStore` that writes it, for messages.
        least: the smallest number allowed in a field, by field.
    """

    record: type[R]
    key: LiveKey
    setter: str
    least: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def _kinds(self) -> Mapping[str, FieldType]:
        """The types of the hash's fields."""
        hints = get_type_hints(self.record)
        return {
            field.name: kind_of(hints[field.name], self.least.get(field.name))
            for field in fields(self.record)  # type: ignore[arg-type]
            if field.name not in (*self.key.about, "values", "extra")
        }

    @cached_property
    def _needed(self) -> frozenset[str]:
        return frozenset(
            field.name
            for field in fields(self.record)  # type: ignore[arg-type]
            if field.name in self._kinds and field.default is MISSING
        )

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(field.name for field in fields(self.record))  # type: ignore[arg-type]

    def name(self, record: R) -> str:
        """The record's key. Raises BadInput as `LiveKey.name`."""
        return self.key.name(**{part: getattr(record, part) for part in self.key.about})

    def encode(self, record: R, where: str) -> Hash:
        """The record as a hash; `where` names it in messages.

        Raises:
            BadInput: a value has the wrong type, is not finite, has no zone, or a further field hides a documented one.
        """
        if not isinstance(record, self.record):
            raise BadInput(f"{where} is a {type(record).__name__}, not a {self.record.__name__}; nothing was written")
        out = {}
        for name, kind in self._kinds.items():
            value = getattr(record, name)
            if value is not None or not kind.optional:
                out[name] = kind.encode(value, f"{where}.{name}")
        for name, number in self._values(record).items():
            if name in self._kinds or name in self.key.about:
                raise BadInput(f"{where}.values must not contain {name!r}, a field of its own; nothing was written")
            out[TEXT.encode(name, f"{where}.values")] = FLOAT.encode(number, f"{where}.values[{name!r}]")
        for name, value in getattr(record, "extra", {}).items():
            if name in out or name in self._kinds:
                raise BadInput(f"{where}.extra must not contain {name!r}, a field of its own; nothing was written")
            out[TEXT.encode(name, f"{where}.extra")] = TEXT.encode(value, f"{where}.extra[{name!r}]")
            if self._is_value(name, value):
                raise BadInput(
                    f"{where}.extra[{name!r}] is {value!r}, a number: put it into values; nothing was written"
                )
        about = {part: getattr(record, part) for part in self.key.about}
        return Hash(self.key.name(**about), about, out)

    def decode(self, key: str, about: Mapping[str, str], hash_fields: Mapping[str, str]) -> R:
        """The record in a hash of the name `key`.

        Raises:
            WrongContent: a documented field is missing or malformed; the message names key, field and remedy.
        """
        given: dict[str, Any] = dict(about)
        for name, kind in self._kinds.items():
            if name in hash_fields:
                given[name] = self._decoded(key, name, kind, hash_fields[name])
            elif name in self._needed:
                raise WrongContent(
                    key, f"{key!r} has no field {name}, which a {self.record.__name__} needs{self.remedy}"
                )
        others = {name: value for name, value in hash_fields.items() if name not in self._kinds}
        if "values" in self._names:
            given["values"] = {name: float(value) for name, value in others.items() if self._is_value(name, value)}
            others = {name: value for name, value in others.items() if name not in given["values"]}
        if "extra" in self._names:
            given["extra"] = others
        return self.record(**given)

    @property
    def remedy(self) -> str:
        """The remedy for a key with the wrong content."""
        return f": write it again with LiveStore.{self.setter}, or delete the key"

    def _decoded(self, key: str, name: str, kind: FieldType, value: str) -> Any:
        try:
            return kind.decode(value)
        except (ValueError, BadInput, OverflowError):
            raise WrongContent(
                key, f"field {name} of {key!r} is {value[:60]!r}, not {kind.wanted}{self.remedy}"
            ) from None

    def _values(self, record: R) -> Mapping[str, Any]:
        return getattr(record, "values", {}) if "values" in self._names else {}

    def _is_value(self, name: str, value: str) -> bool:
        """Whether a further field of a hash belongs to `values`."""
        if "values" not in self._names or name in self.key.about:
            return False
        try:
            plain_number(value)
        except ValueError:
            return False
        return True


BARS = Shape(Bar, KEYS["price"], "record_prices")
INDICATORS = Shape(Indicators, KEYS["indicators"], "set_indicators")
SENTIMENT = Shape(Sentiment, KEYS["sentiment"], "set_sentiment")
CONTEXT = Shape(MarketContext, KEYS["context"], "set_market_context")
ACTIVE = Shape(Position, KEYS["active"], "set_active_positions", {"quantity": 0})
MONITORING = Shape(Position, KEYS["monitoring"], "set_monitored_positions", {"quantity": 0})
SIGNALS = Shape(Signal, KEYS["signal"], "set_signals")
