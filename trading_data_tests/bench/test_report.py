"""The table, the JSON and the page."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from trading_data.bench.references import blob
from trading_data.bench.registry import promises
from trading_data.bench.report import bar, merged, page, read, save, show, verdict
from trading_data.cli.bench import page_of
from trading_data.errors import BadInput
from trading_data_tests.bench.examples import PROMISES, entry

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
FRESH: dict[str, Any] = {"settled": blob("archive.py")}


@pytest.mark.parametrize(
    ("ratio", "goal", "expected"),
    [
        (0.4, 0.8, "██████      ┃"),
        (0.8, 0.8, "████████████┃"),
        (9.0, 0.8, "████████████╋██████████▶"),
        (1.0, None, "████████████"),
        (-1.0, None, ""),
    ],
)
def test_a_bar_has_its_target_in_the_middle(ratio: float, goal: float | None, expected: str) -> None:
    assert bar(ratio, goal) == expected


def test_a_verdict_is_by_the_goal_of_today_and_the_reference_of_today() -> None:
    verdicts = [
        verdict(entry(ratio=0.8, **FRESH), PROMISES["archive"]),
        verdict(entry(ratio=0.7, met=True, **FRESH), PROMISES["archive"]),
        verdict(entry(ratio=0.9), PROMISES["archive"]),
        verdict(entry("replay", 0.4, also=False), PROMISES["replay"]),
        verdict(entry("idle"), PROMISES["idle"]),
    ]
    assert verdicts == ["met", "missed", "measured against an earlier reference", "missed", "reported"]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_table_on_a_terminal_and_plain_lines_elsewhere(terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=160, no_color=True)
    show([entry(**FRESH), entry("replay", 0.4), entry("idle", 0.04)], PROMISES, console)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert "┃" in output
    if terminal:
        assert "0.45–0.55" in output
        assert "1,000,000 entries" in output
    else:
        assert re.findall(r"(met|missed|reported) {2,}", output.replace("- ", "")) == [
            "missed",
            "met",
            "reported",
            "reported",
        ]


def test_what_is_saved_is_read_and_newer_figures_take_the_place_of_older(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    save([entry()], file)
    assert read(file) == [entry()]
    assert list(tmp_path.iterdir()) == [file]
    both = merged([entry(), entry("gone")], [entry("idle"), entry(ratio=0.9)], PROMISES)
    assert [(one["name"], one["ratio"]["median"]) for one in both] == [("archive", 0.9), ("idle", 0.5)]
    save([entry(), entry("idle", conditions={**entry()["conditions"], "scale": 0.1})], file)
    with pytest.raises(BadInput, match="several scales"):
        read(file)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"name": "archive"}]'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(text)
    with pytest.raises(BadInput, match="not a report of `trading-data bench --json`"):
        read(file)


def test_the_page_says_which_goals_hold_on_what_machine_and_settings() -> None:
    earlier = '[[figure]]\nbench = "`a`"\ngoal = "≥ 1"\nnative = "2"\nembedded = "–"\nagainst = "b"\nwhy = "c"\n'
    embedded = entry(ratio=0.9, conditions={**entry()["conditions"], "scale": 0.1, "load_before": 2.5}, **FRESH)
    lines = page(PROMISES, {"native": [entry(), entry("idle", 0.2)], "embedded": [embedded]}, earlier).splitlines()
    assert lines[0] == "# Performance"
    for line in (
        "| bench | goal | native, scale 1 | size | embedded, scale 0.1 | size |",
        "| `archive` | ≥ 0.8 | 0.5 (0.45–0.55) measured against an earlier reference | {0} | **0.9 (0.85–0.95)** | {0} |".format(
            "1,000,000 entries"
        ),
        "| `replay` | ≤ 0.5 and little log | not measured | – | not measured | – |",
        "| `idle` | reported | 0.2 (0.15–0.25) | 1,000,000 entries | not measured | – |",
        "Native: 0 of 2 goals hold. Not: `archive`, `replay`.",
        "Embedded: 1 of 2 goals hold. Not: `replay`.",
        "| `idle` | seconds of / work | one core |",
        "| `a` | ≥ 1 | 2 | – | b | c |",
        "- Settings, live: appendonly yes.",
        "- Load of the machine before each bench: 0.4 to 0.4.",
        "- Load of the machine before each bench: 2.5 to 2.5. **Others were at work on it: no figure here is to be relied on.**",
        "- Conditions: servers embedded and given by URL, scale 0.1, 5 repetitions.",
        "### `archive`: 1,000,000 entries",
        "| ratio | 0.5, from 0.4 to 0.6 in 3 repetitions |",
        "| snapshot seconds | 2.5 (2.5–2.5) |",
        "| share | up 0.25 |",
        "| storage | SQLite |",
    ):
        assert line in lines


def test_the_page_of_the_docs_is_made_from_its_reports_and_the_goals_and_references_of_today() -> None:
    assert PAGE.read_text(encoding="utf-8") == page_of(PAGE), "run `trading-data bench --page docs/performance.md`"


def test_earlier_figures_do_not_name_a_bench_that_has_none() -> None:
    assert "## Earlier figures" in PAGE.read_text(encoding="utf-8")
    assert set(promises()) <= set(re.findall(r"^\| `([\w-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
