"""Half-written files and old states: what is out of use goes, what waits or may be alive stays."""

import os
from datetime import timedelta
from pathlib import Path

from trading_data.intake.state.document import StateSnapshot
from trading_data.intake.state.files import put_state, state_files
from trading_data.intake.store import Intake
from trading_data.operations.maintenance.cleanup import Leftover, leftovers
from trading_data_tests.operations.maintenance.ages import NOW
from trading_data_tests.rig import MOMENT


def found(folder: Path) -> dict[str, Leftover]:
    intake = Intake(str(folder / "intake"))
    return {Path(leftover.name).name: leftover for leftover in leftovers(intake, str(folder / "backups"), NOW)}


def written(path: Path, hours: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    moment = (NOW - timedelta(hours=hours)).timestamp()
    os.utime(path, (moment, moment))


def test_half_written_files_go_after_a_day_and_batches_never(tmp_path: Path) -> None:
    intake, cold = tmp_path / "intake", tmp_path / "backups" / "cold"
    batch = f"{1:020d}-{'a' * 64}.parquet"
    written(intake / "price" / f".{batch}.tmp", 25)
    written(intake / "price" / f".young.{batch}.tmp", 23)
    written(intake / "price" / batch, 9000)
    written(intake / "state" / "2026-01-01" / ".old.json.tmp", 25)
    written(cold / "price_data" / ".abc.tmp", 25)
    written(cold / "price_data" / "2020-01-01.parquet", 9000)
    verdicts = found(tmp_path)
    assert {name for name, verdict in verdicts.items() if verdict.goes} == {
        f".{batch}.tmp",
        ".old.json.tmp",
        ".abc.tmp",
    }
    assert not verdicts[f".young.{batch}.tmp"].goes
    assert verdicts[f".young.{batch}.tmp"].reason.endswith("its writer may be alive")
    for verdict in verdicts.values():
        if verdict.goes:
            verdict.remove()
            verdict.remove()
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {f".young.{batch}.tmp", batch, "2020-01-01.parquet"}


def test_nothing_is_there(tmp_path: Path) -> None:
    assert found(tmp_path) == {}


def test_states_are_thinned_out(tmp_path: Path) -> None:
    intake = Intake(str(tmp_path / "intake"))
    for days, hours in ((0, 0), (30, 0), (30, 1), (31, 0), (31, 1), (31, 2), (365, 0), (366, 0), (366, 1)):
        ended = MOMENT - timedelta(days=days) + timedelta(hours=hours - 5)
        put_state(intake, StateSnapshot(ended, ended, "", ()))
    verdicts = leftovers(intake, str(tmp_path / "backups"), NOW)
    going = {Path(verdict.name).name[:16] for verdict in verdicts if verdict.goes}
    assert going == {"2026-10-20T10-00", "2026-10-20T11-00", "2025-11-19T10-00", "2025-11-19T11-00"}
    for verdict in verdicts:
        if verdict.goes:
            verdict.remove()
    assert len(state_files(intake)) == 5
    assert not (tmp_path / "intake" / "state" / "2025-11-19").exists()
    assert not any(leftover.goes for leftover in leftovers(intake, str(tmp_path / "backups"), NOW))
