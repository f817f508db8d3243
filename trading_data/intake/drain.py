"""`drain` reads journals in blocks, each small enough for one batch.

Whole pages become columns at once (`intake.resp_scan`). If the entries of a page have different fields, or the journals are on
several servers, entries are read one by one, which takes twice the time and has the same result.

The id at the end of a page is first guessed from its bytes, without parsing them. A crafted value can mislead the guess: then the
block is discarded and read again, and from then on the end of every page is parsed (`exact`).

Belongs here: the way of reading, and the size of blocks. Does not: how far was drained, and writing (`intake.snapshot`).
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import closing
from functools import partial

import pyarrow as pa

from trading_data.collector import without_gc
from trading_data.datasets.declaration import Dataset
from trading_data.datasets.rules import Reason
from trading_data.errors import LiveTierError
from trading_data.intake import resp_scan
from trading_data.intake.entries import Block, Entries, Fields
from trading_data.intake.resp_scan import Irregular
from trading_data.live.connection import Client, address
from trading_data.live.journal import ReadRange
from trading_data.live.journal_reader import JournalPage, can_page, pages, readings

BLOCK_BYTES = 64 << 20
"""At most this many bytes of replies per block, unless a single entry has more. 200,000 prices have about 45 MB, so the bound
matters only for large entries. While one block becomes a batch the next one is read, so the archiver needs a few times this."""
_PIECE = 1_000_000
"""Bytes of pages that become columns at once: few enough for the processor's caches, and enough to make the calls cheap."""


def drain(
    client: Client, dataset: Dataset, not_durable: Callable[[], list[ReadRange]], size: int, rows: int, beside: Executor
) -> Iterator[Block]:
    """The entries of a dataset's journals that are not durable yet, in blocks; those of one journal are in order.

    Args:
        client: from `connect_for_archiver`.
        dataset: whose journals.
        not_durable: ranges not yet durable, at most one a journal. A yielded block counts as durable once the next one is
            requested.
        size: a block ends with the page that reaches this number of entries, or before the one that exceeds `BLOCK_BYTES`.
        rows: entries per page.
        beside: the thread that turns pages into columns while the next ones are read.

    Raises:
        LiveTierError: the server is unavailable, or its replies are not entries.
    """
    if not can_page(client):
        yield from _in_passes(not_durable, partial(_by_entries, client, dataset, size, rows))
        return
    exact = False
    while True:
        try:
            yield from _in_passes(not_durable, partial(_by_pages, client, dataset, size, rows, beside, exact))
        except Irregular as error:
            if exact:
                raise LiveTierError(f"the live tier at {address(client)} answered: {error}") from error
        else:
            return
        exact = True  # the end of a page was guessed wrongly; its block was not yielded, and is read again


def _in_passes(
    not_durable: Callable[[], list[ReadRange]], read: Callable[[Sequence[ReadRange]], Iterator[Block]]
) -> Iterator[Block]:
    """Read until nothing is left: a pass ends early in journals that have more entries than expected."""
    while read_ranges := not_durable():
        yield from read(read_ranges)
        if not_durable() == read_ranges:
            return  # their entries were removed


def _by_pages(
    client: Client,
    dataset: Dataset,
    size: int,
    rows: int,
    beside: Executor,
    exact: bool,
    read_ranges: Sequence[ReadRange],
) -> Iterator[Block]:
    gathered = _Gathered(dataset, beside)
    with closing(pages(client, read_ranges, rows, exact=exact)) as received:
        for page in received:
            if gathered.bytes and gathered.bytes + len(page.data) > BLOCK_BYTES:
                yield from gathered.block()
            gathered.add(page)
            if gathered.entries >= size:
                yield from gathered.block()
    yield from gathered.block()


class _Gathered:
    """The pages of one block. Another thread makes them columns, about `_PIECE` bytes of a lane (`live.journal_reader`) at once."""

    def __init__(self, dataset: Dataset, beside: Executor) -> None:
        self._dataset, self._beside = dataset, beside
        self._clear()

    def _clear(self) -> None:
        self.entries = self.bytes = 0
        self._lanes: dict[int, list[Future[Block]]] = {}
        self._unread: dict[int, list[JournalPage]] = {}
        self._unread_bytes: dict[int, int] = {}

    def add(self, page: JournalPage) -> None:
        """Add a page; the pages of a lane come in order."""
        lane, size = page.lane, len(page.data)
        self._unread.setdefault(lane, []).append(page)
        self.entries += sum(count for _, count in page.asked)
        self.bytes += size
        self._unread_bytes[lane] = unread = self._unread_bytes.get(lane, 0) + size
        if unread >= _PIECE:
            self._make(lane)

    def block(self) -> Iterator[Block]:
        """The pages so far as one block, none if they have no entries; then start over."""
        finished = self._finish()
        while finished:
            yield finished.pop()  # not held here while the next one is read

    def _finish(self) -> list[Block]:
        for lane in list(self._unread):
            self._make(lane)
        blocks = [made.result() for lane in sorted(self._lanes) for made in self._lanes[lane]]
        self._clear()
        filled = [block for block in blocks if len(block)]
        return [_joined(self._dataset, filled)] if filled else []

    def _make(self, lane: int) -> None:
        self._unread_bytes[lane] = 0
        made = self._beside.submit(_block, self._dataset, self._unread.pop(lane))
        self._lanes.setdefault(lane, []).append(made)


def _by_entries(
    client: Client, dataset: Dataset, size: int, rows: int, read_ranges: Sequence[ReadRange]
) -> Iterator[Block]:
    """As `_by_pages`, through redis-py."""
    with without_gc():  # millions of small lists: 1.4 to 1.8 times the rate
        entries, held = Entries(), 0
        for reading, read in readings(client, read_ranges, rows):
            if len(entries) and (len(entries) >= size or held + read > BLOCK_BYTES):
                yield entries.block(dataset)
                entries, held = Entries(), 0
            entries.add(reading)
            held += read
        if len(entries):
            yield entries.block(dataset)


def _block(dataset: Dataset, of_lane: Sequence[JournalPage]) -> Block:
    journals = [read_range.journal for page in of_lane for read_range, _ in page.asked]
    try:
        columns = resp_scan.columns(of_lane, [name.encode() for name in dataset.fields])
    except Irregular:
        entries = Entries()
        for reading in resp_scan.by_reader(of_lane):
            entries.add(reading)
        return entries.block(dataset)
    return Block(
        *_by_journal(journals, columns.counts), columns.ids, dict(zip(dataset.fields, columns.values, strict=True))
    )


def _by_journal(journals: Sequence[str], counts: Sequence[int]) -> tuple[list[str], list[int]]:
    names: list[str] = []
    numbers: list[int] = []
    for name, count in zip(journals, counts, strict=True):
        if not count:
            continue
        if names and names[-1] == name:
            numbers[-1] += count
        else:
            names.append(name)
            numbers.append(count)
    return names, numbers


def _joined(dataset: Dataset, blocks: Sequence[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    journals = [name for block in blocks for name in block.journals]
    counts = [count for block in blocks for count in block.counts]
    odd: dict[int, Reason] = {}
    fields: dict[int, Fields] = {}
    start = 0
    for block in blocks:
        odd |= {start + at: reason for at, reason in block.odd.items()}
        fields |= {start + at: odd_field for at, odd_field in block.odd_fields.items()}
        start += len(block)
    return Block(
        *_by_journal(journals, counts),
        pa.concat_arrays([block.ids for block in blocks]),
        {name: pa.concat_arrays([block.values[name] for block in blocks]) for name in dataset.fields},
        odd,
        fields,
    )
