"""What producers write in every crash test, and everything that has to be the same afterwards.

Belongs here: the entries and the picture of both tiers. Does not: cycles and kills.
"""

from collections import Counter
from typing import Any

from trading_data.archive.aggregates.compare import differences
from trading_data.archive.ledger import account as account_of
from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Dataset
from trading_data.live.journal import find_journals, inspect
from trading_data.times import DAY, day_start
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement

_COUNTS = ("inserted", "replaced", "unchanged", "quarantined", "missing")


def write(rig: Rig, chapter: int) -> None:
    """Bars of five symbols with corrections, repeats, late and broken ones; fills, two with one key, one that turns out to be of
    another day; measurements.
    """
    start = chapter * 6
    rig.store.record_prices([bar(symbol, start + minute) for minute in range(6) for symbol in "ABCDE"])
    rig.store.record_prices([bar("A", start, close=10.5), bar("A", start, close=10.5), bar("B", start - 3, close=9.5)])
    rig.store.record_prices([bar("C", start - 4000), bar("D", max(0, start - 6))])
    rig.entry("journal:price:E", {"timestamp": "soon", "chapter": chapter})
    rig.entry("journal:price:F\\", {"timestamp": "never"})
    rig.store.record_trades([fill(f"o{chapter}", f"e{chapter}"), fill(f"o{chapter}", f"x{chapter}"), fill("o0", "e0")])
    if chapter:
        rig.store.record_trades([fill(f"o{chapter - 1}", f"x{chapter - 1}", minute=24 * 60)])
    rig.store.record_metrics([measurement("m", start + minute, value=minute / 3) for minute in range(12)])
    rig.store.record_metrics([measurement("m", start, value=-1.0), measurement("n", 0, value=float(chapter))])


def picture(rig: Rig) -> dict[str, Any]:
    """Tables, quarantine, revisions and counts: all but batch numbers, times of writing and entry ids."""
    seen: dict[str, Any] = {}
    for name, dataset in DATASETS.items():
        columns = ", ".join(f'"{column}"' for column in dataset.names)
        seen[dataset.table] = rig.query(f"select {columns} from {dataset.table} order by 1, 2")
        for aggregate in dataset.aggregates:
            columns = ", ".join(f'"{column}"' for column in aggregate.columns)
            seen[aggregate.name] = rig.query(f"select {columns} from {aggregate.name} order by 1, 2, 3")
        account = rig.account(dataset)
        seen[f"{name} account"] = {count: getattr(account, count) for count in _COUNTS}
    seen["revisions"] = sorted(rig.query('select dataset, subject, "timestamp", old::text from archive_revision'))
    seen["quarantine"] = sorted(rig.query("select dataset, journal, kind, reason from archive_quarantine"))
    return seen


def unbalanced(rig: Rig) -> list[str]:
    """What does not add up after everything was archived."""
    wrong = []
    for name, dataset in DATASETS.items():
        account, ever = account_of(rig.archive, dataset, "journal"), rig.accepted(dataset)
        if account.accepted != ever:
            wrong.append(f"{name}: {ever} accepted, {account.accepted} accounted for")
        if account.offered != account.accepted + account.replayed:
            wrong.append(f"{name}: {account.offered} offered")
        start, end = day_start((MOMENT - 10 * DAY).date()), day_start((MOMENT + 10 * DAY).date())
        for aggregate in dataset.aggregates:
            wrong += differences(rig.archive, dataset, aggregate, start, end)
        if rig.intake.pending(name):
            wrong.append(f"{name}: batches wait")
    return wrong


def trimmed_early(rig: Rig, *datasets: Dataset) -> list[str]:
    """Journals from which more entries are gone than the ledger, read afterwards, has counted from them."""
    wrong = []
    for dataset in datasets or DATASETS.values():
        infos = inspect(rig.client, find_journals(rig.client, dataset))
        counted: Counter[str] = Counter()
        for (ranges,) in rig.query("select journals from archive_ledger where dataset = %s", dataset.name):
            counted.update({range_["journal"]: range_["count"] for range_ in ranges})
        for journal, info in infos.items():
            gone = info.added - info.length
            if gone > counted[ledger_name(journal)]:
                wrong.append(f"{journal}: {gone} gone, {counted[ledger_name(journal)]} archived")
    return wrong
