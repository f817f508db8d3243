"""Names are data: a hostile name passes through the whole path unchanged or is refused, and affects nothing else."""

from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_data import Bar, Fill, Measurement
from trading_data.cli.main import group
from trading_data.datasets import DATASETS, METRICS, PRICE, TRADE
from trading_data.errors import BadInput
from trading_data.live.channels import Update
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement

NAMES = [
    "a'b", 'a"b',
    "a''; drop table price_data; --", "'; select pg_sleep(9); --", "a\\'b", "$$a$$", "%s", "%(low)s", "{0}", "{table}",
    "{user}:1", "{}", "a{b}c", "*", "A?C", "[a-z]", "a\\*b", "^x", "a:b:c", ":", "a b", "a  b",
    "L\u202ePAA", "a\u200bb", "A\ufeffA", "é", "e\u0301", "日本", "🚀", "NULL", "null", "nan", "\\N", "\\.", "-inf", "true", "0",
    "../../etc", "/",
    "a/b", "a,b", '"', "'", "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "archive:drained:price", "journal:price:AAPL",
    "A" * 1024,
]  # fmt: skip
REFUSED = [
    "",
    " ",
    "\t",
    "a\0b",
    "\0",
    "\ud800",
    "a\nb",
    "a\r\nFLUSHALL\r\n",
    "a\tb",
    "A" * 65536,
    "é" * 40000,
    "\x1b[2J",
    " a",
    "a ",
    "\u202eLPAA",
    "\ufeffA",
    "A\u200b",
]
UNTOUCHED = "UNTOUCHED"


def _seed(rig: Rig) -> None:
    rig.store.record_prices([bar(UNTOUCHED)])
    rig.store.record_trades([fill(UNTOUCHED, symbol=UNTOUCHED)])
    rig.store.record_metrics([measurement(UNTOUCHED)])


def _records(name: str) -> tuple[Bar, Fill, Measurement]:
    return (
        bar(name, 1, source=name),
        fill(name, name, 1, symbol=name, strategy=name, source=name),
        measurement(name, 1, unit=name),
    )


def _taken(rig: Rig, name: str) -> list[str]:
    """The datasets that take a record of this name; the others refuse it with BadInput and write nothing."""
    taken = []
    for dataset, record in zip((PRICE, TRADE, METRICS), _records(name), strict=True):
        before = rig.accepted(dataset)
        try:
            rig.store.record(dataset, [record])
        except BadInput as error:
            assert str(error).endswith("nothing was written")  # noqa: PT017
            assert rig.accepted(dataset) == before
        else:
            taken.append(dataset.name)
    return taken


def _check(rig: Rig, names: list[str], dataset: str) -> None:
    declared = DATASETS[dataset]
    column = declared.key[0]
    rows = rig.query(f"select {column}, count(*) from {declared.table} group by 1")
    quarantined = rig.account(declared).quarantined
    assert dict(rows).keys() <= {*names, UNTOUCHED}
    assert sum(count for _, count in rows) + quarantined == len(set(names)) + 1
    assert dict(rows)[UNTOUCHED] == 1


def test_hostile_names_come_back_equal_or_are_refused_at_the_door(rig: Rig) -> None:
    _seed(rig)
    kept: dict[str, list[str]] = {name: [] for name in DATASETS}
    for name in [*NAMES, *REFUSED]:
        for taken in _taken(rig, name):
            kept[taken].append(name)
    assert all(set(NAMES) <= set(names) for names in kept.values())
    assert not any(set(REFUSED) & set(names) for names in kept.values())
    live = rig.reader.prices(NAMES, MOMENT, MOMENT.replace(hour=23))
    assert set(live["symbol"]) == set(NAMES)
    for dataset in DATASETS.values():
        rig.archive_all(dataset)
        _check(rig, kept[dataset.name], dataset.name)
        assert rig.account(dataset).quarantined == 0
    archived = rig.reader.prices(NAMES, MOMENT, MOMENT.replace(hour=23))
    assert set(archived["symbol"]) == set(NAMES) == set(archived["source"])
    trades = rig.reader.trades(NAMES, MOMENT, MOMENT.replace(hour=23))
    assert set(trades["order_id"]) == set(trades["strategy"]) == set(NAMES)
    metrics = rig.reader.metrics(NAMES, MOMENT, MOMENT.replace(hour=23))
    assert set(metrics["metric_name"]) == set(metrics["unit"]) == set(NAMES)
    assert set(rig.reader.latest(NAMES)["symbol"]) == set(NAMES)


@pytest.mark.parametrize("name", ["a''; drop table price_data; --", "*", "{user}:1", "%s", "L\u202ePAA"])
def test_the_query_command_takes_them_as_they_are(rig: Rig, name: str) -> None:
    _seed(rig)
    rig.store.record_prices([bar(name, 1)])
    rig.archive_all(PRICE)
    options = ["--start", "2026-11-20T00:00:00Z", "--end", "2026-11-21T00:00:00Z", "--format", "csv"]
    done = CliRunner().invoke(group, ["query", "prices", name, *options])
    assert done.exit_code == 0, done.output
    assert UNTOUCHED not in done.output
    assert len(rig.query("select from price_data")) == 2


def test_what_others_wrote_under_hostile_names_is_archived_or_shown_in_quarantine(rig: Rig) -> None:
    _seed(rig)
    fields = {"timestamp": MOMENT.isoformat(), "open": "1", "high": "1", "low": "1", "close": "1", "volume": "1"}
    hostile = [b"a\0b", b"\xff\xfe", b"", b"a\nb", b"{x}", b"'; drop table price_data; --", b"*", b"A" * 65536]
    for name in hostile:
        journal: Any = b"journal:price:" + name
        rig.entry(journal, {**fields, "source": "x"})
        rig.entry("journal:metrics", {"metric_name": name, "timestamp": MOMENT.isoformat(), "value": "1", "unit": b"u"})
        rig.entry("journal:trade", {"order_id": name, "symbol": name, "strategy": name})
    for dataset in DATASETS.values():
        rig.archive_all(dataset)
        counts = rig.account(dataset)
        assert counts.inserted + counts.quarantined == len(hostile) + 1
        count = f"select count(*) from {dataset.table} where {dataset.key[0]} = %s"
        assert rig.query(count, UNTOUCHED) == [(1,)]
    numbers = [number for (number,) in rig.query("select quarantine_id from archive_quarantine order by 1")]
    assert len(numbers) >= len(hostile)
    for number in numbers:
        done = CliRunner().invoke(group, ["quarantine", "show", str(number)])
        assert done.exit_code == 0, done.output
        assert "\0" not in done.output
        assert "\x1b" not in done.output


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=30, unique=True))
def test_any_text_comes_back_equal_or_is_refused(rig: Rig, names: list[str]) -> None:
    rig.clean()
    _seed(rig)
    kept: dict[str, list[str]] = {name: [] for name in DATASETS}
    for name in names:
        for taken in _taken(rig, name):
            kept[taken].append(name)
    for dataset in DATASETS.values():
        rig.snapshot(dataset)
        rig.load(dataset)
        _check(rig, kept[dataset.name], dataset.name)


def test_a_publication_carries_them(rig: Rig) -> None:
    with rig.store.subscribe(None) as updates:
        for name in NAMES:
            rig.store.record_prices([bar(name, 1)])
            heard = updates.get(5)
            assert isinstance(heard, Update)
            assert heard.fields["symbol"] == name
