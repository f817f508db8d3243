"""The public names are those of `docs/api.md`, and each is described."""

import inspect
import re
from pathlib import Path

import pytest

import trading_data
from trading_data import LiveStore, MarketData, analytics, calendars
from trading_data.cli.main import group

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "api.md").read_text(encoding="utf-8")


def listed(heading: str) -> set[str]:
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return set(re.findall(r"^\| `(?:trading-data )?([\w.-]+)` \|", section, re.MULTILINE))


@pytest.mark.parametrize("module", [trading_data, analytics, calendars])
def test_modules(module: object) -> None:
    name = getattr(module, "__name__")  # noqa: B009 - mypy knows no __name__ of an object
    assert listed("`from trading_data import …`" if name == "trading_data" else f"`{name}`") == set(module.__all__)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [LiveStore, MarketData])
def test_methods(kind: type) -> None:
    public = {name: one for name, one in inspect.getmembers(kind) if not name.startswith("_")}
    assert listed(f"`{kind.__name__}`") == public.keys()
    assert all(inspect.getdoc(one) for one in public.values())


def test_commands() -> None:
    assert listed("Commands") == set(group.list_commands(None))  # type: ignore[arg-type]
