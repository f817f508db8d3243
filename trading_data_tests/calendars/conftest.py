"""Fixtures of the history tests: a vendor on this machine."""

from collections.abc import Iterator

import pytest

from trading_data_tests.calendars.missing_days import Seller


@pytest.fixture
def seller() -> Iterator[Seller]:
    made = Seller()
    yield made
    made.close()
