"""The table, the JSON and the page."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from trading_data.bench.report import bar, page, read, save, show, verdict
from trading_data.errors import BadInput
from trading_data_tests.bench.examples import entry


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(0.4, "██████      ┃"), (0.8, "████████████┃"), (1.2, "████████████╋█████"), (9.0, "████████████╋██████████▶")],
)
def test_a_bar_has_its_target_in_the_middle(ratio: float, expected: str) -> None:
    assert bar(entry(ratio=ratio)) == expected


def test_a_bar_without_a_target_has_no_mark() -> None:
    assert bar(entry(ratio=1.0, target=None)) == "████████████"


def shown(terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=160, no_color=True)
    entries = [entry(), entry("read-year", 1.25, "≤ 1.5", met=True), entry("idle", 0.04, None)]
    show(entries, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_plain_lines_elsewhere_than_on_a_terminal() -> None:
    lines = shown(terminal=False).splitlines()
    assert [line.split()[0] for line in lines] == ["archive", "read-year", "idle"]
    assert "0.5  ≥ 0.8" in lines[0]
    assert [word for line in lines for word in line.split() if word in ("met", "missed", "reported")] == [
        "missed",
        "met",
        "reported",
    ]


def test_a_table_on_a_terminal() -> None:
    output = shown(terminal=True)
    assert "0.45–0.55" in output
    assert "what it is measured against" in output
    assert "┃" in output


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    save([entry()], file)
    assert read(file) == [entry()]
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"name": "archive"}]'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(text)
    with pytest.raises(BadInput, match="not a report of `trading-data bench --json`"):
        read(file)


def test_the_page_puts_reports_side_by_side_and_says_when_and_on_what() -> None:
    own = {"live": "Valkey 9.1.2", "archive": "TimescaleDB 2.23.0 on PostgreSQL 17.5"}
    embedded = entry(
        ratio=0.9,
        met=True,
        versions={"trading_data": "0.1.0", **own},
        conditions={**entry()["conditions"], "servers": {"live": "embedded", "archive": "embedded"}, "scale": 0.1},
        at="2026-11-23T11:00:00+00:00",
    )
    curve = [{"times": 10, "entries": 5000, "seconds": {"median": 0.5, "lower_quartile": 0.4, "upper_quartile": 0.6}}]
    growth = entry("growth-archive", 0.7, "≤ 1", met=True, figures={**entry()["figures"], "curve": curve})
    output = page([[entry(), growth], [embedded]])
    lines = output.splitlines()
    assert lines[0] == "# Performance"
    (ratios,) = [line for line in lines if line.startswith("| `archive` | ≥ 0.8")]
    assert ratios == "| `archive` | ≥ 0.8 | 0.5 (0.45–0.55) missed | **0.9 (0.85–0.95)** |"
    assert "| `growth-archive` | ≤ 1 | **0.7 (0.45–0.55)** | – |" in lines
    assert "## Measured on given by URL: Redis 7.0.15, TimescaleDB 2.29.2 on PostgreSQL 18.6" in lines
    assert "## Measured on embedded: Valkey 9.1.2, TimescaleDB 2.23.0 on PostgreSQL 17.5" in lines
    assert "- When: 2026-11-23T11:00:00+00:00 to 2026-11-23T11:00:00+00:00." in lines
    assert "- Conditions: scale 0.1, 5 repetitions, load of the machine before each bench 0.4 to 0.4." in lines
    assert "| entries | 1,000,000 |" in lines
    assert "| 10× | 5,000 | 0.5 (0.4–0.6) |" in lines
    assert "| `archive` | what is measured | what it is measured against |" in lines


def test_a_verdict_is_met_missed_or_reported() -> None:
    assert [verdict(entry(met=met)) for met in (True, False, None)] == ["met", "missed", "reported"]
