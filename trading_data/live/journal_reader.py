"""Journals as raw bytes: pages of XRANGE replies, each requested while the page before is being processed.

The bytes are not parsed here, so a page costs only server and socket time. Ranges are read in two lanes by turns: the rest of a
journal longer than a page can be requested only once the end of its last page is known, and meanwhile the server works for the
other lane.

A page is bounded twice: by a number of entries, and by fewer where entries are large. Their size is learned from each page; a
page that is far too large is discarded and requested again in smaller parts.

Belongs here: requests, replies, and where a page ends. Does not: the content of a page (`intake.resp_scan`).
"""

import secrets
import sys
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import hiredis
import redis

from trading_data.live.connection import Client, live_errors
from trading_data.live.journal import EntryId, Reading, ReadRange, execute, raw, take_page
from trading_data.live.pipeline import closed, socket_errors
from trading_data.live.redis_internals import socket_of

ROWS_PER_PAGE = 40
"""Other clients wait for one page at most: with 40 entries the 99th percentile of their latency was three to five times that of
an idle server, with 300 entries fifteen times. The rate is the same, since the server works while a page is processed."""
PAGE_BYTES = 1 << 20
"""About the largest page: the server copies it in less than a millisecond; 40 entries of usual size are 10 kB."""
MOST_BYTES = 16 * PAGE_BYTES
"""A larger page of several entries is discarded, so that large entries cannot fill this process's memory. That happens only
where entries suddenly become large, and costs 16 MB read in vain."""
_FIRST_ROWS = 8
"""Entries in the first page of a journal longer than a page, while their size is unknown: the server builds a whole reply before
it sends any part."""
_GROWTH = 4
"""By how much the next page may grow. The first two pages are then 8 and 32 entries, together one page of 40, so that journals
with a multiple of 40 entries still end where pages end."""
_LANES = 2
_BUFFER = 1 << 18
_Entries = Sequence[tuple[bytes, list[bytes]]]
_ENTRY = b"*2\r\n$"
_NONE = b"*0\r\n"


@dataclass(frozen=True)
class JournalPage:
    """The complete replies to XRANGE for each of `asked` (a range, and the number of entries at most), as bytes.

    `ends` is the id taken for the page's last one, after which the rest of its last journal was requested; None if nothing more
    was requested. The parser must compare it with the real last id: a value may look like the beginning of an entry.
    """

    lane: int
    asked: tuple[tuple[ReadRange, int], ...]
    data: bytes | bytearray
    ends: bytes | None


class PageSize:
    """How many entries to request at once, learned from the pages so far: fewer where entries are large."""

    def __init__(self, most: int, expected: int) -> None:
        """Request at most `most` entries; `expected` are waiting in the first journal."""
        self._most = most
        self.rows = most if expected <= most else min(most, _FIRST_ROWS)

    def learn(self, rows: int, size: int) -> None:
        """Adapt to a page of up to `rows` entries that had `size` bytes."""
        fit = rows * PAGE_BYTES // max(size, 1)
        self.rows = max(1, min(self._most, _GROWTH * self.rows, fit))


def can_page(client: Client) -> bool:
    """Whether a client talks to one server only."""
    return type(client) is redis.Redis


def pages(
    client: Client, read_ranges: Sequence[ReadRange], rows: int, *, exact: bool = False
) -> Generator[JournalPage, None, None]:
    """Read ranges, at most one of a journal; the pages of a lane come in order.

    Args:
        client: one for which `can_page` holds.
        read_ranges: what to read.
        rows: at most this many entries per page.
        exact: parse each page to find its last entry. Otherwise the end is guessed, which is faster, and wrong where a value
            looks like an entry; `JournalPage.ends` holds the guess.

    Raises:
        LiveTierError: the server is unavailable.
    """
    lanes = [_Lane(at, read_ranges[at::_LANES], rows) for at in range(min(_LANES, len(read_ranges)))]
    with live_errors(client), _wire(client) as wire:
        for lane in lanes:
            lane.ask(wire)
        under_way = deque(lanes)
        while under_way:
            lane = under_way.popleft()
            page = lane.receive(wire, exact=exact)
            if lane.waiting:
                lane.ask(wire)
                under_way.append(lane)
            if page is not None:
                yield page


def readings(client: Client, read_ranges: Sequence[ReadRange], rows: int) -> Iterator[tuple[Reading, int]]:
    """As `pages`, through redis-py, which knows the servers of a cluster; with the bytes of each reading's fields.

    A reading has at most `PAGE_BYTES`, or a single entry. No page is discarded: redis-py returns only whole replies.

    Raises:
        LiveTierError: the server is unavailable.
    """
    waiting = deque(read_ranges)
    size = PageSize(rows, waiting[0].expected if waiting else 0)
    while waiting:
        asked = take_page(waiting, size.rows)
        pipeline = client.pipeline(transaction=False)
        for read_range, count in asked:
            pipeline.xrange(cast(str, raw(read_range.journal)), f"({read_range.after}", str(read_range.upto), count)
        replies: list[list[Any]] = execute(client, pipeline, [])
        sized = [_sized(read_range.journal, entries) for (read_range, _), entries in zip(asked, replies, strict=True)]
        size.learn(sum(count for _, count in asked), sum(read for parts in sized for _, read in parts))
        if (rest := _rest(*asked[-1], replies[-1])) is not None:
            waiting.appendleft(rest)
        yield from chain.from_iterable(sized)


def parse(data: bytes | bytearray, replies: int) -> list[Any]:
    """The first `replies` replies in a page, errors of the server included.

    Raises:
        hiredis.ProtocolError: the bytes are not Redis' protocol.
    """
    reader = hiredis.Reader()
    reader.feed(cast(bytes, data))
    return [reader.gets() for _ in range(replies)]


class _Lane:
    """Ranges that are read one after the other, a page at a time; `waiting` has those still to be requested."""

    def __init__(self, number: int, read_ranges: Sequence[ReadRange], rows: int) -> None:
        self.waiting = deque(read_ranges)
        self._number = number
        self._size = PageSize(rows, read_ranges[0].expected)
        self._asked: list[tuple[ReadRange, int]] = []
        self._rows = 0

    def ask(self, wire: "_Wire") -> None:
        self._asked = take_page(self.waiting, self._size.rows)
        self._rows = sum(count for _, count in self._asked)
        wire.send(
            [
                ("XRANGE", raw(read_range.journal), f"({read_range.after}", str(read_range.upto), "COUNT", count)
                for read_range, count in self._asked
            ]
        )

    def receive(self, wire: "_Wire", *, exact: bool) -> JournalPage | None:
        """The requested page; None if it was far too large and must be requested again."""
        data = wire.receive(MOST_BYTES if self._rows > 1 else sys.maxsize)
        self._size.learn(self._rows, MOST_BYTES if data is None else len(data))
        if data is None:
            self.waiting.extendleft(read_range for read_range, _ in reversed(self._asked))
            return None
        return JournalPage(self._number, tuple(self._asked), data, self._continue(data, exact=exact))

    def _continue(self, data: bytes | bytearray, *, exact: bool) -> bytes | None:
        """Put the rest of the page's last journal at the head of the lane; returns the id after which that begins."""
        read_range, count = self._asked[-1]
        if count >= read_range.expected:
            return None  # if there are more nevertheless, the caller requests them
        end = None if exact else _guessed_end(data)
        after = _id_between(read_range, end)
        if after is None:
            end = _parsed_end(data, len(self._asked))
            after = _id_between(read_range, end)
        if after is None:
            return None
        self.waiting.appendleft(ReadRange(read_range.journal, after, read_range.upto, read_range.expected - count))
        return end


def _guessed_end(data: bytes | bytearray) -> bytes | None:
    """The bytes at the place of the last entry's id in most pages."""
    begin = data.rfind(_ENTRY)
    if begin < 0 or data.endswith(_NONE):
        return None
    start = data.find(b"\n", begin + len(_ENTRY)) + 1
    return bytes(data[start : data.find(b"\r", start)])


def _parsed_end(data: bytes | bytearray, replies: int) -> bytes | None:
    """The id of the page's last entry; None if its last journal has none."""
    try:
        reply = parse(data, replies)[-1]
    except hiredis.ProtocolError:
        return None  # the parser of the page reports it
    if not isinstance(reply, list) or not reply:
        return None
    last_id: bytes = reply[-1][0]
    return last_id


def _id_between(read_range: ReadRange, entry_id: bytes | None) -> EntryId | None:
    """These bytes as an id, if it lies in the range and is not its last one."""
    if entry_id is None:
        return None
    try:
        parsed = EntryId.parse(entry_id)
    except ValueError:
        return None
    return parsed if read_range.after < parsed < read_range.upto else None


def _rest(read_range: ReadRange, count: int, entries: _Entries) -> ReadRange | None:
    """The rest of a range of which `count` entries were requested and `entries` received."""
    after = _id_between(read_range, entries[-1][0]) if entries else None
    if after is None or count >= read_range.expected:
        return None
    return ReadRange(read_range.journal, after, read_range.upto, read_range.expected - count)


def _sized(journal: str, entries: _Entries) -> list[tuple[Reading, int]]:
    """The entries as readings of at most `PAGE_BYTES`, each with its bytes."""
    sizes = [sum(map(len, fields)) for _, fields in entries]
    if sum(sizes) <= PAGE_BYTES:
        return [(Reading(journal, entries), sum(sizes))]
    parts: list[tuple[Reading, int]] = []
    start = size = 0
    for at, of_entry in enumerate(sizes):
        if at > start and size + of_entry > PAGE_BYTES:
            parts.append((Reading(journal, entries[start:at]), size))
            start, size = at, 0
        size += of_entry
    return [*parts, (Reading(journal, entries[start:]), size)]


class _Wire:
    """A connection from the client's pool whose replies are taken as bytes, up to a mark."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._socket = socket_of(connection)
        self._mark = secrets.token_hex(8).encode()
        self._end = b"$16\r\n" + self._mark + b"\r\n"
        self._ask_mark = b"*2\r\n$4\r\nECHO\r\n" + self._end
        self._got = bytearray()
        self._block = memoryview(bytearray(_BUFFER))
        connection.send_command("ECHO", self._mark)
        connection.read_response()  # a server that refuses the mark says so now

    def send(self, commands: Sequence[tuple[Any, ...]]) -> None:
        packed = b"".join(map(hiredis.pack_command, commands))
        self._connection.send_packed_command([packed + self._ask_mark], check_health=False)

    def receive(self, most: int) -> bytearray | None:
        """All bytes up to the next mark; None if there are more than `most`, and then they are discarded."""
        searched, too_many = 0, False
        while (at := self._got.find(self._end, searched)) < 0:
            searched = max(0, len(self._got) - len(self._end))
            too_many = too_many or searched > most
            if too_many:
                del self._got[:searched]
                searched = 0
            count = self._socket.recv_into(self._block)
            if not count:
                raise closed()
            self._got += self._block[:count]
        data, self._got = self._got, self._got[at + len(self._end) :]
        del data[at:]
        return None if too_many or at > most else data


@contextmanager
def _wire(client: Client) -> Iterator[_Wire]:
    pool = client.connection_pool
    connection: Any = pool.get_connection()
    complete = False
    try:
        connection.connect()
        with socket_errors():
            yield _Wire(connection)
        complete = True
    finally:
        if not complete:
            connection.disconnect()  # unread replies may still be on their way
        pool.release(connection)
