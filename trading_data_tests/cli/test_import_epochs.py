"""Files that several commands read: times in more than one unit, and tries before the right options."""

import re
import shlex
from pathlib import Path

import pytest

from trading_data.datasets import PRICE
from trading_data_tests.cli.test_import_texts import BOTH, HEADER, LINES, SECONDS, in_the_archive, lines, run
from trading_data_tests.rig import Rig


def test_a_file_in_two_units_is_read_by_two_commands_in_any_order(rig: Rig, tmp_path: Path) -> None:
    """Each takes its own rows, and nothing of what the other took is changed."""
    file = tmp_path / "bars.csv"
    one, two = LINES.splitlines()
    file.write_text(f"{HEADER}\n{one.format(SECONDS[0])}\n{two.format(SECONDS[1] * 1000)}\n")
    code, output = run(["import", "prices", str(file)])
    assert code == 0, output
    assert "nothing is imported yet: the times of all 2 rows are numbers whose unit" in output
    assert output.count("which accepts this one") == 2
    assert "run these commands one after the other, each imports its own rows" in output
    commands = re.findall(r"try `trading-data ([^`]+)`", output)
    assert [command.split()[-1] for command in commands] == ["s", "ms"]
    for command in reversed(commands):
        code, output = run(shlex.split(command))
        assert code == 0, output
        assert "1 row and 1 rejected one wait in the intake" in output
        (next_command,) = re.findall(r"try `trading-data ([^`]+)`", output)
        assert next_command.count("--epoch") == 1
        rig.load(PRICE)
    assert in_the_archive(rig) == BOTH
    assert run(["quarantine", "list"]) == (0, "no entry waits in quarantine\n")


def test_a_row_of_a_file_waits_once_however_often_it_is_tried_and_no_longer_once_it_is_imported(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "bars.csv"
    content = lines("%d.%m.%Y %H:%M")
    monkeypatch.chdir(tmp_path)
    german = ["--time-format", "%d.%m.%Y %H:%M"]

    def waiting() -> list[tuple[str, str]]:
        rig.load(PRICE)
        return sorted(rig.query("select entry_id, kind from archive_quarantine where settled is null"))

    for name, options, kind in (
        (str(file), [], "not a time"),
        (str(file), [], "not a time"),
        (file.name, [], "not a time"),
        (file.name, german, "no zone"),
        (str(file), german, "no zone"),
        (str(file), [], "no zone"),
    ):
        file.write_text(content)
        assert run(["import", "prices", name, *options])[0] == 1
        assert waiting() == [("row 1", kind), ("row 2", kind)]
    file.write_text(content.replace("1200", "1201"))  # another file of that name
    assert run(["import", "prices", str(file)])[0] == 1
    assert waiting() == [("row 1", "no zone"), ("row 1", "not a time"), ("row 2", "no zone")]
    newest = run(["quarantine", "list", "--limit", "1"])[1].splitlines()
    assert "1201" in run(["quarantine", "show", newest[2].split()[0]])[1]
    assert newest[3] == "… and 2 older ones; raise --limit to see them"
    file.write_text(content)
    assert run(["import", "prices", file.name, *german, "--zone", "UTC"])[0] == 0
    assert waiting() == [("row 1", "not a time")]
    settled = (
        "select bool_and(reason like '%%; read again in batch %%') from archive_quarantine where settled = 'retried'"
    )
    assert rig.query(settled) == [(True,)]
    assert in_the_archive(rig) == BOTH
