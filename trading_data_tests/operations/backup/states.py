"""What the tests of this folder share: rows in every state, a picture of everything, wiping both tiers, damage to a file.

Belongs here: helpers. Does not: tests.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, cast

import pyarrow as pa

from trading_data.archive.verify.run import verify
from trading_data.datasets import DAILY, METRICS, PRICE, TRADE
from trading_data.intake.import_rows import import_rows
from trading_data.operations.backup.create import create_backup
from trading_data.operations.backup.manifest import Backup, chosen
from trading_data.operations.backup.restore import Restored, restore
from trading_data.operations.maintenance.compression import compress_aged
from trading_data.times import now
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, bar, fill, measurement

DELAY = "repl-diskless-sync-delay"


@contextmanager
def at_once(client: Any) -> Iterator[None]:
    """A server that does not wait for more replicas before it sends a snapshot."""
    before = client.config_get(DELAY)
    client.config_set(DELAY, 0)
    try:
        yield
    finally:
        client.config_set(DELAY, next(iter(before.values())))


def fill_everything(rig: Rig, days: tuple[int, ...] = (0, 3, 12, 15), minutes: int = 40) -> None:
    """Compressed and plain chunks, aggregates, a replaced row, a refused entry, trimmed journals, a waiting batch."""
    for age in days:
        start = MOMENT - timedelta(days=age)
        bars = [
            bar(s, timestamp=start + timedelta(minutes=m), close=9 + m % 7 / 4) for m in range(minutes) for s in "AB"
        ]
        rig.store.record_prices(bars)
    rig.store.record_trades([fill(f"o{number}") for number in range(9)])
    rig.store.record_metrics([measurement("m", minute, value=minute / 3) for minute in range(minutes)])
    rig.entry("journal:price:A", {"timestamp": MOMENT.isoformat(), "open": "what"})
    for dataset in (PRICE, TRADE, METRICS):
        rig.archive_all(dataset)
        list(compress_aged(rig.archive, dataset, MOMENT))
    rig.store.record_prices([bar("A", 1, close=10.5), bar("C", 2)])
    rig.archive_all(PRICE)
    names = ("open", "high", "low", "close", "volume")
    stamps = {"symbol": ["A", "B", "A"], "timestamp": [f"{year}-01-04T00:00:00Z" for year in (2010, 2010, 2026)]}
    table = pa.table({**stamps, **{name: [2.0] * 3 for name in names}, "source": ["file"] * 3})
    list(import_rows(rig.intake, DAILY, "days.csv", [table], origin="file", earliest=EARLIEST))
    rig.load(DAILY)
    state: Any = rig.client
    state.sadd("watchlist:current", "A", b"\xff\x00")
    state.zadd("candidates:ranked", {"A": 0.1, "B": -1e300, "C": 3})
    state.hset("positions:active:A", mapping={"quantity": "10", "entry_price": "11.25"})
    state.set("cache:x:1", b"\x00\xffold", px=86_400_000)
    state.rpush("somebody:list", *range(500))
    rig.store.record_prices([bar("A", 200)])
    rig.snapshot(PRICE)
    rig.store.record_prices([bar("A", 201), bar("D", 201)])


def taken(rig: Rig) -> Backup:
    """A backup of the rig."""
    made = create_backup(rig.settings.backup_uri, rig.client, rig.archive, rig.intake)
    return chosen(rig.settings.backup_uri, made.name)


def restored(rig: Rig, backup: Backup, **options: Any) -> Restored:
    """The rig restored from a backup."""
    url = rig.settings.require_timescale_url()
    return restore(backup, client=rig.client, timescale_url=url, intake=rig.intake, **options)


def wipe(rig: Rig) -> None:
    """Nothing is left of both tiers and the intake but the schema."""
    rig.clean()
    rig.query("select setval('archive_batch', 1, false)")


def picture(rig: Rig) -> dict[str, Any]:
    """Every row, every bucket, every key."""
    aggregates = [aggregate.name for dataset in rig.datasets.values() for aggregate in dataset.aggregates]
    names = [name for (name,) in rig.query("select tablename from pg_tables where schemaname = 'public'")]
    tables = {
        name: sorted(map(str, rig.query(f"select t::text from {name} as t"))) for name in sorted([*names, *aggregates])
    }
    client = cast(Any, rig.client)
    keys: dict[bytes, tuple[Any, ...]] = {}
    for key in sorted(client.scan_iter()):
        kind = client.type(key)
        if kind == b"stream":
            info = client.xinfo_stream(key)
            keys[key] = (client.xrange(key), info["last-generated-id"], info["entries-added"])
        else:
            read = {b"hash": client.hgetall, b"set": client.smembers, b"string": client.get}
            read |= {
                b"zset": lambda k: client.zrange(k, 0, -1, withscores=True),
                b"list": lambda k: client.lrange(k, 0, -1),
            }
            keys[key] = (read[kind](key), client.execute_command("PEXPIRETIME", key))
    waiting = {name: [file.name for file in rig.intake.pending(name)] for name in rig.datasets}
    chunks = rig.query(
        "select hypertable_name, range_start, is_compressed from timescaledb_information.chunks order by 1, 2"
    )
    return {"tables": tables, "keys": keys, "intake": waiting, "chunks": chunks}


def faults(rig: Rig) -> list[str]:
    """What does not balance."""
    return [one.message for one in verify(rig.client, rig.archive, rig.intake, deep=True) if not one.ok]


def accept_and_archive(rig: Rig) -> None:
    """A system that came back goes on: new and corrected rows through the whole path."""
    rig.store.record_prices([bar("A", 300), bar("A", 1, close=10.75), bar("A", -12 * 1440 + 1, close=10.25)])
    rig.store.record_metrics([replace(measurement("m"), timestamp=now())])
    for dataset in rig.datasets.values():
        rig.archive_all(dataset)


def files_of(backup: Backup) -> list[Path]:
    """All its files, the manifest too."""
    folder = Path(backup.uri) / backup.name
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name not in ("redis.json", "drill.json")
    )


@contextmanager
def damaged(path: Path, random: Random, *, cut: bool) -> Iterator[str]:
    """A file with one byte changed, or cut short, at a random place; as it was afterwards."""
    whole = path.read_bytes()
    at = random.randrange(len(whole))
    path.write_bytes(
        whole[:at] if cut else whole[:at] + bytes([whole[at] ^ random.randrange(1, 256)]) + whole[at + 1 :]
    )
    try:
        yield f"{path.name} at {at}{', cut' if cut else ''}"
    finally:
        path.write_bytes(whole)
        path.chmod(0o600)
