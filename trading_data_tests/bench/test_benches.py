"""Each bench runs once at a tiny scale, and its entries are complete. No speed is judged."""

import json
import math
import os
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trading_data.bench import registry
from trading_data.bench.measure import Bench, BenchPlan, Outcome, Promise, RatioTarget, Spread
from trading_data.bench.registry import BENCHES, chosen, run_one
from trading_data.bench.report import read, save
from trading_data.bench.servers import BenchRig
from trading_data.cli.bench import bench_command
from trading_data.errors import BadInput, ServerError
from trading_data_tests.bench.examples import entry
from trading_data_tests.rig import Rig

TINY = BenchPlan(scale=0.001, repeat=1)
FULL = "TRADING_DATA_TEST_FULL"
LONG = ("backfill", "compress", "growth", "startup", "idle")
"""Several runs of Dagster, or the whole system: in the long form only."""
KEYS = set(entry())


@pytest.mark.parametrize("name", [name for name in BENCHES if os.environ.get(FULL) or name not in LONG])
def test_a_bench_runs_and_has_a_ratio_for_each_promise(rig: Rig, name: str) -> None:
    scratch = BenchRig(rig.settings)
    ran = run_one(BENCHES[name], scratch, TINY)
    scratch.close()
    assert ran.failed == ""
    assert [entry["name"] for entry in ran.entries] == [promise.name for promise in BENCHES[name].promises]
    for document, promise in zip(json.loads(json.dumps(ran.entries)), BENCHES[name].promises, strict=True):
        assert set(document) == KEYS
        assert math.isfinite(document["ratio"]["median"])
        assert document["ratio"]["samples"] == document["conditions"]["repetitions"] == 1
        assert (document["met"] is None) is (promise.target is None)
        assert document["size"]
        assert document["settings"]["archive"]["fsync"] in ("on", "off")


def test_all_targets_of_the_table_are_declared() -> None:
    targets = {
        promise.name: promise.target and str(promise.target) for bench in BENCHES.values() for promise in bench.promises
    }
    assert targets == {
        "archive": "≥ 0.8",
        "archive-parallel": "≥ 1.2",
        "archive-script": "≥ 2",
        "replay": "≤ 0.5 and ≤ 5 bytes of log a row",
        "live-latency-get": "≤ 3 at ≥ 0.8 of the rate",
        "live-latency-write": "≤ 3 at ≥ 0.8 of the rate",
        "late-row": "≤ 1.5",
        "late-row-symbols": "≤ 1.1",
        "backfill": "≤ 1.15",
        "read-year": "≤ 1",
        "read-day-all": "≤ 1.3",
        "read-day": "≤ 1.3",
        "read-waiting": "≤ 1.2",
        "read-latest": "≤ 1 and ≤ 5 ms",
        "read-latest-archive": "≤ 2 and ≤ 10 ms",
        "write": "≥ 0.5",
        "memory": "≤ 1.1",
        "compress": "≤ 1.2",
        "startup": "≤ 2.5",
        "idle": None,
        "growth-archive": "≤ 1.1",
        "growth-archive-symbols": "≤ 1.1",
        "growth-read": "≤ 1.1",
        "growth-status": "≤ 1.1",
    }


def test_a_target_is_met_on_its_own_side() -> None:
    assert [RatioTarget("at least", 2).met_by(ratio) for ratio in (1.9, 2.0)] == [False, True]
    assert [RatioTarget("above", 2).met_by(ratio) for ratio in (2.0, 2.1)] == [False, True]
    assert [RatioTarget("at most", 2).met_by(ratio) for ratio in (2.0, 2.1)] == [True, False]


def test_names_of_promises_mean_their_bench() -> None:
    assert [bench.name for bench in chosen(["write", "read-year", "read"])] == ["read", "write"]
    assert chosen([]) == list(BENCHES.values())
    with pytest.raises(BadInput, match="there is no bench 'nonsense'; there are archive, "):
        chosen(["nonsense"])


def made_up(ratio: float, *, also: bool = True) -> Bench:
    def run(_: BenchRig, plan: BenchPlan) -> dict[str, Outcome]:
        plan.say("at it")
        if ratio < 0:
            raise ServerError("it is\n  away")
        return {"made-up": Outcome(Spread.of([ratio]), "nothing", also=also)}

    return Bench("made-up", (Promise("made-up", "nothing", "nothing", RatioTarget("at least", 1)),), run)


def test_a_further_condition_counts(rig: Rig) -> None:
    scratch = BenchRig(rig.settings)
    met = [
        run_one(bench, scratch, TINY).entries[0]["met"] for bench in (made_up(2), made_up(2, also=False), made_up(0.5))
    ]
    assert met == [True, False, False]


def invoked(*options: str) -> Result:
    return CliRunner().invoke(bench_command, options)


def test_the_command_exits_by_what_could_not_be_run_and_not_by_targets(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "report.json"
    monkeypatch.setattr(registry, "serve", lambda *_: nullcontext(BenchRig(rig.settings)))
    monkeypatch.setitem(BENCHES, "made-up", made_up(0.5))
    done = invoked("made-up", "--json", str(file))
    assert done.exit_code == 0
    assert "missed" in done.output
    assert [entry["met"] for entry in read(file)] == [False]

    monkeypatch.setitem(BENCHES, "made-up", made_up(-1))
    done = invoked("made-up")
    assert done.exit_code == 1
    assert "made-up could not run: it is away" in done.output


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        (["nonsense"], "there is no bench 'nonsense'"),
        (["--scale", "0"], "0"),
        (["--repeat", "0"], "0"),
        (["--page", "page.md", "write"], "takes no NAME"),
    ],
)
def test_wrong_usage(options: list[str], printed: str) -> None:
    done = invoked(*options)
    assert done.exit_code == 2
    assert printed in done.output


def test_a_page_is_made_from_the_reports_in_its_folder(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    assert "has no report" in str(invoked("--page", str(page)).exception)
    page.with_suffix("").mkdir()
    for name in ("native", "embedded"):
        save([entry()], page.with_suffix("") / f"{name}.json")
    assert invoked("--page", str(page)).exit_code == 0
    assert page.read_text(encoding="utf-8").count("## Measured:") == 2


def test_figures_of_another_scale_are_not_mixed(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    save([entry()], report)
    done = invoked("write", "--scale", "0.5", "--json", str(report))
    assert (done.exit_code, read(report)) == (2, [entry()])
    assert "figures of another scale" in done.output
