"""Each bench runs once at a tiny scale, and its entries are complete. No speed is judged."""

import json
import math
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trading_data.bench.measure import Bench, BenchPlan, Outcome, Promise, Ratio, RatioTarget
from trading_data.bench.registry import BENCHES, chosen, run_one
from trading_data.bench.report import read, save
from trading_data.bench.servers import BenchRig
from trading_data.cli.bench import bench_command
from trading_data.errors import BadInput, ServerError
from trading_data_tests.bench.examples import entry
from trading_data_tests.rig import Rig

TINY = BenchPlan(scale=0.001, repeat=1)
OWN = [name for name, bench in BENCHES.items() if bench.own_servers]
FULL = "TRADING_DATA_TEST_FULL"
LONG = ("backfill", "compress", "growth")
"""Several Dagster runs each: in the long form only."""
KEYS = {
    "name",
    "ratio",
    "target",
    "met",
    "measures",
    "reference",
    "figures",
    "versions",
    "machine",
    "conditions",
    "at",
}


@pytest.mark.parametrize(
    "name", [name for name in BENCHES if name not in OWN and (os.environ.get(FULL) or name not in LONG)]
)
def test_a_bench_runs_and_has_a_ratio_for_each_promise(rig: Rig, name: str) -> None:
    scratch = BenchRig(rig.settings)
    ran = run_one(BENCHES[name], scratch, TINY)
    scratch.close()
    look(ran.bench, ran.entries, ran.failed)
    assert {"live", "archive"} <= set(ran.entries[0]["versions"])


@pytest.mark.skipif(not os.environ.get(FULL), reason=f"starts the whole system; set {FULL}=1")
@pytest.mark.parametrize("name", OWN)
def test_a_bench_of_the_whole_system_runs(name: str) -> None:
    ran = run_one(BENCHES[name], None, BenchPlan(scale=0.05, repeat=1))
    look(ran.bench, ran.entries, ran.failed)


def look(bench: Bench, entries: list[dict[str, object]], failed: str) -> None:
    assert failed == ""
    assert [entry["name"] for entry in entries] == [promise.name for promise in bench.promises]
    for document, promise in zip(json.loads(json.dumps(entries)), bench.promises, strict=True):
        assert set(document) == KEYS
        assert math.isfinite(document["ratio"])
        assert (
            document["ratio"] > 0 or promise.name == "backfill"
        )  # a difference of two runs: at this size mostly noise
        assert document["target"] == (None if promise.target is None else str(promise.target))
        assert (document["met"] is None) is (promise.target is None)
        assert document["figures"]["ratio"]["samples"] == 1
        assert document["conditions"]["repetitions"] == 1


def test_all_targets_of_the_table_are_declared() -> None:
    targets = {
        promise.name: promise.target and str(promise.target) for bench in BENCHES.values() for promise in bench.promises
    }
    assert targets == {
        "archive": "≥ 0.8",
        "archive-to-sql": "≥ 6",
        "archive-on-conflict": "≥ 2",
        "archive-parallel": "> 1",
        "live-latency": "≤ 3 at ≥ 0.8 of the rate",
        "reload": "≤ 0.8 and ≤ 5 bytes of log a row",
        "late-row": "≤ 2",
        "backfill": "≤ 1.5",
        "backfill-in-sql": None,
        "read-two-tiers": "≤ 2",
        "read-year": "≤ 1.5",
        "read-latest": "≤ 1.5",
        "write": "≥ 0.4",
        "memory": "≤ 1.2",
        "compress": "≤ 1.2",
        "startup": "≤ 2.5",
        "idle": None,
        "growth-archive": "≤ 1",
        "growth-archive-symbols": "≤ 1",
        "growth-read": "≤ 1",
        "growth-status": "≤ 1",
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
        return {"made-up": Outcome(Ratio.alone(ratio), also=also)}

    return Bench(
        "made-up", (Promise("made-up", "nothing", "nothing", RatioTarget("at least", 1)),), run, own_servers=True
    )


def test_a_further_condition_counts() -> None:
    met = [run_one(bench, None, TINY).entries[0]["met"] for bench in (made_up(2), made_up(2, also=False), made_up(0.5))]
    assert met == [True, False, False]


def invoked(*options: str) -> Result:
    return CliRunner().invoke(bench_command, options)


def test_the_command_exits_by_what_could_not_be_run_and_not_by_targets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "report.json"
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
        (["--page", "page.md"], "go together"),
        (["--page", "page.md", "--from", "a.json", "write"], "take no NAME"),
    ],
)
def test_wrong_usage(options: list[str], printed: str) -> None:
    done = invoked(*options)
    assert done.exit_code == 2
    assert printed in done.output


def test_a_page_is_made_from_files(tmp_path: Path) -> None:
    report, page = tmp_path / "report.json", tmp_path / "page.md"
    save([entry()], report)
    done = invoked("--page", str(page), "--from", str(report), "--from", str(report))
    assert done.exit_code == 0
    assert page.read_text(encoding="utf-8").count("## Measured on") == 2
