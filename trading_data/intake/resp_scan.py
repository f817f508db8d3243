"""From pages of RESP replies to columns, whole pages at once: `columns`.

A page consists of lines that end in CR LF. If every entry has the same fields in the same order, and no value contains a line
feed, every entry has the same number of lines, and counting lines finds the values. This is checked, not assumed: every length
line is compared with the line that follows it, and every name with the first entry's. Then the bytes allow no other reading.
Pages that fail the check are read entry by entry (`by_reader`).

Belongs here: the protocol's replies. Does not: requesting them (`live.journal_reader`), types and rules (`datasets.codec`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hiredis
import numpy as np
import pyarrow as pa

from trading_data.live.journal import Reading
from trading_data.live.journal_reader import JournalPage, parse

_CR, _LF, _ZERO = 13, 10, 48
_ALL = np.uint64(2**64 - 1)
_MOST_BYTES = 2**31 - 1
_LONGEST = 99
"""Bytes of the longest value: only lengths of one or two digits are parsed."""
_HEADS = 32
"""An upper bound of the bytes around a value, a name or an id: lengths, number of fields, and line ends."""
_DIGITS = 12
"""Bytes of the longest line with a number of elements."""
_WRONG_TYPE = "WRONGTYPE"

Positions = np.ndarray[Any, np.dtype[np.int64]]


class Irregular(Exception):
    """The entries do not all have the same fields, or a page does not end at the expected entry."""


@dataclass(frozen=True)
class Columns:
    """Entries as columns: their number in each reply, their ids, and a binary array for each requested field."""

    counts: list[int]
    ids: pa.Array
    values: list[pa.Array]


def columns(pages: Sequence[JournalPage], fields: Sequence[bytes]) -> Columns:
    """The entries of pages, if all of them have exactly these fields, in the same order throughout.

    Raises:
        Irregular: they do not all have these fields, or a page does not end at the expected entry.
    """
    entry = _most_bytes(fields)
    if any(len(page.data) > sum(_HEADS + count * entry for _, count in page.asked) for page in pages):
        raise Irregular  # some value is too long; saves a futile scan of large pages
    data = b"".join(page.data for page in pages)
    lines = _Lines(data)
    replies = sum(len(page.asked) for page in pages)
    counts, firsts, width = lines.entries(replies)
    if len(firsts) and (width < 8 or width % 4):
        raise Irregular
    names = lines.names(firsts, width)
    if len(firsts) and (sorted(names) != sorted(fields) or len(set(names)) != len(names)):
        raise Irregular
    wanted = firsts[:, None] + np.array([2, *range(7, width, 4)])
    starts, ends = lines.start(wanted), lines.end(wanted)
    ids, *values = _texts(data, starts, ends)
    lines.prove(firsts, width, starts, ends)
    _prove_ends(pages, counts, ids)
    return Columns(counts, ids, [values[names.index(name)] if names else ids for name in fields])


def by_reader(pages: Sequence[JournalPage]) -> list[Reading]:
    """The same entries one by one, whatever their fields; a key of another type has none.

    Raises:
        Irregular: a page does not end at the expected entry, so the pages after it do not continue from it; or a reply is
            not a list of entries.
    """
    readings: list[Reading] = []
    for page in pages:
        try:
            replies = [_entries(reply) for reply in parse(page.data, len(page.asked))]
        except hiredis.ProtocolError as error:
            raise Irregular(str(error)) from error
        if page.ends is not None and (not replies[-1] or replies[-1][-1][0] != page.ends):
            raise Irregular("a page ends at another entry than expected")
        readings += [
            Reading(read_range.journal, reply) for (read_range, _), reply in zip(page.asked, replies, strict=True)
        ]
    return readings


def _entries(reply: Any) -> list[tuple[bytes, list[bytes]]]:
    """The entries of a reply, none for a key of another type."""
    if isinstance(reply, Exception) and str(reply).startswith(_WRONG_TYPE):
        return []
    if not isinstance(reply, list):
        raise Irregular(str(reply) if reply else "a reply is incomplete")
    return reply


def _most_bytes(fields: Sequence[bytes]) -> int:
    """An upper bound of the bytes of an entry with exactly these fields and no value longer than `_LONGEST`."""
    return 2 * _HEADS + _LONGEST + sum(2 * _HEADS + len(name) + _LONGEST for name in fields)


def _texts(data: bytes, starts: Positions, ends: Positions) -> list[pa.Array]:
    """The bytes between positions (a row per entry, in the order of the bytes) as one array per column."""
    rows, columns = starts.shape
    offsets = np.zeros(2 * rows * columns + 1, np.int32)
    offsets[:-1:2], offsets[1::2] = starts.ravel(), ends.ravel()
    offsets[-1] = offsets[-2] if rows else 0
    # Text, what follows it, text …: every other element is a text, and nothing is copied.
    elements = pa.Array.from_buffers(pa.binary(), 2 * rows * columns, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    taken = elements.take(pa.array(np.arange(0, 2 * rows * columns, 2).reshape(rows, columns).T.ravel()))
    return [taken.slice(at * rows, rows) for at in range(columns)]


class _Lines:
    """Bytes as numbered lines."""

    def __init__(self, data: bytes) -> None:
        if len(data) > _MOST_BYTES:
            raise Irregular
        self.data = data
        self.bytes = np.frombuffer(data, np.uint8)
        self._words = np.ndarray((max(0, len(data) - 7),), "<u8", data, strides=(1,))
        """The eight bytes from each position on, as a number."""
        is_feed = self.bytes == _LF
        self._feeds = feeds = np.flatnonzero(is_feed)
        pairs = np.count_nonzero((self.bytes[:-1] == _CR) & is_feed[1:])
        if not len(feeds) or feeds[-1] != len(data) - 1 or pairs != len(feeds):
            raise Irregular

    def __len__(self) -> int:
        return len(self._feeds)

    def __getitem__(self, line: int) -> bytes:
        return self.data[self._feeds[line - 1] + 1 if line else 0 : self._feeds[line] - 1]

    def start(self, lines: Positions) -> Positions:
        """The positions at which lines begin; none of them is the first line."""
        starts: Positions = self._feeds[lines - 1] + 1
        return starts

    def end(self, lines: Positions) -> Positions:
        """The positions at which lines end, before their CR LF."""
        ends: Positions = self._feeds[lines] - 1
        return ends

    def entries(self, replies: int) -> tuple[list[int], Positions, int]:
        """The number of entries in each reply, each entry's first line, and the number of lines of an entry."""
        counts, firsts, at, width = [], [], 0, 0
        total = len(self)
        for _ in range(replies):
            if at >= total:
                raise Irregular
            count = self._number(at, b"*")
            counts.append(count)
            if count and not width:
                if at + 4 >= total:
                    raise Irregular
                width = 4 + 2 * self._number(at + 4, b"*")
            begin, at = at + 1, at + 1 + width * count
            if at > total:  # the number of entries may have been part of a value
                raise Irregular
            firsts.append(begin + width * np.arange(count))
        if at != total:
            raise Irregular
        return counts, np.concatenate(firsts) if firsts else np.zeros(0, np.int64), width

    def names(self, firsts: Positions, width: int) -> list[bytes]:
        return [self[int(firsts[0]) + at] for at in range(5, width, 4)] if len(firsts) else []

    def prove(self, firsts: Positions, width: int, starts: Positions, ends: Positions) -> None:
        """Check that names and framing are the same in every entry, and that every length line fits the line after it.

        Args:
            firsts: each entry's first line.
            width: lines per entry.
            starts: positions at which its id and its values begin, a row per entry.
            ends: positions at which they end.
        """
        if not len(firsts):
            return
        begin = int(firsts[0])
        names = range(5, width, 4)
        if self[begin] != b"*2" or any(self[begin + at - 1] != b"$%d" % len(self[begin + at]) for at in names):
            raise Irregular
        self._prove_same(self.start(firsts), b"*2\r\n$")
        of_length = np.array([1, *range(6, width, 4)])
        stated = self.start(firsts[:, None] + of_length) + 1
        for at in range(ends.shape[1] - 1):  # from the end of one value to the length of the next
            self._prove_same(ends[:, at], self.data[ends[0, at] : stated[0, at + 1]])
        digits = starts - 2 - stated
        first, second = self.bytes[stated] - _ZERO, self.bytes[stated + 1] - _ZERO  # unsigned: below zero wraps
        length = np.where(digits == 1, first, first * 10 + second)
        right = (first <= 9) & ((digits == 1) | ((digits == 2) & (second <= 9)))
        if not (right & (length == ends - starts)).all():
            raise Irregular

    def _prove_same(self, at: Positions, wanted: bytes) -> None:
        """Check that the bytes at all these positions are `wanted`; at least eight more bytes follow each position."""
        mask = _ALL >> np.uint64(8 * max(0, 8 - len(wanted)))
        for offset in sorted({*range(0, len(wanted) - 7, 8), max(0, len(wanted) - 8)}):
            word = np.frombuffer(wanted[offset : offset + 8].ljust(8, b"\0"), "<u8")[0]
            if at[-1] + offset >= len(self._words) or ((self._words[at + offset] & mask) != word).any():
                raise Irregular

    def _number(self, line: int, sign: bytes) -> int:
        text = self[line]
        if text[:1] != sign or len(text) > _DIGITS or not text[1:].isdigit():
            raise Irregular
        return int(text[1:])


def _prove_ends(pages: Sequence[JournalPage], counts: Sequence[int], ids: pa.Array) -> None:
    reply = entry = 0
    for page in pages:
        of_page = counts[reply : reply + len(page.asked)]
        reply += len(page.asked)
        entry += sum(of_page)
        if page.ends is not None and (not of_page[-1] or ids[entry - 1].as_py() != page.ends):
            raise Irregular
