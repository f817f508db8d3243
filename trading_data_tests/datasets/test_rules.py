"""One set of rules: at one moment the door takes a record if and only if the load archives it."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from trading_data.datasets import DATASETS, METRICS, PRICE, TRADE, codec
from trading_data.datasets.codec import plain
from trading_data.datasets.declaration import Column, Dataset
from trading_data.datasets.rules import Span
from trading_data.errors import BadInput
from trading_data.live.validation import checked_fields, checked_records
from trading_data_tests.datasets.hostile import GOOD, POOLS, records
from trading_data_tests.rig import EARLIEST, MOMENT, Rig

SPAN = Span.at(MOMENT, EARLIEST)


def raw(value: Any) -> bytes:
    """A value as a producer without this library writes it."""
    if isinstance(value, bytes):
        return value
    text = (
        value.isoformat()
        if isinstance(value, datetime)
        else str.__str__(value)
        if isinstance(value, str)
        else plain(value)
    )
    return text.encode("utf-8", "surrogatepass")


def loaded(dataset: Dataset, fields: dict[str, bytes], *beside: dict[str, bytes]) -> bool:
    """Whether the load archives an entry, whatever stands beside it."""
    rows = [fields, *beside]
    values = {name: pa.array([row[name] for row in rows], pa.binary()) for name in dataset.names}
    return 0 not in codec.check(dataset, values, MOMENT, EARLIEST).bad


def taken(dataset: Dataset, record: dict[str, Any]) -> dict[str, str] | None:
    """The fields of a record as the door writes them, None where it refuses with a message of the right form."""
    said = rf"(?s)^{dataset.title}\[0\].*: .*; nothing was written$"
    found: list[dict[str, str]] = []
    with suppress(BadInput):
        found.append(checked_fields(dataset, record, 0, SPAN))
    if not found:
        with pytest.raises(BadInput, match=said):
            checked_fields(dataset, record, 0, SPAN)
    return found[0] if found else None


def writable(dataset: Dataset, record: dict[str, Any]) -> bool:
    """Whether a record has a form in a journal that says the same: a value of another type has none."""
    kinds: dict[str, tuple[type, ...]] = {
        "text": (str, bytes),
        "float": (float, str, bytes),
        "decimal": (str, bytes),
        "time": (datetime, str, bytes),
    }
    return all(isinstance(record[column.name], kinds[column.type]) for column in dataset.columns)


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=list(DATASETS))
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_the_door_takes_what_the_load_archives(dataset: Dataset, data: st.DataObject) -> None:
    record = data.draw(records(dataset))
    fields = taken(dataset, record)
    if fields is not None:
        assert loaded(dataset, {name: raw(text) for name, text in fields.items()})
        batch: list[dict[str, str]] = []
        with suppress(BadInput):
            batch = checked_records(dataset, [record, record], SPAN)
        assert batch == [fields, fields]
    else:
        with pytest.raises(BadInput):
            checked_records(dataset, [record], SPAN)


@pytest.mark.parametrize(
    ("dataset", "column", "value"),
    [
        pytest.param(dataset, column, value, id=f"{column.name}-{at}")
        for dataset in DATASETS.values()
        for column in dataset.columns
        for at, value in enumerate(POOLS[column.type])
        if isinstance(value, (str, bytes))
    ],
)
def test_an_entry_is_loaded_if_and_only_if_the_door_takes_it(dataset: Dataset, column: Column, value: Any) -> None:
    record = {**GOOD[dataset.name], column.name: value}
    entry = {name: raw(one) for name, one in record.items()}
    good = {name: raw(one) for name, one in GOOD[dataset.name].items()}
    bad = dict.fromkeys(dataset.names, b"\xff")
    accepted = taken(dataset, record) is not None
    assert loaded(dataset, entry) == loaded(dataset, entry, good) == loaded(dataset, entry, good, bad) == accepted


@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
@pytest.mark.parametrize("dataset", [PRICE, TRADE, METRICS], ids=lambda dataset: dataset.name)
def test_through_redis_and_the_load_what_was_taken_is_archived_and_nothing_else(
    rig: Rig, dataset: Dataset, data: st.DataObject
) -> None:
    rig.clean()
    accepted = refused = 0
    for at, record in enumerate(data.draw(st.lists(records(dataset), min_size=10, max_size=40))):
        if record["timestamp"] == MOMENT:
            record["timestamp"] += timedelta(seconds=at)
        if dataset is TRADE and record["order_id"] == "o1":
            record["order_id"] = f"o{at}"
        record = record | (
            {"execution_id": "e1"} if dataset is TRADE else {}
        )  # two fills of one key are no matter of rules
        try:
            accepted += len(rig.store.record(dataset, [record]))
        except BadInput:
            if writable(dataset, record):
                journal = dataset.journal_of(raw(record[dataset.subject]).decode("utf-8", "surrogateescape"))
                rig.client.xadd(
                    journal.encode("utf-8", "surrogateescape"), {name: raw(record[name]) for name in dataset.fields}
                )
                refused += 1
    rig.archive_all(dataset)
    account = rig.account(dataset)
    assert (account.quarantined, account.accepted - account.quarantined) == (refused, accepted)
