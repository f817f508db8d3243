"""A vendor of one's own, as `docs/adding_a_vendor.md` makes one, fills a day through the backfill job."""

import re
import sys
import types
from pathlib import Path

import dagster as dg
import pytest

from trading_data.errors import SettingError
from trading_data.orchestration.build import build_defs
from trading_data.sources.vendors.choose import VENDOR, vendor_from_env
from trading_data_tests.calendars.missing_days import FIRST
from trading_data_tests.rig import Rig

PAGE = Path(__file__).resolve().parents[3] / "docs" / "adding_a_vendor.md"


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> str:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    module = types.ModuleType("a_desk_of_its_own")
    exec(compile(code, str(PAGE), "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("SHELF_SYMBOLS", "A,B")
    return f"{module.__name__}:Shelf"


def test_it_fills_a_day(rig: Rig, shelf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VENDOR, shelf)
    config = {"ops": {"price_history": {"config": {"symbols": ["A", "B", "GONE"]}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_defs().resolve_job_def("backfill_job")
        assert job.execute_in_process(instance=instance, partition_key=str(FIRST), run_config=config).success
    assert rig.query("select symbol, count(*), min(source) from price_data group by 1 order by 1") == [
        ("A", 1440, "shelf"),
        ("B", 1440, "shelf"),
    ]
    assert rig.query("select subject, outcome from archive_asked where outcome <> 'answered'") == [("GONE", "refused")]


@pytest.mark.parametrize("value", ["no_such_module_at_all:Shelf", "trading_data.sources.vendors.choose:Nobody"])
def test_one_that_cannot_be_imported_is_a_clear_error(value: str) -> None:
    with pytest.raises(SettingError, match=f"{VENDOR} is {value}, which cannot be imported"):
        vendor_from_env({VENDOR: value})
