"""Figures in words: every one that is declared has a sentence, and no text that people read has a key in it."""

import re
from collections.abc import Iterator

import pytest

from trading_data.operations.health.collect import measure_all
from trading_data.operations.health.meanings import FIGURES
from trading_data.operations.health.metric import Figures, Metric
from trading_data.operations.health.rules import BACKUPS, REDIS_CHECKS, THRESHOLDS, TIMESCALE_CHECKS
from trading_data.operations.health.thresholds import as_text, condition, judge, label, sentence
from trading_data.orchestration.build import build_defs
from trading_data.orchestration.health_checks import results
from trading_data.times import now
from trading_data_tests.rig import Rig

KEY = re.compile(r"(redis|timescale|flow|dagster)\\.[a-z_]|[{}]|\\b[a-z]+_[a-z_]+\\b")
"""A figure's name, a place that was not filled, a word in the form of a name."""
NAMES = {"max_connections", "shared_buffers", "price_data"}
"""Words of that form that are the servers' settings, and the object of these tests."""


def keys_in(text: str) -> list[str]:
    return [found[0] for found in KEY.finditer(text) if found[0] not in NAMES]


def texts() -> Iterator[str]:
    """All that is said of a figure: well, wrong, unknown, in a plot, and on a check's page."""
    for name, meaning in FIGURES.items():
        yield meaning.help
        yield label(name)
        for value in (0.0, 1.0, 12_345.6, 0.25, -400.0, None):
            for subject in ("price_data", ""):
                yield sentence(Metric(name, value, meaning.unit, subject, "the server does not say"))
    for threshold in (*THRESHOLDS, *BACKUPS):
        beyond = threshold.above + 1 if threshold.above is not None else (threshold.below or 0.0) - 1
        unit = FIGURES[threshold.figure].unit
        (found,) = judge(
            [threshold], Figures((Metric(threshold.figure, beyond, unit, threshold.subject or "price_data"),))
        )
        yield found.message
    for keys in (*REDIS_CHECKS.values(), *TIMESCALE_CHECKS.values()):
        yield condition([threshold for threshold in THRESHOLDS if threshold.key in keys])


def test_no_text_shows_a_key() -> None:
    said = list(texts())
    assert len(said) > 1000
    assert [(text, keys_in(text)) for text in said if keys_in(text) or "  " in text or not text.strip()] == []


def test_every_figure_that_is_measured_or_judged_has_its_words(rig: Rig) -> None:
    measured = measure_all(rig.client, rig.archive, rig.intake, now(), sizes=True)
    judged = {one.figure for one in (*THRESHOLDS, *BACKUPS)}
    assert {one.name for one in measured} | judged <= set(FIGURES)
    together = measured.together()
    for asset, checks in (("redis_health", REDIS_CHECKS), ("timescale_health", TIMESCALE_CHECKS)):
        for result in results(asset, checks, together):
            assert keys_in((result.description or "").replace("`", "").partition("Run ")[0]) == []


def test_no_check_of_any_asset_is_described_by_a_key() -> None:
    described = {
        spec.name: spec.description or ""
        for checks in (build_defs().resolve_all_asset_specs() and build_defs().asset_checks) or ()
        for spec in checks.check_specs
    }
    assert described
    assert [(name, text) for name, text in described.items() if not text or KEY.search(text)] == []


@pytest.mark.parametrize(
    ("name", "value", "subject", "said"),
    [
        ("flow.archived.age", 125.0, "price", "the newest price row in the archive is 2 min old"),
        ("timescale.disk.free_ratio", 0.07, "", "7 % of the archive's disk is free"),
        ("flow.quarantine.waiting", 1.0, "trade", "1 rejected trade entry waits for a decision"),
        ("flow.quarantine.waiting", 2000.0, "trade", "2,000 rejected trade entries wait for a decision"),
        ("redis.aof.on", 0.0, "a:7000", "the live tier a:7000 keeps no append-only file"),
    ],
)
def test_the_sentences(name: str, value: float, subject: str, said: str) -> None:
    assert sentence(Metric(name, value, FIGURES[name].unit, subject)) == said


def test_what_is_below_its_limit_says_limit_and_number() -> None:
    (found, *_) = judge(THRESHOLDS, Figures((Metric("timescale.disk.free_ratio", 0.07, "ratio"),)))
    assert found.message.startswith("free space on the archive's disk is below 10 % (now 7 %)")


def test_numbers() -> None:
    shown = [as_text(*one) for one in ((0.027, "ratio"), (1.5, "ratio"), (7200.0, "s"), (-300.0, "s"), (5.0, "per s"))]
    assert shown == ["2.7 %", "150 %", "2 h", "-5 min", "5 per s"]
