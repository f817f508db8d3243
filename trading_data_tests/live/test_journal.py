"""The archiver's reading: in order, complete, and never so much at once that other clients wait; invariant 8."""

import threading

from trading_data.live.connection import connect
from trading_data.live.journal import BEGINNING, EntryId, Stretch, find_keys, inspect, read
from trading_data_tests.rig import Rig, bar


def test_entry_ids_order_as_redis_orders_them() -> None:
    assert EntryId.parse("9-10") < EntryId.parse(b"10-0") < EntryId.parse("10-1")
    before = [str(EntryId.parse(one).preceding()) for one in ("9-10", "9-0", "0-1", "0-0")]
    assert before == ["9-9", f"8-{2**64 - 1}", "0-0", "0-0"]


def test_a_pipeline_asks_for_no_more_rows_than_told(rig: Rig) -> None:
    """Watched by the server itself: between two of the archiver's pipelines another client gets its turn."""
    rig.store.record_prices([bar(symbol, minute) for minute in range(40) for symbol in ("A", "B", "C")])
    journals = find_keys(rig.client, "journal:price:", "stream")
    stretches = [
        Stretch(name, BEGINNING, info.last, info.length) for name, info in inspect(rig.client, journals).items()
    ]
    watcher = connect(rig.settings.require_redis_url())
    asked: list[int] = []
    ready, done = threading.Event(), threading.Event()

    def watch() -> None:
        with watcher.monitor() as monitor:  # type: ignore[no-untyped-call]
            ready.set()
            for command in monitor.listen():
                words = command["command"].split()
                if words[0].upper() == "XRANGE":
                    asked.append(int(words[-1]))
                if words[0].upper() == "ECHO":
                    done.set()
                    return

    thread = threading.Thread(target=watch)
    thread.start()
    ready.wait(10)
    found: dict[str, int] = {}
    for reading in read(rig.client, stretches, 25):
        found[reading.journal] = found.get(reading.journal, 0) + len(reading.entries)
    rig.client.echo("over")
    assert done.wait(10)
    thread.join()
    watcher.close()
    assert found == dict.fromkeys(journals, 40)
    assert max(asked) <= 25
    assert len(asked) >= 120 // 25
