"""`trading-data state show` as a user runs it."""

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from trading_data.cli.main import main
from trading_data.intake.state.document import Key, KeyGroup, Problem, StateSnapshot
from trading_data.intake.state.files import put_state
from trading_data.intake.store import Intake
from trading_data.live.journal import text
from trading_data_tests.cli.test_commands import run
from trading_data_tests.rig import MOMENT

AT = "2026-11-20T15:00:00Z"
Show = Callable[..., tuple[int, str, str]]


@pytest.fixture
def show(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Show:
    """`trading-data state show` in this process: exit code, standard output, standard error."""

    def called(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["trading-data", "state", "show", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, output.out, output.err

    return called


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with two states an hour apart, and no server."""
    for name in (
        "TRADING_DATA_REDIS_URL",
        "TRADING_DATA_TIMESCALE_URL",
        "DAGSTER_POSTGRES_URL",
        "TRADING_DATA_INTAKE_URI",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRADING_DATA_HOME", str(tmp_path))
    for hour, quantity in ((0, "10"), (1, "20")):
        ended = MOMENT + timedelta(hours=hour)
        kinds = (
            KeyGroup(
                "watchlist",
                "watchlist:current",
                "set",
                (Key("watchlist:current", ["[red]:smile:", "A\x1b[31m", text(b"\xff")]),),
            ),
            KeyGroup(
                "active",
                "positions:active:{symbol}",
                "hash",
                (Key("positions:active:AAPL", {"quantity": quantity}, 1500),),
            ),
            KeyGroup("signal", "signals:{signal_type}:{symbol}", "hash"),
        )
        problems = (Problem("signal", "signals:[b]:smile:\x1b", "hash", "set"),)
        put_state(
            Intake(str(tmp_path / "intake")),
            StateSnapshot(ended - timedelta(seconds=1), ended, "run-1", kinds, problems),
        )
    return tmp_path


def files(home: Path) -> list[Path]:
    return sorted(home.glob("intake/state/*/*.json"))


def test_the_newest_as_tables(home: Path) -> None:
    done = run("state", "show")
    assert (done.returncode, done.stderr) == (0, b"")
    output = done.stdout.decode()
    lines = [line.split() for line in output.splitlines()]
    assert lines[0][:4] == ["state", "of", "2026-11-20", "16:00:00.000000Z,"]
    assert ["AAPL", "1.500", "20"] in lines
    assert ["[red]:smile:"] in lines
    assert ["A\\x1b[31m"] in lines
    assert ["\\xff"] in lines
    assert "signals:{signal_type}:{symbol}: 0" in output
    assert "not in it: signals:[b]:smile:\\x1b is a set, not the hash that is declared" in output
    assert "\x1b" not in output


def test_before_a_moment_as_json(show: Show) -> None:
    for at, quantity in (("2026-11-20T16:00:00Z", "10"), ("2026-11-20T16:00:00.000001Z", "20"), ("2026-11-21", "20")):
        code, out, err = show("--at", at, "--format", "json")
        assert (code, err) == (0, "")
        document = json.loads(out)
        assert document["kinds"][1]["keys"][0]["value"] == [["quantity", quantity]]
        assert document["kinds"][0]["keys"][0]["value"][2] == {"base64": "/w=="}
        assert document["skipped"] == []


def test_a_damaged_one_is_named_and_the_one_before_shown(home: Path, show: Show) -> None:
    older, newer = files(home)
    newer.write_bytes(newer.read_bytes()[:-1])
    code, out, err = show("--format", "json")
    assert code == 0
    assert json.loads(out)["ended"] == MOMENT.isoformat()
    assert newer.name in json.loads(out)["skipped"][0]
    assert err.startswith("skipped, a newer state that cannot be read: ")
    assert (err.count(newer.name), err.count("\n")) == (1, 1)
    older.write_bytes(b"")
    code, out, err = show()
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "no state can be read" in err


@pytest.mark.parametrize(
    ("arguments", "code", "output"),
    [
        (["--at", AT], 1, "there is no state from before 2026-11-20 15:00:00.000000Z"),
        (["--at", AT], 1, "the oldest is of 2026-11-20 15:00:00.000000Z"),
        (["--at", "2026-11-20T15:00:00"], 1, "--at 2026-11-20T15:00:00 has no time zone"),
        (["--at", "noon"], 1, "--at 'noon' is not an ISO 8601 time with a zone"),
        (["--format", "csv"], 2, "is not one of"),
    ],
)
def test_exit_codes(show: Show, arguments: list[str], code: int, output: str) -> None:
    ended, out, err = show(*arguments)
    assert (ended, out) == (code, "")
    assert output in err
    assert code == 2 or err.count("\n") == 1


def test_none_at_all(home: Path, show: Show) -> None:
    for file in files(home):
        file.unlink()
    code, _, err = show()
    assert code == 1
    assert "there is no state in the intake" in err
    assert "`state_snapshot` writes them" in err
