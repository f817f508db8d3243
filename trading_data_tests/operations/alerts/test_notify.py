"""One round of telling: who fails stops nobody, what did not arrive is tried again, and it is remembered."""

import json
import stat
from pathlib import Path

import pytest

from trading_data.operations.alerts.channels import Channel
from trading_data.operations.alerts.notify import NotifierState, notify, undelivered
from trading_data.operations.alerts.state import FileMemory, StateStore, StorageMemory
from trading_data.operations.health.thresholds import Finding
from trading_data_tests.operations.alerts.receivers import Kept, error, finding
from trading_data_tests.rig import local_instance

EVERY = 1800.0


def rounds(memory: StateStore, ways: list[Channel], minute: float, *findings: Finding) -> dict[str, str]:
    return notify(memory, ways, findings, minute * 60, EVERY).failed


def test_one_channel_failing_neither_stops_the_others_nor_makes_them_repeat() -> None:
    memory, good, bad = Kept(), Kept(), Kept()
    good.name, bad.name, bad.fails = "log", "email", "nobody there"
    ways: list[Channel] = [bad, good]
    assert rounds(memory, ways, 0, finding()) == {"email": "nobody there"}
    assert good.said() == [("new", "redis_memory")]
    assert rounds(memory, ways, 1, finding()) == {"email": "nobody there"}
    assert good.said()[1:] == [("new", "alerts_undelivered.email")]
    (trouble,) = undelivered(NotifierState.load(memory.text))
    assert trouble.message == "alerts do not arrive by email, tried 2 times: nobody there"
    bad.fails = ""
    assert rounds(memory, ways, 2, finding()) == {}
    assert bad.said() == [("new", "alerts_undelivered.email"), ("new", "redis_memory")]
    assert bad.sent[0].alerts[1].since == 0.0
    rounds(memory, ways, 3, finding())
    assert bad.said()[2:] == good.said()[2:] == [("cleared", "alerts_undelivered.email")]
    assert undelivered(NotifierState.load(memory.text)) == []


def test_an_end_that_did_not_arrive_is_told_later_and_once() -> None:
    kept = Kept()
    rounds(kept, [kept], 0, finding())
    kept.fails = "slow"
    rounds(kept, [kept], 1)
    kept.fails = ""
    rounds(kept, [kept], 2)
    rounds(kept, [kept], 3)
    assert kept.said().count(("cleared", "redis_memory")) == 1


def test_a_channel_that_is_no_longer_used_is_forgotten() -> None:
    memory, one, other = Kept(), Kept(), Kept()
    other.name, other.fails = "email", "nobody there"
    rounds(memory, [one, other], 0, finding())
    rounds(memory, [one], 1, finding())
    book = NotifierState.load(memory.text)
    assert (set(book.states), book.failures) == ({"webhook"}, {})
    assert one.said() == [("new", "redis_memory")]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"states": {}}', '{"states": {"log": {"a": 1}}, "troubles": {}}'])
def test_a_memory_that_cannot_be_read_is_none(text: str) -> None:
    kept = Kept()
    kept.text = text
    rounds(kept, [kept], 0, finding())
    assert kept.said() == [("new", "redis_memory")]


def test_what_another_release_wrote_is_read() -> None:
    kept = Kept()
    rounds(kept, [kept], 0, finding())
    kept.text = kept.text.replace('"times": 1', '"times": 1, "mood": "bad"').replace(
        '"priority": 0', '"priority": 0, "hue": 3'
    )
    rounds(kept, [kept], 1, finding())
    assert kept.said() == [("new", "redis_memory")]


def test_what_was_saved_before_fields_were_renamed_is_read() -> None:
    """Nothing is sent anew, and a failure of delivery is not over."""
    of_finding = {
        "key": "redis_memory",
        "severity": "error",
        "message": "full",
        "command": "x",
        "of": "",
        "harm": 900,
        "hurts_in": 60.0,
    }
    known = {
        "finding": of_finding,
        "since": 0.0,
        "ended": None,
        "open": True,
        "told_at": 0.0,
        "told_severity": "error",
        "times": 1,
    }
    undelivered_to = {"finding": {**of_finding, "key": "alerts_undelivered.webhook", "of": "webhook"}}
    of_failure = {**known, **undelivered_to}
    states = {"log": {"redis_memory": known, "alerts_undelivered.webhook": of_failure}, "webhook": {}}
    memory, log, webhook = Kept(), Kept(), Kept()
    log.name = "log"
    memory.text = json.dumps({"states": states, "troubles": {"webhook": {"since": 0.0, "tries": 3, "said": "refused"}}})
    book = NotifierState.load(memory.text)
    assert book.failures["webhook"].message == "refused"
    restored = book.states["log"].known["redis_memory"]
    assert (restored.finding.priority, restored.finding.time_to_impact, restored.notified_at) == (900, 60.0, 0.0)
    rounds(memory, [log, webhook], 1, error())
    assert log.said() == []
    rounds(memory, [log, webhook], 31, error())
    assert ("still", "redis_memory") in log.said()


def test_a_finding_that_began_and_ended_is_sent_once_to_each_channel_that_missed_it() -> None:
    """One channel is away from minute 1 to 40; the failure of minute 2 was over at once."""
    memory, here, away = Kept(), Kept(), Kept()
    here.name = "log"

    def minute(at: float) -> None:
        def ended(since: float) -> list[Finding]:
            return [error("run")] if since < 2 * 60 <= at * 60 else []

        notify(memory, [here, away], [], at * 60, EVERY, ended=ended)

    minute(0)
    away.fails = "nobody there"
    for at in (1, 2, 3, 4, 35, 40):
        minute(at)
    assert [status for status, key in here.said() if key == "run"] == ["new", "cleared"]
    away.fails = ""
    for at in (41, 42, 43, 80):
        minute(at)
    assert [status for status, key in here.said() if key == "run"] == ["new", "cleared"]
    assert [status for status, key in away.said() if key == "run"] == ["new", "cleared"]


def test_memory_in_a_file_is_its_owners_only_and_whole(tmp_path: Path) -> None:
    memory = FileMemory(tmp_path / "home" / "alerts.json")
    assert memory.load() == ""
    memory.save("one")
    memory.save("two, which is longer")
    assert FileMemory(memory.path).load() == "two, which is longer"
    assert stat.S_IMODE(memory.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(memory.path.parent.stat().st_mode) == 0o700
    assert [one.name for one in memory.path.parent.iterdir()] == ["alerts.json"]


def test_memory_in_dagsters_own_storage(tmp_path: Path) -> None:
    with local_instance(tmp_path) as instance:
        memory = StorageMemory(instance.daemon_cursor_storage)
        assert memory.load() == ""
        memory.save("one")
        memory.save("x" * 200_000)
        assert StorageMemory(instance.daemon_cursor_storage).load() == "x" * 200_000
