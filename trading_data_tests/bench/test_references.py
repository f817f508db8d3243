"""References stay as they were settled, and independent of the product."""

import ast
import subprocess
from pathlib import Path

import pytest

from trading_data.bench.references import blob, settled
from trading_data.bench.registry import promises

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "trading_data/bench/references"
FILES = sorted(path.name for path in (ROOT / FOLDER).glob("*.py") if path.name != "__init__.py")


def test_a_changed_reference_has_an_entry_with_its_reason() -> None:
    newest = {entry["file"]: entry for entry in settled()}
    assert {file: newest[file]["blob"] for file in FILES} == {file: blob(file) for file in FILES}
    assert all(entry["reason"].endswith(".") and entry["commit"] for entry in settled())


@pytest.mark.parametrize("entry", settled(), ids=lambda entry: f"{entry['file']}-{entry['blob'][:7]}")
def test_the_commit_that_an_entry_names_brought_its_content(entry: dict[str, str]) -> None:
    found = git("log", "--format=%s", f"--find-object={entry['blob']}", "--", f"{FOLDER}/{entry['file']}")
    if entry["commit"] not in git("log", "--format=%s"):
        pytest.skip("this history does not have the commit")
    assert entry["commit"] in found


def git(*arguments: str) -> list[str]:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return done.stdout.splitlines()


@pytest.mark.parametrize("file", FILES)
def test_a_reference_imports_nothing_of_the_product(file: str) -> None:
    tree = ast.parse((ROOT / FOLDER / file).read_text(encoding="utf-8"))
    froms = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    own = [name for name in froms + names if name.startswith("trading_data")]
    assert [name for name in own if not name.startswith("trading_data.bench.references.")] == []


def test_every_reference_file_that_a_promise_names_is_there() -> None:
    assert {promise.settled for promise in promises().values()} - {""} <= set(FILES)
