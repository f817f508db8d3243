"""Journals as they come over the wire: pages of XRANGE replies, the next one asked for while the last is looked at.

Nothing is made of the bytes here, so a page costs what the server and the socket cost. The stretches are read in two lanes
in turn: a journal that is longer than a page is asked for further only when the end of its last page is known, and meanwhile
the server works for the other lane.

Belongs here: asking, receiving, and where a page ends. Does not: what is in a page (`intake.wire`), and clusters, whose
journals lie with many servers (`live.journal.read`).
"""

import secrets
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis

from trading_data.live.connection import Client, live_errors
from trading_data.live.journal import EntryId, Stretch, raw, take_page
from trading_data.live.wire import closed, socket_errors

ROWS_PER_PAGE = 40
"""What other clients wait for is a page: with 40 entries the 99th percentile of their waiting was three to five times that of an
idle server, with 300 it was fifteen times; the rate is the same, since the server works while the last page is looked at."""
_LANES = 2
_BUFFER = 1 << 18
_ENTRY = b"*2\r\n$"


@dataclass(frozen=True)
class Page:
    """The replies to XRANGE for each of `asked` (a stretch, and how many entries at most), whole, as bytes.

    `ends` is the id that was taken for the last one of the page, from which its last journal was asked for further; None
    where it was not. Whoever reads the page has to compare it: a value may look like the beginning of an entry.
    """

    lane: int
    asked: tuple[tuple[Stretch, int], ...]
    data: bytes
    ends: bytes | None


def can_page(client: Client) -> bool:
    """Whether a client talks to one server only."""
    return type(client) is redis.Redis


def pages(client: Client, stretches: Sequence[Stretch], rows: int) -> Iterator[Page]:
    """Read stretches, at most `rows` entries a page; those of one journal in order and in one lane.

    Raises:
        LiveTierError: the server is away.
    """
    lanes = [deque(stretches[at::_LANES]) for at in range(_LANES)]
    with live_errors(client), _wire(client) as wire:
        under_way: deque[tuple[int, list[tuple[Stretch, int]]]] = deque()
        for at, lane in enumerate(lanes):
            if lane:
                under_way.append((at, _ask(wire, lane, rows)))
        while under_way:
            at, asked = under_way.popleft()
            data = wire.receive()
            ends = _continue(lanes[at], asked, data)
            if lanes[at]:
                under_way.append((at, _ask(wire, lanes[at], rows)))
            yield Page(at, tuple(asked), data, ends)


def _ask(wire: "_Wire", lane: deque[Stretch], rows: int) -> list[tuple[Stretch, int]]:
    asked = take_page(lane, rows)
    wire.send([("XRANGE", raw(one.journal), f"({one.after}", str(one.upto), "COUNT", count) for one, count in asked])
    return asked


def _continue(lane: deque[Stretch], asked: Sequence[tuple[Stretch, int]], data: bytes) -> bytes | None:
    """Put what is left of the page's last journal at the head of the lane; returns the id that it goes on from."""
    stretch, count = asked[-1]
    begin = data.rfind(_ENTRY)
    if count >= stretch.expected or begin < 0:
        return None
    start = data.index(b"\n", begin + len(_ENTRY)) + 1
    found = data[start : data.index(b"\r", start)]
    try:
        after = EntryId.parse(found)
    except ValueError:
        return None  # whoever reads the page finds out that there is more
    lane.appendleft(Stretch(stretch.journal, after, stretch.upto, stretch.expected - count))
    return found


class _Wire:
    """A connection of the client's own, of which the replies are taken as bytes up to a mark."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._socket = connection._sock
        self._mark = secrets.token_hex(8).encode()
        self._end = b"$16\r\n" + self._mark + b"\r\n"
        self._got = bytearray()
        self._block = memoryview(bytearray(_BUFFER))
        connection.send_command("ECHO", self._mark)
        connection.read_response()  # a server that refuses the mark says so now

    def send(self, commands: Sequence[tuple[Any, ...]]) -> None:
        packed = self._connection.pack_commands([*commands, ("ECHO", self._mark)])
        self._connection.send_packed_command(packed, check_health=False)

    def receive(self) -> bytes:
        """All bytes up to the next mark."""
        looked = 0
        while (at := self._got.find(self._end, looked)) < 0:
            looked = max(0, len(self._got) - len(self._end))
            count = self._socket.recv_into(self._block)
            if not count:
                raise closed()
            self._got += self._block[:count]
        data = bytes(self._got[:at])
        del self._got[: at + len(self._end)]
        return data


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
