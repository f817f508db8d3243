"""The pages of `docs/` whose blocks are run, in order and in one namespace."""

import re
from pathlib import Path
from typing import Any

import pytest

from trading_data_tests.rig import Rig

DOCS = Path(__file__).resolve().parents[1] / "docs"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["walkthrough.md"])
def test_a_page_runs_from_top_to_bottom(rig: Rig, page: str) -> None:
    assert rig.reader.prices(None, "2026-11-20", "2026-11-21").empty
    text = (DOCS / page).read_text(encoding="utf-8")
    namespace: dict[str, Any] = {}
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start(1))
        exec(compile("\n" * line + found[1], page, "exec"), namespace)
    for name in ("reader", "store"):
        namespace[name].close()
