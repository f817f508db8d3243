"""Every declared threshold: crossed and not, in words that hold the number and the limit, with a command that exists."""

import re
import shlex
import warnings

import click
import dagster as dg
import pytest

from trading_data.cli.main import group
from trading_data.exporter.families import FAMILIES
from trading_data.health.declared import AWAYS, OF_FRESHNESS, OF_LOST, OF_REDIS, OF_TIMESCALE, THRESHOLDS
from trading_data.health.figures import Figure, Figures
from trading_data.health.thresholds import ERROR, Threshold, as_text, judge
from trading_data.orchestration.build import build_defs


def named(one: Threshold) -> str:
    return f"{one.key}-{one.severity}-{one.of or ''}"


def beyond(one: Threshold, by: float) -> float:
    """A value that lies beyond the limit by a share of it, or within it for a negative share."""
    limit = one.above if one.above is not None else one.below
    assert limit is not None
    step = by * (abs(limit) or 1.0)
    return limit + step if one.above is not None else limit - step


@pytest.mark.parametrize("one", THRESHOLDS, ids=named)
def test_it_is_crossed_and_cleared(one: Threshold) -> None:
    unit = FAMILIES[one.figure].unit
    of = one.of or "price"
    (found,) = judge([one], Figures((Figure(one.figure, beyond(one, 0.01), unit, of),)))
    assert (found.key, found.severity, found.of) == (f"{one.key}.{of}", one.severity, of)
    assert found.harm == one.harm > 0
    assert "{" not in found.message + found.command
    for text, wanted in (("{value}", found.value), ("{limit}", found.limit)):
        assert text not in one.says or as_text(wanted, unit) in found.message
    for by in (0.0, -0.01):
        assert judge([one], Figures((Figure(one.figure, beyond(one, by), unit, of),))) == []
    assert judge([one], Figures((Figure(one.figure, None, unit, of, "not here"),))) == []
    if one.of:
        assert judge([one], Figures((Figure(one.figure, beyond(one, 0.01), unit, "other"),))) == []


def test_an_error_lies_further_on_and_harms_more_than_its_warning() -> None:
    by_key: dict[str, list[Threshold]] = {}
    for one in THRESHOLDS:
        by_key.setdefault(f"{one.key}.{one.of}", []).append(one)
    pairs = [found for found in by_key.values() if len(found) > 1]
    assert len(pairs) > 5
    for error, warning in pairs:
        assert (error.severity, warning.severity) == ("error", "warn")
        assert error.harm > warning.harm
        assert warning.crossed(beyond(error, 0.01))
        assert not error.crossed(beyond(warning, 0.01))


def test_every_threshold_is_checked_once() -> None:
    keys = [key for checks in (OF_REDIS, OF_TIMESCALE) for of_check in checks.values() for key in of_check]
    assert sorted(keys) == sorted({one.key for one in THRESHOLDS} - {one.key for one in (*OF_FRESHNESS, *OF_LOST)})


def test_every_command_exists() -> None:
    defs = build_defs()
    commands = [one.command for one in THRESHOLDS] + [one.command for one in AWAYS]
    for command in {one.format(of="price_data") for one in commands}:
        program, *words = shlex.split(command)
        if program == "trading-data":
            at: click.Command | None = group
            while isinstance(at, click.Group):
                at = at.get_command(click.Context(at), words.pop(0))
            assert at is not None, command
            at.make_context("", words)
        elif program == "dagster":
            check_dagster(defs, command, words)
        else:
            assert program in ("redis-cli", "psql")


def check_dagster(defs: dg.Definitions, command: str, words: list[str]) -> None:
    if words[:2] == ["job", "execute"]:
        assert defs.resolve_job_def(words[words.index("-j") + 1])
    elif words[:2] == ["sensor", "start"]:
        assert defs.resolve_sensor_def(words[2])
    else:
        assert words[:2] == ["asset", "materialize"]
        with warnings.catch_warnings():  # the parser swallows what a warning raises
            warnings.simplefilter("ignore", dg.BetaWarning)
            selection = dg.AssetSelection.from_coercible([words[words.index("--select") + 1]])
        chosen = {key.to_user_string() for key in selection.resolve(defs.resolve_asset_graph())}
        assert {"price_snapshot", "price_data", "metrics_data"} <= chosen, command
    if "-m" in words:
        assert words[words.index("-m") + 1] == "trading_data.definitions"


def test_severities_and_keys_are_plain() -> None:
    assert {one.severity for one in THRESHOLDS} == {"warn", ERROR}
    keys = [one.key for one in THRESHOLDS] + [one.key for one in AWAYS]
    assert all(re.fullmatch(r"[a-z_]+", key) for key in keys)
