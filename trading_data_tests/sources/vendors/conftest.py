"""Fixtures of the vendors' tests: Alpaca's history on this machine."""

from collections.abc import Iterator

import pytest

from trading_data.sources.vendors.alpaca import AlpacaVendor
from trading_data.sources.vendors.alpaca_account import AlpacaAccount
from trading_data.sources.vendors.rate_limit import Patience
from trading_data_tests.sources.vendors.alpaca_history import KEY, SECRET, AlpacaHistory


@pytest.fixture
def history() -> Iterator[AlpacaHistory]:
    server = AlpacaHistory()
    yield server
    server.close()


@pytest.fixture
def waits() -> list[float]:
    """The seconds that `vendor` would have waited; it does not."""
    return []


@pytest.fixture
def vendor(history: AlpacaHistory, waits: list[float]) -> Iterator[AlpacaVendor]:
    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return False

    account = AlpacaAccount(KEY, SECRET, url=history.url)
    vendor = AlpacaVendor(account, patience=Patience(tries=4, wait=wait), timeout=(2.0, 0.5), rows=7)
    yield vendor
    vendor.close()
