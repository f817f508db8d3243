"""A tier that is away is an error, or is said: what can be read is there, and `missing` says what cannot."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from trading_data import MarketData
from trading_data.archive.trim import trim_drained
from trading_data.datasets import PRICE, TRADE
from trading_data.errors import ArchiveTierError, IntakeError, LiveTierError
from trading_data.live.journal import newest_entries
from trading_data_tests.reader.model import Model, bring
from trading_data_tests.rig import MOMENT, Rig, bar, fill

END = MOMENT + timedelta(hours=4)
DAY = ("2026-11-20", "2026-11-21")


@dataclass
class Readers:
    """Readers of the rig's tiers, of which some are away."""

    rig: Rig
    no_archive: MarketData
    no_live: MarketData
    neither: MarketData


@pytest.fixture
def readers(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Readers]:
    def reader(**env: str) -> MarketData:
        with monkeypatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            return MarketData.from_env()

    archive = {"TRADING_DATA_TIMESCALE_URL": "postgresql://postgres:hidden@127.0.0.1:1/x"}
    live = {"TRADING_DATA_REDIS_URL": "redis://:hidden@127.0.0.1:1/0"}
    made = Readers(rig, reader(**archive), reader(**live), reader(**archive, **live))
    yield made
    for one in (made.no_archive, made.no_live, made.neither):
        one.close()


def spread(rig: Rig) -> None:
    """Minute 0 archived and trimmed, 1 archived and still in its journal, 2 in the intake alone, 3 in journal and intake,
    4 in the journal alone; minute 1 corrected where it waits.
    """
    rig.store.record_prices([bar("A", 0)])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("A", 1, close=9.5)])
    rig.snapshot(PRICE)
    rig.load(PRICE)
    rig.refresh(PRICE)
    rig.store.record_prices([bar("A", 2)])
    rig.snapshot(PRICE)
    ((entry, _),) = newest_entries(rig.client, ["journal:price:A"], 1)["journal:price:A"]
    rig.client.xdel("journal:price:A", entry)
    rig.store.record_prices([bar("A", 1, close=10.0), bar("A", 3)])
    rig.snapshot(PRICE)
    rig.store.record_prices([bar("A", 4)])


def minutes(frame: pd.DataFrame) -> list[int]:
    return [round((time - MOMENT).total_seconds() / 60) for time in frame["timestamp"]]


def tiers(frame: pd.DataFrame) -> list[str]:
    return [text.partition(":")[0] for text in frame.attrs["missing"]]


def test_a_whole_answer_says_that_nothing_is_missing(readers: Readers) -> None:
    spread(readers.rig)
    frame = readers.rig.reader.prices("A", MOMENT, END, partial=True)
    assert (minutes(frame), frame.attrs["missing"]) == ([0, 1, 2, 3, 4], ())
    assert frame["tier"].tolist() == ["archive", "live", "live", "live", "live"]


def test_without_the_archive(readers: Readers) -> None:
    spread(readers.rig)
    frame = readers.no_archive.prices("A", MOMENT, END, partial=True)
    assert minutes(frame) == [0, 1, 2, 3, 4]
    assert frame["close"].tolist() == [11.0, 10.0, 11.0, 11.0, 11.0]
    (text,) = frame.attrs["missing"]
    assert text.startswith("archive: away (")
    assert text.endswith("rows that are archived and have left the journals are missing")
    assert "Connection refused" in text
    assert "hidden" not in text
    buckets = readers.no_archive.prices("A", *DAY, "5m", partial=True)
    assert buckets[["volume", "close", "tier"]].to_numpy().tolist() == [[500.0, 11.0, "live"]]
    assert "buckets are made without them" in buckets.attrs["missing"][0]


def test_without_the_live_tier(readers: Readers) -> None:
    spread(readers.rig)
    frame = readers.no_live.prices("A", MOMENT, END, partial=True)
    assert minutes(frame) == [0, 1, 2, 3]
    assert frame["close"].tolist() == [11.0, 10.0, 11.0, 11.0]
    (text,) = frame.attrs["missing"]
    assert text.startswith("live: away (Error 111")
    created = readers.rig.intake.head(readers.rig.intake.pending("price")[-1])
    assert created is not None
    assert f"after the last snapshot, the newest known one of {created.created.isoformat(timespec='seconds')}" in text
    assert "hidden" not in text
    buckets = readers.no_live.prices("A", *DAY, "5m", partial=True)
    assert buckets["volume"].tolist() == [400.0]
    assert tiers(buckets) == ["live"]


def test_the_last_snapshot_known_may_be_archived(readers: Readers) -> None:
    readers.rig.store.record_prices([bar("A", 0)])
    readers.rig.archive_all(PRICE)
    ((drained,),) = readers.rig.query("select max(drained_at) from archive_ledger")
    (text,) = readers.no_live.prices("A", MOMENT, END, partial=True).attrs["missing"]
    assert drained.isoformat(timespec="seconds") in text
    (text,) = readers.no_live.metrics(None, MOMENT, END, partial=True).attrs["missing"]
    assert text.endswith("what was accepted after the last snapshot is missing")


def test_without_both(readers: Readers) -> None:
    spread(readers.rig)
    frame = readers.neither.prices("A", MOMENT, END, partial=True)
    assert (minutes(frame), tiers(frame)) == ([0, 1, 2, 3], ["archive", "live"])
    assert frame["close"].tolist() == [11.0, 10.0, 11.0, 11.0]
    readers.rig.archive_all(PRICE)
    frame = readers.neither.prices("A", *DAY, "1h", partial=True)
    assert (len(frame), tiers(frame)) == (0, ["archive", "live"])
    assert frame.columns.tolist() == ["symbol", "bucket", "open", "high", "low", "close", "volume", "tier"]


def test_a_damaged_batch(readers: Readers) -> None:
    rig = readers.rig
    spread(rig)
    first, *others = rig.intake.pending("price")
    Path(first.path).write_bytes(b"x")
    with pytest.raises(IntakeError, match="is damaged"):
        rig.reader.prices("A", MOMENT, END)
    frame = rig.reader.prices("A", MOMENT, END, partial=True)
    assert (minutes(frame), tiers(frame)) == ([0, 1, 3, 4], ["intake"])
    assert first.name in frame.attrs["missing"][0]
    for other in others:
        Path(other.path).write_bytes(b"x")
    frame = readers.no_archive.prices("A", MOMENT, END, partial=True)
    assert (minutes(frame), tiers(frame)) == ([0, 1, 3, 4], ["archive", "intake", *(["intake"] * len(others))])
    assert frame["close"].tolist() == [11.0, 10.0, 11.0, 11.0]


def test_an_intake_that_cannot_be_listed(readers: Readers) -> None:
    rig = readers.rig
    rig.store.record_prices([bar("A", 0)])
    Path(rig.intake.uri).mkdir(exist_ok=True)
    (Path(rig.intake.uri) / "price").symlink_to("price")
    with pytest.raises(IntakeError, match="cannot be listed"):
        rig.reader.prices("A", MOMENT, END)
    frame = rig.reader.prices("A", MOMENT, END, partial=True)
    assert (minutes(frame), tiers(frame)) == ([0], ["intake"])


def test_the_newest_version_wins_without_the_archive(readers: Readers) -> None:
    """What was drained and archived long ago still stands in its journal, and is older than a file that waits."""
    rig = readers.rig
    rig.store.record_trades([fill("o1", "e1", commission=Decimal(1))])
    rig.snapshot(TRADE)
    rig.load(TRADE)
    bring(rig, Model(TRADE), fill("o1", "e1", commission=Decimal(2)))
    for reader in (rig.reader, readers.no_archive):
        assert reader.trades(None, MOMENT, END, partial=True)["commission"].tolist() == [2]
    rig.store.record_trades([fill("o1", "e1", commission=Decimal(3))])
    for reader in (rig.reader, readers.no_archive):
        assert reader.trades(None, MOMENT, END, partial=True)["commission"].tolist() == [3]


def test_an_error_unless_partial(readers: Readers) -> None:
    questions: list[Callable[[MarketData], object]] = [
        lambda reader: reader.prices("A", MOMENT, END),
        lambda reader: reader.metrics("A", *DAY, "1h"),
        lambda reader: list(reader.stream("trades", None, MOMENT, END)),
        lambda reader: reader.latest(["A"]),
    ]
    for ask in questions:
        for reader in (readers.no_archive, readers.no_live, readers.neither):
            with pytest.raises((ArchiveTierError, LiveTierError), match="does not answer") as caught:
                ask(reader)
            assert "hidden" not in str(caught.value)


def test_what_the_archive_knew_is_never_partial(readers: Readers) -> None:
    spread(readers.rig)
    known = readers.no_live.prices("A", MOMENT, END, as_of=datetime.now(MOMENT.tzinfo))
    assert (minutes(known), known.attrs["missing"]) == ([0, 1], ())
    with pytest.raises(ArchiveTierError, match="does not answer"):
        readers.no_archive.prices("A", MOMENT, END, as_of=MOMENT, partial=True)


def test_streams_say_it_too(readers: Readers) -> None:
    spread(readers.rig)
    frames = list(readers.no_archive.stream("price", "A", MOMENT, END, rows=3, partial=True))
    assert [minutes(frame) for frame in frames] == [[0, 1, 2], [3, 4]]
    assert [tiers(frame) for frame in frames] == [["archive"]] * 2
    (frame,) = readers.no_archive.stream("price", "none", MOMENT, END, partial=True)
    assert (len(frame), tiers(frame)) == (0, ["archive"])
    (table,) = readers.no_live.stream("price", "A", MOMENT, END, partial=True, format="arrow")
    assert [text[:5] for text in json.loads(table.schema.metadata[b"missing"])] == ["live:"]


def test_latest_from_what_there_is(readers: Readers) -> None:
    spread(readers.rig)
    assert trim_drained(readers.rig.client, readers.rig.intake, PRICE).removed
    for who, minute, missing in (("no_live", 3, ["live"]), ("neither", 3, ["archive", "live"]), ("no_archive", 4, [])):
        frame = getattr(readers, who).latest(["A"], partial=True)
        assert (minutes(frame), tiers(frame)) == ([minute], missing)
