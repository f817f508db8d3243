"""Values to bytes and back, exactly, for `live.cache`; and the digest of a call's arguments.

Supported are JSON values (None, bool, int, float with NaN and infinities, str, list, dict by str) and `pandas.DataFrame`s. A
frame keeps its dtypes, units and zones of times, index (of any depth), names, `freq` and `attrs`; a column or level of objects
may hold str, Decimal (digit by digit), date or bool, one type per column, and None. Column names are distinct strings.
Everything that would not come back equal raises BadInput: tuples, sets, numpy scalars, Series, times and decimals outside of
a frame, mixed columns of objects, subclasses of any of these.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from trading_data.errors import BadInput
from trading_data.times import utc

if TYPE_CHECKING:
    import pandas as pd

_JSON, _FRAME = b"1J", b"1F"
_HEAD = b"trading_data"
_SCALARS = (type(None), bool, int, float, str)
_OBJECTS: Mapping[type, tuple[str, Callable[[Any], str], Callable[[str], Any]]] = {
    str: ("text", str, str),
    Decimal: ("decimal", str, Decimal),
    date: ("date", date.isoformat, date.fromisoformat),
    bool: ("bool", str, "True".__eq__),
}
_READ = {name: read for name, _, read in _OBJECTS.values()}


def digest(arguments: Mapping[str, object]) -> str:
    """A digest of 32 hexadecimal digits, the same for equal arguments.

    Raises:
        BadInput: an argument has an unsupported type.
    """
    parts = {name: _canonical(value, name) for name, value in arguments.items()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def encode(value: object) -> bytes:
    """A value as bytes.

    Raises:
        BadInput: it would not come back equal.
    """
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        return _FRAME + _encode_frame(value)
    _check_json(value, "the result")
    return _JSON + _dump(value)


def decode(data: bytes) -> Any:
    """The value, new each time. Raises ValueError for bytes that `encode` did not make."""
    form, body = data[:2], data[2:]
    try:
        if form == _JSON:
            return json.loads(body)
        if form == _FRAME:
            return _decode_frame(body)
    except (pa.ArrowException, KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error
    raise ValueError(f"bytes of an unknown form, {form!r}")


def _canonical(value: object, where: str) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime):
        return {"datetime": utc(value, where).isoformat()}
    if isinstance(value, date):
        return {"date": value.isoformat()}
    if isinstance(value, timedelta):
        return {"timedelta": [value.days, value.seconds, value.microseconds]}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, list | tuple):
        return [_canonical(item, where) for item in value]
    if isinstance(value, set | frozenset):
        return {"set": sorted(json.dumps(_canonical(item, where), sort_keys=True) for item in value)}
    if isinstance(value, Mapping):
        pairs = [[_canonical(name, where), _canonical(item, where)] for name, item in value.items()]
        return {"mapping": sorted(pairs, key=lambda pair: json.dumps(pair[0], sort_keys=True))}
    raise BadInput(
        f"the argument {where} is a {type(value).__name__}, which cannot identify a cached result: "
        "pass strings, numbers, times, and lists, sets or mappings of these"
    )


def _check_json(value: Any, where: str) -> None:
    kind = type(value)
    if kind is list:
        for at, item in enumerate(value):
            _check_json(item, f"{where}[{at}]")
    elif kind is dict:
        for name, item in value.items():
            if type(name) is not str:
                raise BadInput(f"{where} has the key {name!r}, but the keys of a JSON object must be strings")
            _check_json(item, f"{where}[{name!r}]")
    elif kind not in _SCALARS:
        raise BadInput(
            f"{where} is a {kind.__name__}, which the cache cannot return unchanged: "
            "return a pandas.DataFrame or a JSON value"
        )


def _dump(value: object) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":")).encode()
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the result cannot be stored as JSON: {error}") from None


def _encode_frame(frame: "pd.DataFrame") -> bytes:
    import pandas as pd

    columns = frame.columns
    if (
        type(frame) is not pd.DataFrame
        or columns.nlevels > 1
        or not columns.is_unique
        or not all(type(name) is str for name in columns)
    ):
        raise BadInput("a cached frame must be a pandas.DataFrame whose column names are distinct strings")
    _check_json(frame.attrs, "the frame's attrs")
    index = frame.index
    head: dict[str, Any] = {
        "columns": [*columns],
        "columns_dtype": str(columns.dtype),
        "columns_name": _name(columns.name),
        "index_names": [_name(name) for name in index.names],
        "freq": getattr(index, "freqstr", None),
        "attrs": frame.attrs,
        "objects": {},
    }
    parts = {f"c{at}": frame.iloc[:, at] for at in range(len(columns))}
    if type(index) is pd.RangeIndex:
        head["range"] = [index.start, index.stop, index.step]
    else:
        parts |= {f"i{at}": index.get_level_values(at).to_series() for at in range(index.nlevels)}
    texts: dict[str, pa.Array] = {}
    for name, part in parts.items():
        if part.dtype == object:
            head["objects"][name], texts[name] = _objects(part)
    try:
        typed = pd.DataFrame({name: part.array for name, part in parts.items() if name not in texts})
        table = pa.Table.from_pandas(typed, preserve_index=False)
        fields = [*table.schema, *(pa.field(name, pa.string()) for name in texts)]
        schema = pa.schema(fields, {**(table.schema.metadata or {}), _HEAD: _dump(head)})
        table = pa.Table.from_arrays([*table.columns, *texts.values()], schema=schema)
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(table)
        data: bytes = out.getvalue().to_pybytes()
        pd.testing.assert_frame_equal(_decode_frame(data), frame, check_exact=True)
    except (pa.ArrowException, ValueError, TypeError, NotImplementedError, AssertionError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"the cache cannot return a frame like this one unchanged: {reason:.300}") from None
    return data


def _decode_frame(data: bytes) -> "pd.DataFrame":
    import pandas as pd

    table = pa.ipc.open_stream(data).read_all()
    head = json.loads(table.schema.metadata[_HEAD])
    objects: dict[str, str] = head["objects"]
    typed = table.drop_columns(list(objects)).to_pandas()
    parts: dict[str, Any] = {name: typed[name].array for name in typed.columns}
    for name, kind in objects.items():
        read = _READ[kind]
        parts[name] = [None if value is None else read(value) for value in table[name].to_pylist()]
    dtypes = dict.fromkeys(objects, object)
    if "range" in head:
        start, stop, step = head["range"]
        index: pd.Index[Any] = pd.RangeIndex(start, stop, step, name=head["index_names"][0])
    else:
        names = [f"i{at}" for at in range(len(head["index_names"]))]
        levels = [pd.Index(parts[name], dtype=dtypes.get(name)) for name in names]
        index = levels[0] if len(levels) == 1 else pd.MultiIndex.from_arrays(levels)
        index.names = head["index_names"]
    if head["freq"] is not None and isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
        index = type(index)(index, freq=head["freq"])
    names = [f"c{at}" for at in range(len(head["columns"]))]
    frame = pd.DataFrame(
        {name: pd.Series(parts[name], index=index, dtype=dtypes.get(name)) for name in names}, index=index
    )
    frame.columns = pd.Index(head["columns"], dtype=head["columns_dtype"], name=head["columns_name"])
    frame.attrs = head["attrs"]
    return frame


def _objects(part: "pd.Series") -> tuple[str, pa.Array]:
    kinds = {type(value) for value in part} - {type(None)}
    kind = next(iter(kinds), str)
    if len(kinds) > 1 or kind not in _OBJECTS:
        named = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise BadInput(
            f"the column {part.name!r} holds objects of {named}, which the cache cannot return unchanged: "
            "give it a dtype, or use strings, Decimals, dates or bools, one type per column"
        )
    name, write, _ = _OBJECTS[kind]
    return name, pa.array([None if value is None else write(value) for value in part], pa.string())


def _name(name: object) -> Any:
    if name is not None and type(name) not in (str, int):
        raise BadInput(f"{name!r} cannot name an index or columns of a cached frame: use a string or an int")
    return name
