"""Batches as files: whole or not there, in order, and never other than they were written."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from trading_data.datasets import METRICS
from trading_data.errors import IntakeError
from trading_data.intake.batch import Batch, JournalRange, cut_by_days, decode, encode, schema
from trading_data.intake.store import Intake
from trading_data.times import DAY
from trading_data_tests.rig import MOMENT


def batch(value: float = 1.0, rows: int = 1) -> Batch:
    columns = {
        "metric_name": ["a"] * rows,
        "timestamp": [MOMENT + at * DAY for at in range(rows)],
        "value": [value] * rows,
        "unit": [""] * rows,
        "_journal": [0] * rows,
        "_ms": list(range(rows)),
        "_seq": [0] * rows,
        "_kind": [None] * rows,
        "_reason": [None] * rows,
        "_payload": [None] * rows,
    }
    where = JournalRange("journal:metrics", "0-0", "0-0", f"{rows - 1}-0", rows)
    moment = datetime(2026, 11, 20, 12, tzinfo=UTC)
    return Batch("metrics", "journal", moment, "run", (where,), pa.table(columns, schema=schema(METRICS)))


def test_a_batch_survives_its_file() -> None:
    one = batch()
    back = decode(encode(one), "here")
    assert back == one
    assert back.rows.num_rows == 1
    assert back.rejects.num_rows == 0


def test_batches_wait_in_the_order_of_their_writing_even_if_the_clock_steps_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = Intake(str(tmp_path / "intake"))
    first = intake.put(batch(1.0))
    monkeypatch.setattr("trading_data.intake.store.time.time_ns", lambda: 1_000)
    second = intake.put(batch(2.0))
    assert intake.pending("metrics") == [first, second]


def test_files_are_their_owners_only(tmp_path: Path) -> None:
    file = intake_file(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_half_written_file_is_no_batch(tmp_path: Path) -> None:
    file = intake_file(tmp_path)
    half = file.with_name(f".{file.name}.tmp")
    half.write_bytes(file.read_bytes()[:100])
    os.utime(half, (0, 0))
    intake = Intake(str(tmp_path / "intake"))
    assert len(intake.pending("metrics")) == 1
    intake.put(batch(2.0))
    assert not half.exists()


@pytest.mark.parametrize("at", [0, 40, -1])
def test_a_flipped_byte_is_noticed(tmp_path: Path, at: int) -> None:
    file = intake_file(tmp_path)
    data = bytearray(file.read_bytes())
    data[at] ^= 0xFF
    file.write_bytes(bytes(data))
    intake = Intake(str(tmp_path / "intake"))
    with pytest.raises(IntakeError, match="does not match the hash"):
        intake.read(intake.pending("metrics")[0])


def test_an_intake_that_is_no_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "intake").write_text("a file where a folder should be")
    with pytest.raises(IntakeError, match="cannot be listed"):
        Intake(str(tmp_path / "intake")).put(batch())


def test_a_disk_that_is_full_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on file size is what a process can be given without root; the write breaks off as on a full disk."""
    program = (
        "import resource, signal, sys\n"
        "from trading_data.intake.store import Intake\n"
        "from trading_data_tests.intake.test_store import batch\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        "try:\n    Intake(sys.argv[1]).put(batch())\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "intake")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("IntakeError the intake at")
    assert "cannot store a batch" in said
    assert list((tmp_path / "intake" / "metrics").iterdir()) == []


def test_any_fsspec_uri_will_do() -> None:
    intake = Intake("memory://trading_data_tests/intake")
    file = intake.put(batch())
    assert intake.pending("metrics") == [file]
    assert intake.read(file) == batch()
    intake.delete(file)
    intake.delete(file)
    assert intake.pending("metrics") == []
    assert intake.read(file) is None


def test_a_batch_of_many_days_is_cut() -> None:
    cuts = cut_by_days(METRICS, batch(rows=7).table, 3)
    assert cuts == [(0, 3), (3, 6), (6, 7)]
    assert cut_by_days(METRICS, batch(rows=3).table, 3) == [(0, 3)]


def intake_file(tmp_path: Path) -> Path:
    return Path(Intake(str(tmp_path / "intake")).put(batch()).path)
