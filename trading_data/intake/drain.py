"""Reading journals in blocks, each small enough for one batch: `drain`.

Whole pages become columns at once (`intake.wire`). Where that cannot be, because the entries of a page are of several shapes,
or the journals lie with many servers, entries are read one by one, which takes twice the time and gives the same.

Belongs here: which way, and the size of blocks. Does not: how far was drained, and writing (`intake.snapshot`).
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager

import pyarrow as pa

from trading_data.datasets.codec import Reason
from trading_data.datasets.declaration import Dataset
from trading_data.intake import wire
from trading_data.intake.entries import Block, Entries
from trading_data.intake.wire import Irregular
from trading_data.live.connection import Client
from trading_data.live.journal import Stretch, read
from trading_data.live.pages import Page, can_page, pages

_BYTES = 1_000_000
"""Bytes of pages that become columns at once: they stay in the processor's caches, and the calls do not count."""


def drain(
    client: Client, dataset: Dataset, left: Callable[[], list[Stretch]], size: int, rows: int, beside: Executor
) -> Iterator[Block]:
    """What is left of the journals, in blocks of about `size` entries, each journal's in order.

    Args:
        client: from `connect_for_archiver`.
        dataset: whose journals.
        left: what is not durable yet; what was yielded is, when the next block is asked for.
        size: entries a block at most, but for the last page.
        rows: entries a page.
        beside: makes columns of pages while the next ones are read.

    Raises:
        LiveTierError: the server is away.
    """
    if can_page(client):
        try:
            while stretches := left():
                yield from _by_pages(client, dataset, stretches, size, rows, beside)
                if left() == stretches:
                    return  # somebody removed them
            return
        except Irregular:
            pass
    with _without_gc():
        entries = Entries()
        for reading in read(client, left(), rows):
            entries.add(reading)
            if len(entries) >= size:
                yield entries.block(dataset)
                entries = Entries()
        if len(entries):
            yield entries.block(dataset)


def _by_pages(
    client: Client, dataset: Dataset, stretches: Sequence[Stretch], size: int, rows: int, beside: Executor
) -> Iterator[Block]:
    lanes: dict[int, list[Future[Block]]] = {}
    unread: dict[int, list[Page]] = {}
    entries = 0

    def make(lane: int) -> None:
        lanes.setdefault(lane, []).append(beside.submit(_block, dataset, unread.pop(lane)))

    def whole() -> Iterator[Block]:
        for lane in list(unread):
            make(lane)
        blocks = [block.result() for lane in sorted(lanes) for block in lanes[lane]]
        if found := [block for block in blocks if len(block)]:
            yield _joined(dataset, found)

    for page in pages(client, stretches, rows):
        waiting = unread.setdefault(page.lane, [])
        waiting.append(page)
        entries += sum(count for _, count in page.asked)
        if sum(len(one.data) for one in waiting) >= _BYTES:
            make(page.lane)
        if entries >= size:
            yield from whole()
            lanes.clear()
            entries = 0
    yield from whole()


def _block(dataset: Dataset, found: Sequence[Page]) -> Block:
    journals = [stretch.journal for page in found for stretch, _ in page.asked]
    try:
        columns = wire.columns(found, [name.encode() for name in dataset.fields])
    except Irregular:
        entries = Entries()
        for reading in wire.by_reader(found):
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
    at = 0
    for block in blocks:
        odd |= {at + where: reason for where, reason in block.odd.items()}
        at += len(block)
    lists = None
    if any(block.lists is not None for block in blocks):
        lists = [block.fields(at) for block in blocks for at in range(len(block))]
    return Block(
        *_by_journal(journals, counts),
        pa.concat_arrays([block.ids for block in blocks]),
        {name: pa.concat_arrays([block.values[name] for block in blocks]) for name in dataset.fields},
        odd,
        lists,
    )


@contextmanager
def _without_gc() -> Iterator[None]:
    """Hold back the cyclic collector: millions of small lists make it run for nothing (1.4–1.8 times the rate)."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
