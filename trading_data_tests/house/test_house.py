"""The plan of the house: wings in one order, no circles, no file too long, and pages that name files which are there."""

import re
from pathlib import Path

import pytest

from trading_data.archive.sql import statements
from trading_data_tests.house.measures import PACKAGE, WORDS, circles, imports, modules, repeated_class_names

ROOT = Path(__file__).resolve().parents[2]
MODULES = modules(ROOT)
SHARED = {"collector", "errors", "times", "printable", "kill_points", "files", "retry", "first_day", "settings", ""}
WINGS = [
    "datasets",
    "live",
    "intake",
    "archive",
    "sources",
    "calendars",
    "reader",
    "analytics",
    "local",
    "operations",
    "orchestration",
    "definitions",
    "bench",
    "cli",
]


def test_every_module_has_a_wing_or_serves_all() -> None:
    assert {module.wing for module in MODULES.values()} == SHARED | set(WINGS)


@pytest.mark.parametrize("wing", WINGS)
def test_imports_run_one_way(wing: str) -> None:
    above = set(WINGS[WINGS.index(wing) + 1 :])
    upwards = {
        (module.name, imported)
        for module in MODULES.values()
        if module.wing == wing
        for imported in imports(module, MODULES)
        if MODULES[imported].wing in above
    }
    assert not upwards


def test_what_serves_all_imports_no_wing() -> None:
    upwards = {
        (module.name, imported)
        for module in MODULES.values()
        if module.wing in SHARED - {""}
        for imported in imports(module, MODULES)
        if MODULES[imported].wing not in SHARED
    }
    assert not upwards


def test_no_modules_import_each_other() -> None:
    assert circles(MODULES) == []


def test_no_file_is_longer_than_400_lines() -> None:
    assert [module.name for module in MODULES.values() if module.lines > 400] == []


def test_every_statement_is_used() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / PACKAGE).rglob("*.py"))
    assert [name for name in statements() if f'"{name}"' not in source] == []
    files = sorted((ROOT / "sql" / "statements").glob("*.sql"))
    assert [file.name for file in files if not file.read_text(encoding="utf-8").startswith("-- name: ")] == []


def test_no_instance_of_dagster_leaves_statistics_in_the_home_of_the_user() -> None:
    made = {
        path.name
        for folder in (PACKAGE, f"{PACKAGE}_tests")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"local_temp\(|instance_for_test\(", path.read_text(encoding="utf-8"))
    }
    assert made == {"rig.py", "test_backfills.py"}  # `local_instance` and Dagster's `instance_for_test` switch them off


def test_a_class_name_has_one_meaning() -> None:
    assert repeated_class_names(MODULES) == {}


def test_no_name_is_a_word_that_says_nothing() -> None:
    used = {(module.name, name) for module in MODULES.values() for name in module.identifiers() if name in WORDS}
    assert used == {("trading_data.intake.state.document", "found")}  # a field of stored documents


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_files_that_a_page_names_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(rf"`({PACKAGE}(?:_tests)?/[\w/]+(?:\.py)?)/?`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_page_on_architecture_has_the_wings_in_their_order() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)
    assert rows == [wing for wing in WINGS if wing != "definitions"]
