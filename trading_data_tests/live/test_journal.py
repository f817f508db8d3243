"""The archiver's reading: in order, complete, and never so much at once that other clients wait; invariant 8."""

import threading

from trading_data.live.connection import connect
from trading_data.live.journal import BEGINNING, EntryId, ReadRange, entries_at, find_keys, inspect, read
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
        ReadRange(name, BEGINNING, info.last, info.length) for name, info in inspect(rig.client, journals).items()
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


def test_an_anchor_is_shown_with_its_journal_or_looked_for(rig: Rig) -> None:
    for at in (1, 2, 3):
        rig.client.xadd("journal:price:A", {"n": str(at), "m": ""}, id=f"{at}-0")
    for at in (1, 2, 3, 4):
        anchor = {"journal:price:A": EntryId(at, 0)}
        infos = inspect(rig.client, ["journal:price:A"], anchor)
        fields = [b"n", str(at).encode(), b"m", b""]
        assert infos["journal:price:A"].anchor == ((EntryId(at, 0), fields) if at in (1, 3) else None)
        found = entries_at(rig.client, anchor, infos)
        assert found == entries_at(rig.client, anchor) == ({} if at == 4 else {"journal:price:A": fields})


def test_what_is_shown_of_another_anchor_is_not_taken_for_one(rig: Rig) -> None:
    for at in (1, 2):
        rig.client.xadd("journal:price:A", {"n": str(at)}, id=f"{at}-0")
    infos = inspect(rig.client, ["journal:price:A"], {"journal:price:A": EntryId(2, 0)})
    assert entries_at(rig.client, {"journal:price:A": EntryId(1, 0)}, infos) == {"journal:price:A": [b"n", b"1"]}
