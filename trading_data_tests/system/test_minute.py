"""What `up` says once a minute."""

from trading_data.archive.ledger import account
from trading_data.datasets import DATASETS
from trading_data.system.minute import line
from trading_data_tests.rig import Rig, bar, measurement


def test_rows_archived_and_rejected_are_said_by_dataset(rig: Rig) -> None:
    def accounts() -> dict[str, object]:
        return {name: account(rig.archive, dataset) for name, dataset in DATASETS.items()}

    before = accounts()
    assert line(before, before) == "nothing new was archived"  # type: ignore[arg-type]
    rig.store.record_prices([bar("A"), bar("B")])
    rig.store.record_metrics([measurement()])
    rig.entry("journal:price:ODD", {"timestamp": "yesterday"})
    for dataset in DATASETS.values():
        rig.archive_all(dataset)
    said = line(before, accounts())  # type: ignore[arg-type]
    assert said == "rows archived: price 2, metrics 1; rejected entries: 1, see `trading-data quarantine list`"
