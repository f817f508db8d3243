"""The origin of a row is its batch, its run and its journal entry."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_data.analytics import Provenance, provenance
from trading_data.archive.quarantine.queries import listing, retry
from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.datasets.declaration import Dataset
from trading_data.errors import BadInput
from trading_data.intake.import_rows import import_rows
from trading_data.intake.poll_latest import poll_latest
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, bar, fill, measurement

PRICES = "journal:price:A"


def entries(rig: Rig, journal: str) -> list[str]:
    """The ids of all entries in a journal."""
    return [entry_id.decode() for entry_id, _ in rig.client.xrange(journal)]  # type: ignore[union-attr]


def archive(rig: Rig, dataset: Dataset) -> int:
    """Archive and keep the journal; returns the batch."""
    rig.snapshot(dataset, run_id="drain")
    (loaded,) = rig.load(dataset)
    return loaded.batch_id


def ask(rig: Rig, dataset: Dataset, subject: str, minute: int = 0, live: bool = True) -> Provenance:
    return provenance(
        rig.archive, dataset, subject, MOMENT + timedelta(minutes=minute), client=rig.client if live else None
    )


def test_a_batch_of_one_entry_is_enough(rig: Rig) -> None:
    rig.store.record_trades([fill("o1")])
    batch_id = archive(rig, TRADE)
    (entry,) = entries(rig, "journal:trade")
    rig.client.flushdb()
    history = ask(rig, TRADE, "o1", live=False)
    assert (history.dataset, history.subject, history.timestamp) == ("trade", "o1", MOMENT)
    version = history.current
    assert version is not None
    assert history.versions == (version,)
    assert (version.batch_id, version.origin, version.snapshot_run, version.load_run) == (
        batch_id,
        "journal",
        "drain",
        "test",
    )
    assert (version.journal, version.first_entry, version.last_entry, version.entries) == (
        "journal:trade",
        entry,
        entry,
        1,
    )
    assert (version.entry_id, version.replaced_by, version.replaced_at) == (entry, None, None)
    assert version.values["price"] == Decimal("11.25")
    ledger = rig.query("select content_hash, drained_at, archived_at from archive_ledger")[0]
    assert (version.content_hash, version.drained_at, version.archived_at) == ledger


def test_of_many_entries_the_range_and_with_a_client_the_entry(rig: Rig) -> None:
    rig.store.record_prices([bar("B", minute) for minute in range(4)])
    rig.store.record_prices([bar("A", minute) for minute in range(3)])
    archive(rig, PRICE)
    ids = entries(rig, PRICES)
    without = ask(rig, PRICE, "A", 1, live=False).current
    assert without is not None
    assert (without.journal, without.first_entry, without.last_entry) == (PRICES, ids[0], ids[-1])
    assert (without.entries, without.entry_id) == (3, None)
    assert [version.entry_id for version in ask(rig, PRICE, "A", 1).versions] == [ids[1]]
    rig.trim(PRICE)
    assert [version.entry_id for version in ask(rig, PRICE, "A", 1).versions] == [None]


def test_each_version_has_its_own_batch_and_entry(rig: Rig) -> None:
    """Archived: 10; then 10 again, 11, 10, 9.5 in one batch; then 9.25."""
    rig.store.record_prices([bar("A", close=10.0), bar("A", 1)])
    first = archive(rig, PRICE)
    rig.store.record_prices([bar("A", close=close) for close in (10.0, 11.0, 11.0, 10.0, 9.5)])
    second = archive(rig, PRICE)
    rig.store.record_prices([bar("A", close=9.25)])
    third = archive(rig, PRICE)
    ids = entries(rig, PRICES)
    history = ask(rig, PRICE, "A")
    versions = [
        (version.values["close"], version.batch_id, version.entry_id, version.replaced_by)
        for version in history.versions
    ]
    assert versions == [
        (10.0, first, ids[0], second),
        (11.0, second, ids[3], second),
        (10.0, second, ids[5], second),
        (9.5, second, ids[6], third),
        (9.25, third, ids[7], None),
    ]
    assert history.current is not None
    assert history.current.values["close"] == 9.25
    assert all(version.replaced_at is not None for version in history.versions[:-1])


def test_a_version_that_a_better_source_outranked(rig: Rig) -> None:
    """Each source sends its bar twice in one batch; then the lower-priority one sends another, which never becomes the row."""
    best, lesser = bar("A", close=10.0, source="alpaca:sip"), bar("A", close=10.5, source="alpaca:iex")
    rig.store.record_prices([best, lesser, best, lesser, bar("A", 1)])
    first = archive(rig, PRICE)
    rig.store.record_prices([bar("A", close=11.0, source="alpaca:iex"), bar("A", 2)])
    second = archive(rig, PRICE)
    ids = entries(rig, PRICES)
    history = ask(rig, PRICE, "A")
    assert [
        (version.values["close"], version.batch_id, version.entry_id, version.replaced_by)
        for version in history.versions
    ] == [
        (10.5, first, ids[1], first),
        (11.0, second, ids[5], first),
        (10.0, first, ids[0], None),
    ]


def test_rejected_entries_are_not_taken_for_a_version(rig: Rig) -> None:
    rig.store.record_trades([fill("o1", "e1"), fill("o1", "e2", 1500), fill("o1", "e1")])
    rig.entry("journal:trade", {"order_id": "o1", "timestamp": MOMENT.isoformat()})
    rig.store.record_trades([fill("o1", "e1", price=Decimal(9))])
    archive(rig, TRADE)
    ids = entries(rig, "journal:trade")
    history = ask(rig, TRADE, "o1")
    assert [(version.values["price"], version.entry_id) for version in history.versions] == [
        (Decimal("11.25"), ids[0]),
        (Decimal(9), ids[4]),
    ]


def test_a_journal_made_anew_is_not_believed(rig: Rig) -> None:
    rig.store.record_metrics([measurement("m", 0, 1.0), measurement("m", 1, 2.0)])
    archive(rig, METRICS)
    first, last = entries(rig, "journal:metrics")
    rig.client.delete("journal:metrics")
    rig.entry_at("journal:metrics", first, measurement("m", 0, 99.0))
    version = ask(rig, METRICS, "m").current
    assert version is not None
    assert (version.first_entry, version.last_entry, version.entry_id) == (first, last, None)


def table(dataset: Dataset, *rows: Any) -> pa.Table:
    return pa.table({name: [getattr(row, name) for row in rows] for name in dataset.names})


def test_a_row_of_a_file_leads_to_the_file_and_its_rows(rig: Rig) -> None:
    tables = (table(METRICS, *(measurement("m", start + at) for at in range(2))) for start in (0, 2))
    list(import_rows(rig.intake, METRICS, "measured.csv", tables, origin="file", earliest=EARLIEST, run_id="import"))
    rig.load(METRICS)
    version = ask(rig, METRICS, "m", 3).current
    assert version is not None
    assert (version.origin, version.snapshot_run, version.journal) == ("file", "import", "measured.csv")
    assert (version.first_entry, version.last_entry, version.entries, version.entry_id) == ("row 3", "row 4", 2, None)


def test_a_latest_value_leads_to_its_key(rig: Rig) -> None:
    for symbol in ("A", "é"):
        numbers = dict.fromkeys(("open", "high", "low", "close", "volume"), "1")
        mapping: dict[Any, Any] = {**numbers, "timestamp": MOMENT.isoformat(), "source": "test"}
        rig.client.hset(f"stocks:price:{symbol}", mapping=mapping)
    poll_latest(rig.client, rig.intake, PRICE, earliest=EARLIEST)
    rig.load(PRICE)
    version = ask(rig, PRICE, "é").current
    assert version is not None
    assert (version.origin, version.journal, version.entries) == ("latest", ledger_name("stocks:price:é"), 1)


def test_a_retried_entry_leads_to_the_one_that_was_rejected(rig: Rig) -> None:
    """Three entries were retried in one batch, one of them under a new name that its rejected form does not have."""
    ids = [
        rig.entry("journal:metrics", {"metric_name": name, "timestamp": MOMENT.isoformat(), "value": "bad", "unit": ""})
        for name in ("a", "b", "c")
    ]
    archive(rig, METRICS)
    waiting = [entry.quarantine_id for entry in listing(rig.archive, METRICS, None, 10)]
    retry(rig.archive, rig.intake, ids=waiting, earliest=EARLIEST, edits={"value": "2.5"})
    rig.load(METRICS)
    version = ask(rig, METRICS, "b").current
    assert version is not None
    assert (version.origin, version.journal, version.entry_id) == ("quarantine", "journal:metrics", ids[1])
    assert "value=2.5" in str(version.snapshot_run)
    more = [
        rig.entry("journal:metrics", {"metric_name": "", "timestamp": MOMENT.isoformat(), "value": "1", "unit": unit})
        for unit in ("s", "ms")
    ]
    archive(rig, METRICS)
    waiting = [entry.quarantine_id for entry in listing(rig.archive, METRICS, None, 10)]
    retry(rig.archive, rig.intake, ids=waiting, earliest=EARLIEST, edits={"metric_name": "d"})
    rig.load(METRICS)
    renamed = ask(rig, METRICS, "d")
    assert [(version.journal, version.entries, version.entry_id) for version in renamed.versions] == [
        ("journal:metrics", 2, None)
    ] * 2
    assert len(more) == 2


def test_no_such_row_and_an_unknown_batch(rig: Rig) -> None:
    with pytest.raises(BadInput, match=r"no row \(o9, 2026-11-20T15:00:00\+00:00\) of fills"):
        ask(rig, TRADE, "o9")
    with pytest.raises(BadInput, match="there is no dataset"):
        provenance(rig.archive, "orders", "o9", MOMENT)
    with pytest.raises(BadInput, match="no time zone"):
        provenance(rig.archive, "trades", "o9", "2026-11-20T15:00:00")
    rig.store.record_trades([fill("o1")])
    archive(rig, TRADE)
    rig.query("delete from archive_ledger returning 1")
    version = provenance(rig.archive, "trades", "o1", MOMENT).current
    assert version is not None
    assert (version.values["order_id"], version.origin, version.journal, version.entry_id) == ("o1", None, None, None)


def cut(accepted: list[float], lengths: list[int]) -> Iterator[list[float]]:
    for length in lengths:
        yield accepted[:length]
        accepted = accepted[length:]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([10.0, 10.5, 11.0]), min_size=1, max_size=9),
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
)
def test_every_version_is_what_its_entry_says(rig: Rig, accepted: list[float], lengths: list[int]) -> None:
    """However entries are divided into batches, a named entry has the values of its version, and that of the row is right."""
    rig.clean()
    taken = [part for part in cut(accepted, lengths) if part]
    for part in taken:
        rig.store.record_prices([bar("A", close=close) for close in part])
        archive(rig, PRICE)
    closes = dict(zip(entries(rig, PRICES), [close for part in taken for close in part], strict=True))
    history = ask(rig, PRICE, "A")
    for version in history.versions:
        assert version.entry_id is not None
        assert closes[version.entry_id] == version.values["close"]
    assert history.current is not None
    values, ids = list(closes.values()), list(closes)
    begins = max((at for at in range(1, len(values)) if values[at] != values[at - 1]), default=0)
    assert history.current.entry_id == ids[begins]
