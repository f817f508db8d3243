"""Draining as a snapshot does, and what was drained as plain lists.

Belongs here: helpers without assertions on what is drained. Does not: hostile entries (`hostile`).
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from trading_data.datasets import PRICE
from trading_data.datasets.declaration import Dataset
from trading_data.intake.drain import drain
from trading_data.intake.entries import Block
from trading_data.live.connection import Client
from trading_data.live.journal import BEGINNING, EntryId, ReadRange, find_journals, inspect, read

Entry = tuple[bytes, list[bytes]]
"""An id, and names and values in turn."""


def drained(
    client: Client, left: Callable[[], list[ReadRange]], size: int, rows: int, dataset: Dataset = PRICE
) -> Iterator[Block]:
    with ThreadPoolExecutor(1) as beside:
        yield from drain(client, dataset, left, size, rows, beside)


def everything(client: Client, size: int, rows: int, *, expected: int | None = None) -> list[Block]:
    """Drained until nothing is left; `expected` is how many entries a journal is said to have, None for the truth."""
    infos = inspect(client, find_journals(client, PRICE))
    after = dict.fromkeys(infos, BEGINNING)
    found = []

    def left() -> list[ReadRange]:
        return [
            ReadRange(name, after[name], info.last, info.length if expected is None else expected)
            for name, info in infos.items()
            if after[name] < info.last
        ]

    for block in drained(client, left, size, rows):
        found.append(block)
        at = 0
        for name, count in zip(block.journals, block.counts, strict=True):
            at += count
            after[name] = EntryId.parse(block.id(at - 1))
    return found


def one_by_one(client: Client) -> dict[str, list[Entry]]:
    """The entries of all price journals, read by redis-py."""
    infos = inspect(client, find_journals(client, PRICE))
    found: dict[str, list[Entry]] = {}
    for reading in read(client, [ReadRange(name, BEGINNING, info.last, info.length) for name, info in infos.items()]):
        found.setdefault(reading.journal, []).extend((one, list(fields)) for one, fields in reading.entries)
    return found


def by_journal(blocks: Sequence[Block]) -> dict[str, list[Entry]]:
    """The entries of blocks in the order in which they came. The declared fields are in the declared order."""
    found: dict[str, list[Entry]] = {}
    for block in blocks:
        assert len(set(block.journals)) == len(block.journals)
        at = 0
        for name, count in zip(block.journals, block.counts, strict=True):
            found.setdefault(name, []).extend((block.id(place), block.fields(place)) for place in range(at, at + count))
            at += count
        assert at == len(block)
    return found


def in_declared_order(fields: list[bytes]) -> list[bytes]:
    """An entry's fields as a block has them: in the declared order, if they are the declared ones."""
    wanted = [name.encode() for name in PRICE.fields]
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    if len(fields) != 2 * len(wanted) or set(values) != set(wanted):
        return fields
    return [part for name in wanted for part in (name, values[name])]
