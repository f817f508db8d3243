"""Every declared threshold: crossed and not, in words that hold the number and the limit, with a command that exists."""

import re
import shlex

import click
import pytest

from trading_data.cli.main import group
from trading_data.operations.exporter.server import FAMILIES
from trading_data.operations.health.metric import Figures, Metric
from trading_data.operations.health.rules import (
    OF_FRESHNESS,
    OF_LOST,
    REDIS_CHECKS,
    THRESHOLDS,
    TIMESCALE_CHECKS,
    UNAVAILABLE,
)
from trading_data.operations.health.thresholds import ERROR, Threshold, as_text, command_for, judge
from trading_data.orchestration.build import build_defs


def named(threshold: Threshold) -> str:
    return f"{threshold.key}-{threshold.severity}-{threshold.subject or ''}"


def beyond(threshold: Threshold, by: float) -> float:
    """A value that lies beyond the limit by a share of it, or within it for a negative share."""
    limit = threshold.above if threshold.above is not None else threshold.below
    assert limit is not None
    step = by * (abs(limit) or 1.0)
    return limit + step if threshold.above is not None else limit - step


@pytest.mark.parametrize("threshold", THRESHOLDS, ids=named)
def test_it_is_crossed_and_cleared(threshold: Threshold) -> None:
    unit = FAMILIES[threshold.figure].unit
    subject = threshold.subject or "price"
    (found,) = judge([threshold], Figures((Metric(threshold.figure, beyond(threshold, 0.01), unit, subject),)))
    assert (found.key, found.severity, found.subject) == (f"{threshold.key}.{subject}", threshold.severity, subject)
    assert found.priority == threshold.priority > 0
    assert "{" not in found.message + found.command
    for text, wanted in (("{value}", found.value), ("{limit}", found.limit)):
        assert text not in threshold.message or as_text(wanted, unit) in found.message
    for by in (0.0, -0.01):
        assert judge([threshold], Figures((Metric(threshold.figure, beyond(threshold, by), unit, subject),))) == []
    assert judge([threshold], Figures((Metric(threshold.figure, None, unit, subject, "not here"),))) == []
    if threshold.subject:
        assert judge([threshold], Figures((Metric(threshold.figure, beyond(threshold, 0.01), unit, "other"),))) == []


def test_an_error_lies_further_on_and_harms_more_than_its_warning() -> None:
    by_key: dict[str, list[Threshold]] = {}
    for threshold in THRESHOLDS:
        by_key.setdefault(f"{threshold.key}.{threshold.subject}", []).append(threshold)
    pairs = [found for found in by_key.values() if len(found) > 1]
    assert len(pairs) > 5
    for error, warning in pairs:
        assert (error.severity, warning.severity) == ("error", "warn")
        assert error.priority > warning.priority
        assert warning.crossed(beyond(error, 0.01))
        assert not error.crossed(beyond(warning, 0.01))


def test_every_threshold_is_checked_once() -> None:
    keys = [key for checks in (REDIS_CHECKS, TIMESCALE_CHECKS) for of_check in checks.values() for key in of_check]
    assert sorted(keys) == sorted(
        {threshold.key for threshold in THRESHOLDS} - {one.key for one in (*OF_FRESHNESS, *OF_LOST)}
    )


def test_every_command_exists() -> None:
    defs = build_defs()
    commands = [threshold.command for threshold in THRESHOLDS] + [away.command for away in UNAVAILABLE]
    for command in {command.format(subject="price_data", node=" --node a:1") for command in commands}:
        program, name, *words = shlex.split(command)
        assert program == "trading-data", command
        at: click.Command | None = group.get_command(click.Context(group), name)
        while isinstance(at, click.Group):
            at = at.get_command(click.Context(at), words.pop(0))
        assert at is not None, command
        at.make_context("", list(words))
        if name == "run":
            assert defs.resolve_job_def(words[0])


def test_a_server_of_a_cluster_is_named_in_the_command() -> None:
    (one,) = [threshold for threshold in THRESHOLDS if threshold.key == "redis_no_limit"]
    assert command_for(one, "") == "trading-data redis-cli config set maxmemory 2gb"
    assert command_for(one, "10.0.0.1:7000") == "trading-data redis-cli --node 10.0.0.1:7000 config set maxmemory 2gb"


def test_severities_and_keys_are_plain() -> None:
    assert {threshold.severity for threshold in THRESHOLDS} == {"warn", ERROR}
    keys = [threshold.key for threshold in THRESHOLDS] + [away.key for away in UNAVAILABLE]
    assert all(re.fullmatch(r"[a-z_]+", key) for key in keys)
