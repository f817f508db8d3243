"""What is due: told once when it begins, again after a while, at once when it is worse, once when it is over."""

import json

from hypothesis import given
from hypothesis import strategies as st

from trading_data.operations.alerts.state import CLEARED, NEW, STILL, WORSE, Alert, ChannelState, step
from trading_data.operations.health.thresholds import ERROR, WARN, Finding
from trading_data_tests.operations.alerts.receivers import error, finding

EVERY = 1800.0


class Story:
    """Steps one after the other, all delivered unless said otherwise, through JSON each time."""

    def __init__(self) -> None:
        self.state = ChannelState()

    def at(self, minute: float, *findings: Finding, delivered: bool = True, unknown: str = "") -> list[tuple[str, str]]:
        return [
            (alert.status, alert.finding.key)
            for alert in self.alerts(minute, *findings, delivered=delivered, unknown=unknown)
        ]

    def alerts(self, minute: float, *findings: Finding, delivered: bool = True, unknown: str = "") -> tuple[Alert, ...]:
        done = step(self.state, findings, minute * 60, EVERY, lambda key: key == unknown)
        after = done.delivered if delivered else done.undelivered
        self.state = ChannelState.load(json.loads(json.dumps(after.dump())))
        assert self.state == after
        return done.due


def test_told_repeated_and_cleared_once() -> None:
    story = Story()
    assert story.at(0, finding()) == [(NEW, "redis_memory")]
    assert story.at(1, finding()) == []
    assert story.at(29.9, finding()) == []
    (again,) = story.alerts(30, finding(message="fuller"))
    assert (again.status, again.times, again.since, again.finding.message) == (STILL, 2, 0.0, "fuller")
    (over,) = story.alerts(42)
    assert (over.status, over.since, over.until, over.times) == (CLEARED, 0.0, 42 * 60.0, 2)
    assert story.at(43) == []
    assert story.at(90) == []
    assert story.state == ChannelState()


def test_a_message_holds_all_that_is_due_the_worst_first_and_what_is_over_last() -> None:
    story = Story()
    story.at(0, finding("gone", priority=900))
    due = story.at(
        30,
        finding("small", priority=1),
        finding("great", priority=5),
        finding("sooner", priority=5, time_to_impact=3.0),
    )
    assert due == [(NEW, "sooner"), (NEW, "great"), (NEW, "small"), (CLEARED, "gone")]


def test_of_two_findings_with_one_key_the_more_harmful_counts() -> None:
    (told,) = Story().alerts(0, error(priority=9), finding(priority=1))
    assert told.finding.severity == ERROR


def test_what_comes_and_goes_is_told_no_more_often_than_what_stays() -> None:
    story = Story()
    told = []
    for minute in range(120):
        told += [(minute, *one) for one in story.at(minute, *([finding()] if minute % 2 == 0 else []))]
    assert [minute for minute, status, _ in told if status == NEW] == [0, 30, 60, 90]
    assert [minute for minute, status, _ in told if status == CLEARED] == [1, 31, 61, 91]


def test_a_warning_that_becomes_an_error_is_told_at_once_and_only_once() -> None:
    story = Story()
    assert story.at(0, finding()) == [(NEW, "redis_memory")]
    assert story.at(1, error()) == [(WORSE, "redis_memory")]
    assert story.at(2, finding()) == []
    assert story.at(3, error()) == []
    assert story.at(31, error()) == [(STILL, "redis_memory")]


def test_what_was_not_delivered_stays_due() -> None:
    story = Story()
    assert story.at(0, finding(), delivered=False) == [(NEW, "redis_memory")]
    (told,) = story.alerts(5, finding())
    assert (told.status, told.since) == (NEW, 0.0)
    assert story.at(6, delivered=False) == [(CLEARED, "redis_memory")]
    (over,) = story.alerts(90)
    assert (over.status, over.until) == (CLEARED, 6 * 60.0)
    assert story.at(91) == []


def test_an_end_that_nobody_heard_of_is_no_end_when_it_is_back() -> None:
    story = Story()
    story.at(0, finding())
    assert story.at(10, delivered=False) == [(CLEARED, "redis_memory")]
    assert story.at(11, finding()) == []
    (again,) = story.alerts(30, finding())
    assert (again.status, again.since) == (STILL, 0.0)


def test_what_cannot_be_judged_is_neither_over_nor_repeated() -> None:
    story = Story()
    story.at(0, finding())
    assert story.at(31, error("redis_away"), unknown="redis_memory") == [(NEW, "redis_away")]
    assert story.at(40, finding()) == [(STILL, "redis_memory"), (CLEARED, "redis_away")]


def test_a_clock_set_back_silences_nothing_for_longer_than_usual() -> None:
    story = Story()
    story.at(1_000_000, finding())
    assert story.at(10, finding()) == []
    assert story.at(40, finding()) == [(STILL, "redis_memory")]


def test_a_channel_that_is_new_is_told_since_when() -> None:
    story = Story()
    story.at(0, finding("a"), finding("b"))
    story.at(1, finding("a"))
    (told,) = step(story.state.unnotified(), [finding("a")], 120.0, EVERY).due
    assert (told.status, told.since, told.times) == (NEW, 0.0, 1)


KEYS = ("a", "b", "c")
ROUND = st.tuples(
    st.integers(1, 40),
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from([WARN, ERROR]), max_size=3),
    st.booleans(),
    st.sets(st.sampled_from(KEYS), max_size=1),
)


@given(st.lists(ROUND, max_size=60))
def test_whatever_happens(rounds: list[tuple[int, dict[str, str], bool, set[str]]]) -> None:
    """Never told twice within N but for the worse, each end told once, no end told of what was not, and JSON is enough."""
    state, now = ChannelState(), 0.0
    told_at: dict[str, tuple[float, str]] = {}
    open_keys: set[str] = set()
    for minutes, severities, delivered, unknown in rounds:
        now += minutes * 60
        found = [finding(key, severity) for key, severity in severities.items()]
        judged = unknown - severities.keys()
        done = step(state, found, now, EVERY, judged.__contains__)
        after = done.delivered if delivered else done.undelivered
        state = ChannelState.load(json.loads(json.dumps(after.dump())))
        assert state == after
        assert len({one.finding.key for one in done.due}) == len(done.due)
        expected = {key for key in open_keys if key not in severities and key not in judged}
        cleared = {one.finding.key for one in done.due if one.status == CLEARED}
        assert cleared - open_keys == set()
        assert expected <= cleared
        assert not cleared & severities.keys()
        for one in done.due:
            key, severity = one.finding.key, one.finding.severity
            if one.status == CLEARED:
                continue
            before = told_at.get(key)
            worse = before is not None and before[1] == WARN and severity == ERROR
            assert before is None or now - before[0] >= EVERY or worse
            if delivered:
                told_at[key] = (now, severity)
                open_keys.add(key)
        for key in severities:
            quiet = key in told_at and now - told_at[key][0] < EVERY
            assert quiet or not delivered or key in {one.finding.key for one in done.due}
        if delivered:
            open_keys -= cleared
