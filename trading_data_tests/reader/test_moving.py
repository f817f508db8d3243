"""A row that moves between two steps of one read is seen, once: the order of the steps, moment by moment.

Invariant 5 of DESIGN.md; what threads may happen to hit (`test_never_pause`) is here hit for certain.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
from psycopg2.sql import Composed

from trading_data import MarketData
from trading_data.archive.database import Archive
from trading_data.archive.trim import trim_drained
from trading_data.datasets import PRICE
from trading_data.intake.batch import Batch
from trading_data.intake.store import BatchFile, Intake
from trading_data.live.connection import Client
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, bar

END = "2026-11-21"


class Once:
    """Something that happens at one moment of a read, the first time it comes by there."""

    def __init__(self, moment: str, happens: Callable[[], object]) -> None:
        self._moment, self._happens = moment, happens

    def at(self, moment: str) -> None:
        if moment == self._moment:
            self._moment = ""
            self._happens()


class MovingArchive(Archive):
    def __init__(self, url: str, once: Once) -> None:
        super().__init__(url)
        self._once = once

    def ask(self, statement: Composed, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        self._once.at("after the journals were looked at")
        return super().ask(statement, values)


class MovingIntake(Intake):
    def __init__(self, uri: str, once: Once) -> None:
        super().__init__(uri)
        self._once = once

    def pending(self, dataset: str) -> list[BatchFile]:
        self._once.at("before the intake is listed")
        files = super().pending(dataset)
        self._once.at("after the intake was listed")
        return files

    def read(self, file: BatchFile) -> Batch | None:
        batch = super().read(file)
        self._once.at("after a batch was read")
        return batch


class MovingClient:
    def __init__(self, client: Client, once: Once) -> None:
        self._client, self._once = client, once

    def __getattr__(self, name: str) -> Any:
        self._once.at("before the journals are looked at")
        return getattr(self._client, name)


def drain_and_forget(rig: Rig, _: str) -> None:
    rig.snapshot(PRICE)
    trim_drained(rig.client, rig.intake, PRICE)


def correct_and_archive(rig: Rig, symbol: str) -> None:
    rig.archive_all(PRICE)
    rig.store.record_prices([bar(symbol, 2, close=10.0)])
    rig.archive_all(PRICE)


HAPPENS: dict[str, Callable[[Rig, str], object]] = {
    "drained": lambda rig, _: rig.snapshot(PRICE),
    "drained and, in an emergency, trimmed": drain_and_forget,
    "loaded": lambda rig, _: rig.load(PRICE),
    "archived": lambda rig, _: rig.archive_all(PRICE),
    "archived and corrected": correct_and_archive,
}
MOMENTS = [
    "before the journals are looked at",
    "after the journals were looked at",
    "before the intake is listed",
    "after the intake was listed",
    "after a batch was read",
]


CASES = [
    (interval, column, expected, name)
    for interval, column, expected in (("raw", "close", [11.0, 9.5, 9.5, 11.0]), ("5m", "volume", [400.0]))
    for name in HAPPENS
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_whatever_happens_in_between(rig: Rig, moment: str) -> None:
    symbols = [f"{interval} {name}" for interval, _, _, name in CASES]
    rig.store.record_prices([bar(symbol, minute) for symbol in symbols for minute in (0, 1)])
    rig.archive_all(PRICE)
    for symbol, (interval, column, expected, name) in zip(symbols, CASES, strict=True):
        rig.store.record_prices([bar(symbol, 1, close=9.5), bar(symbol, 2)])
        rig.snapshot(PRICE)
        rig.store.record_prices([bar(symbol, 2, close=9.5), bar(symbol, 3)])
        once = Once(moment, lambda: HAPPENS[name](rig, symbol))  # noqa: B023  (called within this turn)
        client = cast(Client, MovingClient(rig.client, once))
        archive = MovingArchive(rig.archive.url, once)
        reader = MarketData(client, archive, MovingIntake(rig.intake.uri, once), EARLIEST)
        values = reader.prices(symbol, MOMENT, END, interval)[column].tolist()
        corrected = interval == "raw" and HAPPENS[name] is correct_and_archive
        assert values == ([11.0, 9.5, 10.0, 11.0] if corrected else expected), name
        archive.close()
