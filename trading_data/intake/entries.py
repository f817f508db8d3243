"""From raw entries to a batch's table: accepted ones as typed rows, rejected ones complete, with the reason.

Belongs here: the shape of entries (which fields, in which order). Does not: types and rules (`datasets.codec`).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets import codec
from trading_data.datasets.declaration import Dataset
from trading_data.datasets.rules import Reason
from trading_data.intake import batch
from trading_data.live.journal import Reading, raw
from trading_data.times import now

Fields = list[bytes]
"""Names and values in turn, as Redis replies: [name, value, name, value, …]."""
MOST_PAYLOAD = 64 << 20
"""Longest text of a rejected entry in a batch and in quarantine. The embedded archive stores 128 MB in a row and crashes at 250 MB.
Redis allows an entry of 1 GB, its text can be six times as long, and a column of PostgreSQL holds 1 GB."""
CUT = b"too large to be kept here"
"""Name of the first field of a rejected entry that is kept complete in a file of its own."""
Keep = Callable[[str, bytes], object]
"""Writes a file (path under the intake, bytes); the file is durable when this returns."""
_CUT_BYTES, _CUT_PARTS = 1000, 1000
"""Such an entry's text has the first bytes of each of its first names and values: at most so many bytes, of so many."""
_NAMES, _SHOWN = 8, 60
"""How many unknown fields a reason names, and how many bytes of each."""
_PIECE = 8 << 20
"""Bytes of text held in memory beside the column they are copied into."""


@dataclass
class Entries:
    """Raw entries of several journals, in order of acceptance within each, as lists: for few entries, or irregular ones."""

    journals: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)
    fields: list[Fields] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.ids)

    def add(self, reading: Reading) -> None:
        """Append a reading; readings of one journal must be consecutive. A reading without entries adds nothing."""
        if not reading.entries:
            return
        if not self.journals or self.journals[-1] != reading.journal:
            self.journals.append(reading.journal)
            self.counts.append(0)
        self.counts[-1] += len(reading.entries)
        ids, fields = zip(*reading.entries, strict=True)
        self.ids += ids
        self.fields += fields

    def block(self, dataset: Dataset) -> "Block":
        """The same entries as columns."""
        odd: dict[int, Reason] = {}
        values = _columns(dataset, self.fields, odd)
        fields = {at: self.fields[at] for at in odd}
        return Block(self.journals, self.counts, pa.array(self.ids, pa.binary()), values, odd, fields)


@dataclass(frozen=True)
class Block:
    """Raw entries of several journals, in order of acceptance within each, as columns.

    `counts` has the number of entries of each journal; `ids` and each of `values` (by field) are binary arrays. `odd` has, by
    position, the reason why an entry's fields are not the declared ones, and `odd_fields` these fields; its values are nulls.
    """

    journals: list[str]
    counts: list[int]
    ids: pa.Array
    values: dict[str, pa.Array]
    odd: dict[int, Reason] = field(default_factory=dict)
    odd_fields: dict[int, Fields] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.ids)

    def id(self, at: int) -> bytes:
        """The id of the entry at a position."""
        entry_id: bytes = self.ids[at].as_py()
        return entry_id

    @cached_property
    def bounds(self) -> list[tuple[bytes, bytes]]:
        """The ids of the first and last entry of each journal."""
        stops = np.cumsum(self.counts)
        first, last = (self.ids.take(pa.array(at)).to_pylist() for at in (stops - self.counts, stops - 1))
        return list(zip(first, last, strict=True))

    def last_fields(self) -> Iterator[Fields]:
        """The last entry of each journal, as `fields`."""
        ends = np.cumsum(self.counts) - 1
        names = [name.encode() for name in self.values]
        columns = (value.take(pa.array(ends)).to_pylist() for value in self.values.values())
        for at, values in zip(ends.tolist(), zip(*columns, strict=True), strict=True):
            yield self.odd_fields.get(at) or list(chain.from_iterable(zip(names, values, strict=True)))

    def fields(self, at: int) -> Fields:
        """The fields of the entry at a position, the declared ones in the declared order."""
        if at in self.odd_fields:
            return self.odd_fields[at]
        return list(chain.from_iterable((name.encode(), values[at].as_py()) for name, values in self.values.items()))

    def slice(self, start: int, stop: int) -> "Block":
        """The entries from position `start` up to `stop`."""
        journals, counts, at = [], [], 0
        for journal, count in zip(self.journals, self.counts, strict=True):
            inside = min(at + count, stop) - max(at, start)
            if inside > 0:
                journals.append(journal)
                counts.append(inside)
            at += count
        length = stop - start
        return Block(
            journals,
            counts,
            self.ids.slice(start, length),
            {name: value.slice(start, length) for name, value in self.values.items()},
            {at - start: reason for at, reason in self.odd.items() if start <= at < stop},
            {at - start: odd_field for at, odd_field in self.odd_fields.items() if start <= at < stop},
        )


def to_table(dataset: Dataset, entries: Entries | Block, earliest: datetime, keep: Keep | None = None) -> pa.Table:
    """The batch table of raw entries (see `intake.batch`); nothing is dropped.

    A rejected entry that is too large for the table is given to `keep`; without `keep`, the table must not be stored.
    """
    block = entries.block(dataset) if isinstance(entries, Entries) else entries
    length = len(block)
    codes = np.repeat(np.arange(len(block.journals), dtype=np.int32), block.counts)
    values = dict(block.values)
    if dataset.carried:
        values[dataset.carried] = pa.array([raw(name[len(dataset.prefix) :]) for name in block.journals]).take(codes)
    ms, seq = id_numbers(block.ids)
    checked = codec.check(dataset, values, now(), earliest)
    bad = {**checked.bad, **block.odd}
    good, positions = codec.by_position(bad, length)
    columns = blank_bad(checked.table, good) if bad else checked.table.columns
    payloads = (payload(dataset, block.journals[codes[at]], block.id(at), block.fields(at), keep) for at in positions)
    return pa.Table.from_arrays(
        [
            *columns,
            pa.array(codes),
            ms,
            seq,
            sparse(length, positions, [bad[at].kind for at in positions]),
            sparse(length, positions, [bad[at].text for at in positions]),
            _in_pieces(length, positions, payloads),
        ],
        schema=batch.schema(dataset),
    )


def id_numbers(ids: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The two numbers of each entry id (`ms-seq`), as unsigned 64-bit integers."""
    both = pc.split_pattern(ids.cast(pa.string()), "-").flatten().cast(pa.uint64())
    return both.take(pa.array(np.arange(0, len(both), 2))), both.take(pa.array(np.arange(1, len(both), 2)))


def payload(dataset: Dataset, journal: str, entry_id: bytes, values: Sequence[bytes], keep: Keep | None) -> str:
    """A complete entry as JSON text: bytes that are not UTF-8 stay recoverable as lone surrogates.

    An entry whose text would be longer than `MOST_PAYLOAD` is kept complete in a file, and its text has only the beginning. The
    first field of that text names the file; no dataset has a field of its name, so the text is never taken for the entry.
    """
    size = sum(map(len, values))
    complete = _as_json(journal, entry_id, values) if size <= MOST_PAYLOAD else ""
    if complete and len(complete) <= MOST_PAYLOAD:
        return complete
    digest = hashlib.sha256()
    for part in values:
        digest.update(part)
    name = f"{dataset.name}/whole/{digest.hexdigest()}.resp"
    if keep is not None:
        keep(name, _command(b"XADD", raw(journal), b"*", *values))
    note = f"{size} bytes in {len(values) // 2} fields, whole in {name} of the intake".encode()
    begins = [part[:_CUT_BYTES] for part in values[:_CUT_PARTS]]
    return _as_json(journal, entry_id, [CUT, note, *begins])


def _command(*words: bytes) -> bytes:
    """A command in Redis' protocol, which can be piped to `redis-cli`."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        parts += (b"$%d\r\n" % len(word), word, b"\r\n")
    return b"".join(parts)


def _as_json(journal: str, entry_id: bytes, values: Sequence[bytes]) -> str:
    texts = [value.decode("utf-8", "surrogateescape") for value in values]
    pairs = list(zip(texts[::2], texts[1::2], strict=False))
    return json.dumps({"journal": journal, "id": entry_id.decode(), "fields": pairs})


def _columns(dataset: Dataset, entries: list[Fields], odd: dict[int, Reason]) -> dict[str, pa.Array]:
    """One binary array a field; entries with other fields than the declared ones become nulls, with reasons in `odd`."""
    wanted = [name.encode() for name in dataset.fields]
    width = 2 * len(wanted)
    flat = _flat(entries, width)
    if flat is None or flat[::2] != wanted * len(entries):
        entries = [_in_order(values, wanted, odd, at) for at, values in enumerate(entries)]
        flat = list(chain.from_iterable(entries))
    return {name: pa.array(flat[2 * at + 1 :: width], pa.binary()) for at, name in enumerate(dataset.fields)}


def _flat(entries: list[Fields], width: int) -> list[bytes] | None:
    return list(chain.from_iterable(entries)) if set(map(len, entries)) <= {width} else None


def _in_order(values: Fields, wanted: list[bytes], odd: dict[int, Reason], at: int) -> list[Any]:
    names = values[::2]
    if names == wanted:
        return values
    value_of: Mapping[bytes, bytes] = dict(zip(names, values[1::2], strict=False))
    missing = [name.decode() for name in wanted if name not in value_of]
    unknown = [name for name in value_of if name not in wanted]
    shown = _shown(unknown)
    if missing:
        odd[at] = Reason("missing field", f"missing {', '.join(missing)}" + (f"; unknown {shown}" if unknown else ""))
    elif unknown:
        odd[at] = Reason("unknown field", f"unknown {shown}; known are {', '.join(n.decode() for n in wanted)}")
    elif len(names) != len(wanted):
        odd[at] = Reason("field twice", "a field is given twice")
    else:
        return list(chain.from_iterable((name, value_of[name]) for name in wanted))
    return list(chain.from_iterable((name, None) for name in wanted))


def _shown(names: Sequence[bytes]) -> str:
    """Names for a message: the first few, long ones cut."""
    shown = ", ".join(name[:_SHOWN].decode("utf-8", "replace") + "…" * (len(name) > _SHOWN) for name in names[:_NAMES])
    return shown + (f" and {len(names) - _NAMES} more" if len(names) > _NAMES else "")


def blank_bad(table: pa.Table, good: np.ndarray[Any, Any]) -> list[pa.Array]:
    """The table's columns, with nulls in every rejected row."""
    mask = pa.array(~good)
    return [pc.if_else(mask, pa.scalar(None, column.type), column.combine_chunks()) for column in table.columns]


def _in_pieces(length: int, positions: Sequence[int], texts: Iterable[str]) -> pa.ChunkedArray:
    """As `sparse`, for long texts: about `_PIECE` bytes at a time are made and copied into the column."""
    pieces: list[pa.Array] = []
    start, size = 0, 0
    of_piece: list[tuple[int, str]] = []

    def make(stop: int) -> None:
        nonlocal start, size
        pieces.append(sparse(stop - start, [at - start for at, _ in of_piece], [text for _, text in of_piece]))
        of_piece.clear()
        start, size = stop, 0

    for at, text in zip(positions, texts, strict=True):
        of_piece.append((at, text))
        size += len(text)
        if size >= _PIECE:
            make(at + 1)
    make(length)
    return pa.chunked_array(pieces, pa.string())


def sparse(length: int, positions: Sequence[int], texts: Sequence[str]) -> pa.Array:
    """A column of `length` nulls with `texts` at `positions`."""
    if not positions:
        return pa.nulls(length, pa.string())
    column: list[str | None] = [None] * length
    for at, text in zip(positions, texts, strict=True):
        column[at] = text
    return pa.array(column, pa.string())
