"""Text from anybody, and numbers of things."""

import pytest

from trading_data.operations.health.metric import Figures, Metric
from trading_data.operations.health.thresholds import Threshold, judge
from trading_data.printable import counted, noun, printable


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 batches wait"), (1, "1 batch waits"), (2, "2 batches wait"), (1234, "1,234 batches wait")],
)
def test_the_words_go_with_the_number(number: int, said: str) -> None:
    assert counted(number, "batch waits", "batches wait") == said


def test_most_nouns_take_an_s() -> None:
    assert (counted(1, "row"), counted(0, "row"), noun(1, "is", "are"), noun(3, "is", "are")) == (
        "1 row",
        "0 rows",
        "is",
        "are",
    )


def test_findings_choose_their_words_by_the_figure() -> None:
    rule = Threshold("key", "a.b", "{value} {subject} {many:entry waits/entries wait}", "do", above=0)
    figures = Figures(tuple(Metric("a.b", float(number), "count", f"of{number}") for number in (1, 2)))
    said = [verdict.message for verdict in judge([rule], figures)]
    assert sorted(said) == ["1 of1 entry waits", "2 of2 entries wait"]


def test_control_characters_are_shown() -> None:
    assert printable("a\x1b[31m") == "a\\x1b[31m"
