"""The operating guide and the code say the same: every finding that can be made has its section, and no other has one."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import trading_data
from trading_data.operations.health.rules import BACKUPS, THRESHOLDS, UNAVAILABLE

PACKAGE = Path(trading_data.__file__).parent
PAGE = PACKAGE.parent / "docs" / "operating.md"


def made(path: Path) -> Iterator[str]:
    """The keys of the findings that a module makes itself, without what follows a dot; a key has to be a constant's."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [one.names for one in ast.walk(tree) if isinstance(one, ast.ImportFrom) and one.module == FORMS]
    if not any(alias.name == "Finding" for aliases in names for alias in aliases):
        return
    module = importlib.import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Finding":
            given = [keyword.value for keyword in call.keywords if keyword.arg == "key"] or call.args[:1]
            for key in given:
                first = key.values[0] if isinstance(key, ast.JoinedStr) else key
                name = first.value if isinstance(first, ast.FormattedValue) else first
                if isinstance(name, ast.Constant):
                    yield str(name.value).partition(".")[0]
                elif isinstance(name, ast.Name):
                    yield str(getattr(module, name.id))


FORMS = "trading_data.operations.health.thresholds"


def test_every_alert_has_its_section_and_every_section_its_alert() -> None:
    by_hand = {key for path in PACKAGE.rglob("*.py") for key in made(path)}
    assert {"run_failure", "check", "daemon", "alerts_undelivered", "drift"} <= by_hand
    declared = {one.key for one in (*THRESHOLDS, *BACKUPS)} | {away.key for away in UNAVAILABLE}
    page = PAGE.read_text(encoding="utf-8").partition("## Every alert")[2]
    sections = re.findall(r"^### (\S+)$", page, re.MULTILINE)
    assert len(sections) == len(set(sections))
    assert set(sections) == by_hand | declared


def test_every_section_says_something() -> None:
    page = PAGE.read_text(encoding="utf-8").partition("## Every alert")[2]
    for section in page.split("\n### ")[1:]:
        key, _, said = section.partition("\n")
        assert len(said.split()) > 10, key
