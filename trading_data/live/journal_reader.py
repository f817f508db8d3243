"""Journals as they come over the wire: pages of XRANGE replies, the next one asked for while the last is looked at.

Nothing is made of the bytes here, so a page costs what the server and the socket cost. The stretches are read in two lanes
in turn: a journal that is longer than a page is asked for further only when the end of its last page is known, and meanwhile
the server works for the other lane.

A page is bounded twice. It has at most so many entries, and where entries are large, fewer: how large they are is learned
from each page, and a page that is far too large is thrown away and asked for again in smaller parts.

Belongs here: asking, receiving, and where a page ends. Does not: what is in a page (`intake.resp_scan`).
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

ROWS_PER_PAGE = 40
"""What other clients wait for is a page: with 40 entries the 99th percentile of their waiting was three to five times that of an
idle server, with 300 it was fifteen times; the rate is the same, since the server works while the last page is looked at."""
PAGE_BYTES = 1 << 20
"""About how large a page may become: the server copies it in less than a millisecond, and 40 entries of usual size are 10 kB."""
MOST_BYTES = 16 * PAGE_BYTES
"""A page of several entries that is larger is not kept, so that large entries cannot fill this process's memory. It can
only happen where entries suddenly become large; then 16 MB are read in vain."""
_FIRST_ROWS = 8
"""Entries of the first page of a journal longer than a page, while nothing is known of their size: the server makes a whole
reply before it sends any of it."""
_GROWTH = 4
"""How many times more entries the next page may have. The first two are 8 and 32 then, which is one page of 40, so that journals
with a multiple of 40 entries still end where pages end."""
_LANES = 2
_BUFFER = 1 << 18
_Entries = Sequence[tuple[bytes, list[bytes]]]
_ENTRY = b"*2\r\n$"
_NONE = b"*0\r\n"


@dataclass(frozen=True)
class JournalPage:
    """The replies to XRANGE for each of `asked` (a stretch, and how many entries at most), whole, as bytes.

    `ends` is the id that was taken for the last one of the page, from which its last journal was asked for further; None
    where it was not. Whoever reads the page has to compare it: a value may look like the beginning of an entry.
    """

    lane: int
    asked: tuple[tuple[ReadRange, int], ...]
    data: bytes | bytearray
    ends: bytes | None


class PageSize:
    """How many entries to ask for at once, learned from the pages so far: fewer where entries are large."""

    def __init__(self, most: int, expected: int) -> None:
        """Ask for at most `most` entries; `expected` are waiting in the first journal."""
        self._most = most
        self.rows = most if expected <= most else min(most, _FIRST_ROWS)

    def learn(self, rows: int, size: int) -> None:
        """Take note that up to `rows` entries had `size` bytes."""
        fit = rows * PAGE_BYTES // max(size, 1)
        self.rows = max(1, min(self._most, _GROWTH * self.rows, fit))


def can_page(client: Client) -> bool:
    """Whether a client talks to one server only."""
    return type(client) is redis.Redis


def pages(
    client: Client, stretches: Sequence[ReadRange], rows: int, *, exact: bool = False
) -> Generator[JournalPage, None, None]:
    """Read stretches, at most one of a journal, at most `rows` entries a page; those of a lane come in order.

    Args:
        client: one for which `can_page` holds.
        stretches: what to read.
        rows: entries a page at most.
        exact: parse each page to find its last entry. Without it the end is guessed, which is faster, and wrong where a
            value looks like an entry; `JournalPage.ends` says what was taken for it.

    Raises:
        LiveTierError: the server is away.
    """
    lanes = [_Lane(at, stretches[at::_LANES], rows) for at in range(min(_LANES, len(stretches)))]
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


def readings(client: Client, stretches: Sequence[ReadRange], rows: int) -> Iterator[tuple[Reading, int]]:
    """As `pages`, through redis-py, which knows the servers of a cluster; with the bytes of each reading's fields.

    A reading has at most `PAGE_BYTES`, or a single entry. No page is thrown away: redis-py hands out whole replies only.

    Raises:
        LiveTierError: the server is away.
    """
    waiting = deque(stretches)
    size = PageSize(rows, waiting[0].expected if waiting else 0)
    while waiting:
        asked = take_page(waiting, size.rows)
        pipeline = client.pipeline(transaction=False)
        for stretch, count in asked:
            pipeline.xrange(cast(str, raw(stretch.journal)), f"({stretch.after}", str(stretch.upto), count)
        replies: list[list[Any]] = execute(client, pipeline, [])
        found = [_sized(stretch.journal, entries) for (stretch, _), entries in zip(asked, replies, strict=True)]
        size.learn(sum(count for _, count in asked), sum(read for parts in found for _, read in parts))
        if (rest := _rest(*asked[-1], replies[-1])) is not None:
            waiting.appendleft(rest)
        yield from chain.from_iterable(found)


def parse(data: bytes | bytearray, replies: int) -> list[Any]:
    """What a reader of the protocol makes of a page: so many replies, errors of the server among them.

    Raises:
        hiredis.ProtocolError: it is none.
    """
    reader = hiredis.Reader()
    reader.feed(cast(bytes, data))
    return [reader.gets() for _ in range(replies)]


class _Lane:
    """Stretches that are read one after the other, a page at a time; `waiting` has what is still to be asked for."""

    def __init__(self, number: int, stretches: Sequence[ReadRange], rows: int) -> None:
        self.waiting = deque(stretches)
        self._number = number
        self._size = PageSize(rows, stretches[0].expected)
        self._asked: list[tuple[ReadRange, int]] = []
        self._rows = 0

    def ask(self, wire: "_Wire") -> None:
        self._asked = take_page(self.waiting, self._size.rows)
        self._rows = sum(count for _, count in self._asked)
        wire.send(
            [("XRANGE", raw(one.journal), f"({one.after}", str(one.upto), "COUNT", count) for one, count in self._asked]
        )

    def receive(self, wire: "_Wire", *, exact: bool) -> JournalPage | None:
        """The page that was asked for; None if it was far too large, and has to be asked for again."""
        data = wire.receive(MOST_BYTES if self._rows > 1 else sys.maxsize)
        self._size.learn(self._rows, MOST_BYTES if data is None else len(data))
        if data is None:
            self.waiting.extendleft(stretch for stretch, _ in reversed(self._asked))
            return None
        return JournalPage(self._number, tuple(self._asked), data, self._continue(data, exact=exact))

    def _continue(self, data: bytes | bytearray, *, exact: bool) -> bytes | None:
        """Put what is left of the page's last journal at the head of the lane; returns the id that it goes on from."""
        stretch, count = self._asked[-1]
        if count >= stretch.expected:
            return None  # if there is more nevertheless, the caller asks for it
        found = None if exact else _guessed_end(data)
        after = _id_between(stretch, found)
        if after is None:
            found = _parsed_end(data, len(self._asked))
            after = _id_between(stretch, found)
        if after is None:
            return None
        self.waiting.appendleft(ReadRange(stretch.journal, after, stretch.upto, stretch.expected - count))
        return found


def _guessed_end(data: bytes | bytearray) -> bytes | None:
    """What stands where the id of the last entry stands in most pages."""
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
        return None  # whoever reads the page says so
    if not isinstance(reply, list) or not reply:
        return None
    found: bytes = reply[-1][0]
    return found


def _id_between(stretch: ReadRange, found: bytes | None) -> EntryId | None:
    """The id that these bytes are, if it is one of the stretch and not its last one."""
    if found is None:
        return None
    try:
        parsed = EntryId.parse(found)
    except ValueError:
        return None
    return parsed if stretch.after < parsed < stretch.upto else None


def _rest(stretch: ReadRange, count: int, entries: _Entries) -> ReadRange | None:
    """What is left of a stretch of which `count` entries were asked for and these came."""
    after = _id_between(stretch, entries[-1][0]) if entries else None
    if after is None or count >= stretch.expected:
        return None
    return ReadRange(stretch.journal, after, stretch.upto, stretch.expected - count)


def _sized(journal: str, entries: _Entries) -> list[tuple[Reading, int]]:
    """The entries as readings of at most `PAGE_BYTES`, each with its bytes."""
    sizes = [sum(map(len, fields)) for _, fields in entries]
    if sum(sizes) <= PAGE_BYTES:
        return [(Reading(journal, entries), sum(sizes))]
    found: list[tuple[Reading, int]] = []
    start = size = 0
    for at, one in enumerate(sizes):
        if at > start and size + one > PAGE_BYTES:
            found.append((Reading(journal, entries[start:at]), size))
            start, size = at, 0
        size += one
    return [*found, (Reading(journal, entries[start:]), size)]


class _Wire:
    """A connection of the client's own, of which the replies are taken as bytes up to a mark."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._socket = connection._sock
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
        """All bytes up to the next mark; None if they are more than `most`, of which none is kept."""
        looked, too_many = 0, False
        while (at := self._got.find(self._end, looked)) < 0:
            looked = max(0, len(self._got) - len(self._end))
            too_many = too_many or looked > most
            if too_many:
                del self._got[:looked]
                looked = 0
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
    whole = False
    try:
        connection.connect()
        with socket_errors():
            yield _Wire(connection)
        whole = True
    finally:
        if not whole:
            connection.disconnect()  # replies may be on their way that nobody waits for
        pool.release(connection)
