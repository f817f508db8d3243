"""Files whose times are numbers in more than one unit."""

import re
import shlex
from pathlib import Path

from trading_data.datasets import PRICE
from trading_data_tests.cli.test_import_texts import BOTH, HEADER, LINES, SECONDS, in_the_archive, run
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
