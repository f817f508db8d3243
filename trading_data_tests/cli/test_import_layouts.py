"""The layouts of vendors and programs: `import` proposes commands until the file is read, or says what a person has to correct.

Each case is the two bars of `test_import_texts`.
"""

import re
import zipfile
from datetime import datetime
from io import BytesIO
from pathlib import Path

import pytest

from trading_data.datasets import PRICE
from trading_data_tests.cli.test_import_texts import (
    BOTH,
    HEADER,
    ISO,
    LINES,
    NUMBERS,
    SHORT,
    TIMES,
    Case,
    follow,
    in_the_archive,
    lines,
    run,
    written,
)
from trading_data_tests.rig import Rig

SHORT_10000 = "{},10102500,10125000,10090000,10117500,1200\n{},10117500,10130000,10115000,10120000,900\n"


def milliseconds(at: datetime) -> int:
    """Since midnight."""
    return (at.hour * 60 + at.minute) * 60_000


def zipped(**files: str) -> bytes:
    sink = BytesIO()
    with zipfile.ZipFile(sink, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    return sink.getvalue()


LAYOUTS = {
    "UTF-16": Case(ISO.encode("utf-16"), ("is UTF-16: save it as UTF-8, or name its encoding",)),
    "Latin-1 in a row": Case(
        ISO.replace("source", "source,Börse").replace(",file", ",file,Zürich").encode("latin-1"),
        ("the names of its columns are not UTF-8", "unknown: 'Börse'"),
    ),
    "a line before the names": Case(f"# bars\n{ISO}", ("remove the lines before it",)),
    "a title with commas before the names": Case(f"bars,of,a,vendor\n\n{ISO}", ("its lines do not have one number of fields",)),
    "a footer": Case(f"{ISO}Total\n", ("Expected 8 columns, got 1: Total",)),
    "prices in dollars, as nasdaq.com writes them": Case(
        "Date,Close/Last,Volume,Open,High,Low\n"
        + "".join(
            f'{at:%m/%d/%Y %H:%M},"${bar[3]:,.2f}",{bar[4]:.0f},"${bar[0]:,.2f}","${bar[1]:,.2f}","${bar[2]:,.2f}"\n'
            for at, bar in zip(TIMES, NUMBERS, strict=True)
        ),
        ("missing: 'symbol', 'timestamp', 'close'", "is not an ISO 8601 time", "no time zone", "is not a number"),
    ),
    "abbreviated volumes, as investing.com writes them": Case(
        lines("%Y-%m-%dT%H:%M:%SZ", f"{HEADER}\n" + LINES.replace(",1200,", ",1.2K,").replace(",900,", ",0.90K,")),
        ("volume '1.2K' is not a number",),
    ),
    "two lines of names, as yfinance writes them": Case(
        "Price,Close,High,Low,Open,Volume\nTicker,KDR,KDR,KDR,KDR,KDR\nDatetime,,,,,\n"
        + "".join(
            f"{at:%Y-%m-%d %H:%M:%S%z},{bar[3]},{bar[1]},{bar[2]},{bar[0]},{bar[4]:.0f}\n"
            for at, bar in zip(TIMES, NUMBERS, strict=True)
        ),
        ("missing: 'symbol', 'timestamp', 'source'; unknown: 'Price'",),
        file="bars.csv",
    ),
    "a zip with a report beside it": Case(
        zipped(**{"KDR.csv": ISO.replace(",", ";"), "KDR.txt": "no gaps"}), ("missing",), file="KDR.zip"
    ),
    "LEAN": Case(
        zipped(**{"20261120_kdr_minute_trade.csv": lines(lambda at: milliseconds(at) - 5 * 3_600_000, SHORT_10000)}),
        ("unknown: '36000000'", "missing: 'symbol', 'source'"),
        file="20261120_trade.zip",
        more=("--set", "symbol=KDR"),
    ),
    "LEAN, of a coin": Case(
        lines(milliseconds, SHORT),
        ("unknown: '54000000'", "missing: 'symbol', 'source'"),
        file="20261120_trade.csv",
        more=("--set", "symbol=KDR"),
    ),
    "MetaTrader": Case(
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<SPREAD>\n"
        + lines("%Y.%m.%d,%H:%M:%S", SHORT.replace("\n", ",2\n")).replace(",", "\t"),
        ("missing", "missing: 'symbol', 'timestamp', 'open'", "is not an ISO 8601 time", "no time zone"),
    ),
    "a day and a time without names, as Kibot writes them": Case(
        lines("%m/%d/%Y,%H:%M", SHORT),
        ("unknown: '11/20/2026'", "unknown: 'date', 'time'", "ISO 8601", "no time zone"),
        file="KDR.txt",
    ),
    "a symbol without a name before them": Case(
        lines("%Y%m%d,%H%M%S", "KDR," + SHORT.replace("\n{}", "\nKDR,{}")),
        ("unknown: 'KDR'", "unknown: 'date', 'time'", "no time zone"),
        file="bars.txt",
    ),
    "one name for a day and a time": Case(
        "Date,Open,High,Low,Close,Volume,OpenInterest\n" + lines("%Y-%m-%d,%H:%M:%S", SHORT.replace("\n", ",0\n")),
        ("its lines do not have one number of fields", "unknown: 'date', 'time', 'OpenInterest'", "no time zone"),
    ),
}  # fmt: skip
CORRECTED = {
    "each line in quotes": Case(
        re.sub("(?m)^(.+)$", r'"\1"', ISO), ("each line is a single text in quotes",), corrected=ISO
    ),
    "several files in a zip": Case(
        zipped(**{"A.csv": ISO, "B.csv": ISO}),
        ("holds 2 files: unpack it",),
        file="KDR.zip",
        corrected=zipped(**{"A.csv": ISO}),
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_commands_that_are_proposed_read_the_file(name: str, rig: Rig, tmp_path: Path) -> None:
    follow(LAYOUTS[name], rig, tmp_path)


@pytest.mark.parametrize("name", CORRECTED)
def test_what_only_people_can_correct(name: str, rig: Rig, tmp_path: Path) -> None:
    case = CORRECTED[name]
    path = written(tmp_path, case)
    code, output = run(["import", "prices", path])
    assert code == 1
    assert re.search(case.messages[0], output), output
    assert "try `" not in output
    assert case.corrected is not None
    written(tmp_path, Case(case.corrected, file=case.file))
    assert run(["import", "prices", path])[0] == 0
    assert in_the_archive(rig) == BOTH


def test_skipped_lines_are_counted(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "KDR.csv"
    file.write_text(f"{ISO}\nHighest:,1013\nTotal\n")
    code, output = run(["import", "prices", str(file), "--skip-odd"])
    assert code == 0, output
    assert "skipped, another number of fields: 2 lines of" in output
    assert "the first is 'Highest:,1013'" in output
    assert in_the_archive(rig) == BOTH


def test_the_proposed_format_fits_all_times(rig: Rig, tmp_path: Path) -> None:
    """03/04 fits two formats, so the rest of the file decides; where nothing does, both are named."""
    file = tmp_path / "KDR.csv"
    row = "KDR,{},1,2,1,1,1,f\n"
    file.write_text(f"{HEADER}\n{row.format('03/04/2026 15:00')}{row.format('25/04/2026 15:00')}")
    _, output = run(["import", "prices", str(file)])
    assert "--time-format '%d/%m/%Y %H:%M'`" in output
    assert "%m/%d" not in output
    file.write_text(f"{HEADER}\n{row.format('03/04/2026 15:00')}")
    _, output = run(["import", "prices", str(file)])
    assert "--time-format '%m/%d/%Y %H:%M'`, or `--time-format '%d/%m/%Y %H:%M'` if that is the order" in output
    assert rig.load(PRICE)[0].quarantined == 2


def test_options_that_do_not_fit_are_wrong_usage(tmp_path: Path) -> None:
    file = tmp_path / "KDR.csv"
    file.write_text(ISO)
    for options, text in (
        (["--day", "20.11.2026"], "must be a day such as 2026-11-20, or {stem}"),
        (["--day", "2026-11-20"], "--day needs the unit of the counts: --epoch s, ms, us or ns"),
        (["--encoding", "ansi8"], "there is no encoding 'ansi8': try cp1252 or utf-16"),
    ):
        code, output = run(["import", "prices", str(file), *options])
        assert code == 2
        assert text in output
