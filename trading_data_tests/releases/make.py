"""Keep what this release leaves behind: `python -m trading_data_tests.releases.make`, once, when it is released.

Writes a folder with the release's number: the hashes of its migrations, the rows of a small database in every state as the
release stored them, a batch of each dataset that waits in the intake, and what is in Redis.

Belongs here: writing. Does not: reading it with a later release (`test_upgrades`).
"""

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from trading_data import __version__
from trading_data.archive.schema.migrate import migrations
from trading_data.datasets import DATASETS, METRICS, PRICE
from trading_data.settings import Settings
from trading_data_tests.rig import Rig, bar, fill, measurement

HERE = Path(__file__).parent


def busy(rig: Rig) -> None:
    """Rows, a revision, quarantine, a compressed chunk, aggregates; then batches that wait, and entries in journals."""
    rig.store.record_prices([bar(symbol, minute) for symbol in "AB" for minute in range(20)])
    rig.store.record_trades([fill("o1", "e1"), fill("o1", "e2"), fill("o2", "e3", 1)])
    rig.store.record_metrics([measurement(minute=minute) for minute in range(5)])
    for dataset in DATASETS.values():
        rig.archive_all(dataset)
    rig.store.record_prices([bar("A", 0, close=11.5), bar("C", 3)])
    rig.entry("journal:price:A", {"timestamp": "x"})
    rig.archive_all(PRICE)
    rig.query("select compress_chunk(c, true) from show_chunks('price_data') as c")
    rig.store.record_prices([bar("A", minute) for minute in range(20, 25)])
    rig.entry("journal:price:B", {"timestamp": "y"})
    rig.store.record_trades([fill("o3", "e4", 2)])
    rig.store.record_metrics([measurement(minute=9)])
    for dataset in DATASETS.values():
        rig.snapshot(dataset)
    rig.store.record_metrics([measurement(minute=10)])
    rig.trim(METRICS, timedelta(hours=1))


def tables(rig: Rig) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of ours, as JSON."""
    names = [
        name
        for (name,) in rig.query(
            "select table_name from information_schema.tables where table_schema = current_schema() "
            "and table_type = 'BASE TABLE' and (table_name like 'archive\\_%%' or table_name = any(%s)) order by 1",
            [dataset.table for dataset in DATASETS.values()],
        )
        if name != "archive_migration"
    ]
    return {name: [row for (row,) in rig.query(f'select to_jsonb(t) from "{name}" t')] for name in names}


def keys(rig: Rig) -> dict[str, str]:
    """Every key of Redis as DUMP gives it, base64, and journals as their entries: DUMP depends on the server's version."""
    found: dict[str, Any] = {}
    for key in sorted(rig.client.scan_iter()):
        kind = rig.client.type(key)
        if kind == b"stream":
            entries: Any = rig.client.xrange(key)
            found[key.decode()] = {"stream": [[_text(one), [_text(part) for part in parts]] for one, parts in entries]}
        elif kind == b"hash":
            fields: Any = rig.client.hgetall(key)
            found[key.decode()] = {"hash": {_text(name): _text(value) for name, value in fields.items()}}
    return found


def _text(value: bytes) -> str:
    return value.decode()


def main() -> None:
    """Write the folder of this release."""
    folder = HERE / f"v{__version__.replace('.', '_')}"
    folder.mkdir()
    rig = Rig(Settings.from_env())
    rig.clean()
    busy(rig)
    state = {
        "version": __version__,
        "migrations": {one.name: one.sha256 for one in migrations()},
        "tables": tables(rig),
        "redis": keys(rig),
        "intake": {
            f"{name}/{Path(file.path).name}": base64.b64encode(Path(file.path).read_bytes()).decode()
            for name in DATASETS
            for file in rig.intake.pending(name)
        },
    }
    (folder / "state.json").write_text(json.dumps(state, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
