"""The messages of `trading-data import` for files of vendors, programs and spreadsheets, and that their advice works.

Each case is the same two bars. Either they are read as they are, or a text says what is wrong; then the command that it proposes is
run as it stands, or what it asks for is done, until both bars are in the archive.
"""

import gzip
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from trading_data.cli.main import group
from trading_data.datasets import METRICS, PRICE
from trading_data_tests.rig import Rig

AT = datetime(2026, 11, 20, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TIMES = (AT, AT + MINUTE)
NUMBERS = ((1010.25, 1012.5, 1009.0, 1011.75, 1200.0), (1011.75, 1013.0, 1011.5, 1012.0, 900.0))
HEADER = "symbol,timestamp,open,high,low,close,volume,source"
LINES = "KDR,{},1010.25,1012.5,1009.0,1011.75,1200,file\nKDR,{},1011.75,1013.0,1011.5,1012.0,900,file\n"
SHORT = "{},1010.25,1012.5,1009.0,1011.75,1200\n{},1011.75,1013.0,1011.5,1012.0,900\n"
SECONDS = [round(at.timestamp()) for at in TIMES]


def lines(form: str | Callable[[datetime], object], text: str = f"{HEADER}\n{LINES}") -> str:
    return text.format(*(f"{at:{form}}" if isinstance(form, str) else form(at) for at in TIMES))


ISO = lines("%Y-%m-%dT%H:%M:%SZ")


def parquet(**columns: Any) -> bytes:
    numbers = dict(zip(("open", "high", "low", "close", "volume"), zip(*NUMBERS, strict=True), strict=True))
    times = pa.array(TIMES, pa.timestamp("us", "UTC"))
    arrays = {"symbol": ["KDR"] * 2, "timestamp": times, **numbers, "source": ["file"] * 2} | columns
    sink = BytesIO()
    pq.write_table(pa.table({name: pa.array(values) for name, values in arrays.items() if values is not None}), sink)
    return sink.getvalue()


def indexed() -> bytes:
    """As pandas writes a frame whose index is the time."""
    frame = pq.read_table(BytesIO(parquet())).to_pandas()
    return bytes(frame.set_index("timestamp").rename_axis(None).to_parquet())


@dataclass(frozen=True)
class Case:
    """A file, the messages expected in turn, and what a person has to do besides running the proposed commands."""

    content: str | bytes
    messages: tuple[str, ...] = ()
    file: str = "KDR.csv"
    options: tuple[str, ...] = ()
    """Given from the start, because no message can know them."""
    more: tuple[str, ...] = ()
    """Options that a message asks for without proposing a value."""
    corrected: str | bytes | None = None
    """The file after the correction that the message asks for."""
    code: int = 1
    """Exit code of the first attempt, if it failed."""


READ = {
    "as it is exported": Case(ISO),
    "BOM": Case("\ufeff" + ISO),
    "CRLF": Case(ISO.replace("\n", "\r\n")),
    "capitals and blanks in the header": Case(ISO.replace(HEADER, "Symbol, Timestamp ,OPEN,High,Low,Close,Volume,Source")),
    "quotes": Case("\n".join(",".join(f'"{part}"' for part in line.split(",")) for line in ISO.splitlines())),
    "no end of the last line": Case(ISO.rstrip("\n")),
    "offset": Case(lines("%Y-%m-%dT%H:%M:%S+00:00").replace("T15:", "T10:").replace("+00:00", "-05:00")),
    "a blank before the time": Case(lines("%Y-%m-%d %H:%M:%S+00:00")),
    "rows twice": Case(ISO + ISO.partition("\n")[2]),
    "gz": Case(gzip.compress(ISO.encode()), file="KDR.csv.gz"),
    "columns of an export": Case(ISO.replace("source\n", "source,tier\n").replace("file\n", "file,archive\n")),
    "parquet": Case(parquet(), file="KDR.parquet"),
    "parquet ns": Case(parquet(timestamp=pa.array(TIMES, pa.timestamp("ns", "America/New_York"))), file="KDR.parquet"),
    "parquet texts": Case(
        parquet(symbol=pa.array(["KDR"] * 2, pa.large_string()), source=pa.array(["file"] * 2).dictionary_encode()),
        file="KDR.parquet",
    ),
    "parquet decimals": Case(
        parquet(open=pa.array([Decimal("1010.250000"), Decimal("1011.750000")], pa.decimal128(12, 6))), file="KDR.parquet"
    ),
    "parquet with an index of pandas": Case(
        bytes(pq.read_table(BytesIO(parquet())).to_pandas().set_index(["symbol", "timestamp"]).to_parquet()),
        file="KDR.parquet",
    ),
    "local times": Case(
        lines(lambda at: f"{at - timedelta(hours=5):%Y-%m-%d %H:%M}"), options=("--zone", "America/New_York")
    ),
}  # fmt: skip
ADVISED = {
    "semicolons": Case(ISO.replace(",", ";"), ("'symbol;timestamp;open;high;low;close;volume;source'",)),
    "tabs": Case(ISO.replace(",", "\t"), (r"unknown: 'symbol\\ttimestamp",)),
    "semicolons and decimal commas": Case(
        ISO.replace(",", ";").replace(".", ","), ("missing: 'symbol'", "is not a number")
    ),
    "thousands": Case(
        lines("%Y-%m-%dT%H:%M:%SZ", f"{HEADER}\n" + re.sub(r"(1)(0\d\d\.\d+)", r'"\1,\2"', LINES)), ("is not a number",)
    ),
    "a vendor's day and time": Case(
        "Date,Time,Open,High,Low,Close,Vol\n" + lines("%Y-%m-%d,%H:%M:%S", SHORT),
        ("missing: 'symbol', 'timestamp', 'volume', 'source'", "no time zone"),
    ),
    "adjusted close": Case(
        "Datetime,Open,High,Low,Close,Adj Close,Volume\n"
        + lines("%Y-%m-%d %H:%M:%S+00:00", SHORT.replace(",1200", ",9.5,1200").replace(",900", ",9.5,900")),
        ("unknown: 'Datetime', 'Adj Close'",),
    ),
    "an index of pandas": Case(
        ",open,high,low,close,volume\n" + lines("%Y-%m-%d %H:%M:%S+00:00", SHORT), ("unknown: ''",)
    ),
    "numbered rows of pandas": Case(
        "\n".join(f"{at},{line}" for at, line in enumerate(ISO.splitlines()))[1:], ("unknown: ''",)
    ),
    "Swiss thousands": Case(
        lines("%Y-%m-%dT%H:%M:%SZ", f"{HEADER}\n" + re.sub(r"(1)(0\d\d\.\d+)", r"\1'\2", LINES)), ("is not a number",)
    ),
    "a name of the time that vendors use": Case(ISO.replace("timestamp", "window_start"), ("unknown: 'window_start'",)),
    "UTC behind the time": Case(lines("%Y-%m-%d %H:%M:%S UTC"), ("is not an ISO 8601 time", "no time zone")),
    "no zone": Case(lines("%Y-%m-%dT%H:%M:%S"), ("no time zone",)),
    "day first": Case(lines("%d.%m.%Y %H:%M:%S.000"), ("is not an ISO 8601 time", "no time zone")),
    "month first": Case(lines("%m/%d/%Y %H:%M"), ("is not an ISO 8601 time", "no time zone")),
    "am and pm": Case(lines("%m/%d/%Y %I:%M %p"), ("is not an ISO 8601 time", "no time zone")),
    "no header, semicolons": Case(
        lines("%Y%m%d %H%M%S", SHORT).replace(",", ";"),
        ("unknown: '20261120 150000;", "unknown: '20261120 150000'", "missing: 'symbol'", "no time zone"),
    ),
    "no header, more columns": Case(
        lines(lambda at: round(at.timestamp()) * 1000, SHORT.replace("\n", ",0,0\n")),
        ("unknown: '1795186800000'", "unknown: 'column7', 'column8'", "timestamp"),
    ),
    **{
        f"epoch in {unit}": Case(lines(lambda at, n=many: round(at.timestamp()) * n), ("timestamp",))  # type: ignore[misc]
        for unit, many in {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}.items()
    },
    "a spreadsheet's days": Case(
        lines(lambda at: f"{(at - datetime(1899, 12, 30, tzinfo=UTC)) / timedelta(days=1):.12f}"),
        ("if it comes from a spreadsheet, it is 2026-11-20T15:00:00 in local time", "no time zone"),
    ),
    "epoch with a fraction": Case(lines(lambda at: f"{at.timestamp():.3f}"), ("timestamp",)),
    "parquet epoch": Case(parquet(timestamp=[at * 1000 for at in SECONDS]), ("timestamp",), file="KDR.parquet"),
    "parquet epoch as double": Case(parquet(timestamp=[at * 1e9 for at in SECONDS]), ("timestamp",), file="KDR.parquet"),
    "parquet without a zone": Case(
        parquet(timestamp=pa.array([at.replace(tzinfo=None) for at in TIMES], pa.timestamp("ns"))),
        ("no time zone",),
        file="KDR.parquet",
    ),
    "parquet index without a name": Case(indexed(), ("unknown: '__index_level_0__'",), file="KDR.parquet"),
    "parquet day and time": Case(
        parquet(
            timestamp=None,
            Date=pa.array([date(2026, 11, 20)] * 2),
            Time=pa.array([at.time() for at in TIMES], pa.time64("us")),
        ),
        ("unknown: 'Date', 'Time'", "no time zone"),
        file="KDR.parquet",
    ),
}  # fmt: skip
CORRECTED = {
    "no volume": Case(
        "\n".join(",".join(line.split(",")[:6] + line.split(",")[7:]) for line in ISO.splitlines()),
        ("missing: 'volume'.*If the vendor reports no volume, it is 0; try `.* --set volume=0`",),
        corrected=ISO,
    ),
    "empty": Case("", ("KDR.csv cannot be read: it is damaged, empty",), corrected=ISO),
    "a header alone": Case(f"{HEADER}\n", ("no row of .*KDR.csv was good: it holds no row",), corrected=ISO),
    "gz cut off": Case(
        gzip.compress(ISO.encode())[:-12], ("cannot be read",), file="KDR.csv.gz", corrected=gzip.compress(ISO.encode())
    ),
    "a column twice": Case(
        re.sub(r"(?m)$(?=\n)", ",1", ISO).replace("source,1", "source,open"), ("more than once: 'open'",), corrected=ISO
    ),
    "nested": Case(
        parquet(open=[[1.0], [2.0]]),
        (r"a column of bars holds one value a row, not open \(list<",),
        file="KDR.parquet",
        corrected=parquet(),
    ),
    "an aggregate": Case(
        ISO.replace("timestamp", "bucket").replace(",source", ",tier"), ("holds an aggregate.*--interval raw",), corrected=ISO
    ),
    "nanoseconds": Case(
        lines("%Y-%m-%dT%H:%M:%S.000000001Z"), ("finer than a microsecond",), corrected=lines("%Y-%m-%dT%H:%M:%S.000000Z")
    ),
    "an hour that was there twice": Case(
        lines("2026-11-01T01:30:00"),
        (r"occurred twice in the local time of America/New_York: write it with its offset, 2026-11-01T01:30:00-04:00 or ",),
        options=("--zone", "America/New_York"),
        corrected=ISO,
    ),
    "an hour that never was": Case(
        lines("2026-03-08T02:30:00"),
        ("was skipped in the local time of America/New_York: write it with its offset",),
        options=("--zone", "America/New_York"),
        corrected=ISO,
    ),
    "an unknown zone": Case(
        lines("%Y-%m-%dT%H:%M:%S"), ("there is no time zone 'EDT'",), options=("--zone", "EDT"), more=("--zone", "UTC"), code=2
    ),
    "an unknown column": Case(
        ISO, ("bars have no column 'last', only symbol, timestamp",), options=("--column", "last=close"), more=(), code=2
    ),
    "no pair": Case(ISO, (r"'source' is not COLUMN=VALUE",), options=("--set", "source"), code=2),
    "no letter": Case(ISO, ("must be one character, not ';;'",), options=("--delimiter", ";;"), code=2),
}  # fmt: skip


def run(arguments: list[str]) -> tuple[int, str]:
    done = CliRunner().invoke(group, arguments)
    return done.exit_code, f"{done.output}{done.exception or ''}"


def written(folder: Path, case: Case) -> str:
    path = folder / case.file
    path.write_bytes(case.content.encode() if isinstance(case.content, str) else case.content)
    return str(path)


def in_the_archive(rig: Rig) -> list[tuple[Any, ...]]:
    rig.load(PRICE)
    return rig.query("select symbol, timestamp, open, high, low, close, volume, source from price_data order by 1, 2")


BOTH = [("KDR", at, *numbers, "file") for at, numbers in zip(TIMES, NUMBERS, strict=True)]


@pytest.mark.parametrize("name", READ)
def test_a_file_that_is_read_as_it_is(name: str, rig: Rig, tmp_path: Path) -> None:
    case = READ[name]
    code, output = run(["import", "prices", written(tmp_path, case), *case.options])
    assert (code, "rejected, " in output) == (0, False), output
    assert in_the_archive(rig) == BOTH


@pytest.mark.parametrize("name", ADVISED)
def test_the_command_that_is_proposed_reads_the_file(name: str, rig: Rig, tmp_path: Path) -> None:
    follow(ADVISED[name], rig, tmp_path)


def follow(case: Case, rig: Rig, folder: Path) -> None:
    """Run what each message proposes, until both bars are in the archive."""
    arguments = ["import", "prices", written(folder, case), *case.options]
    for text in case.messages:
        code, output = run(arguments)
        assert code == (0 if "rejected, epoch" in output else 1), output
        assert re.search(text, output), output
        (advice,) = set(re.findall(r"try `trading-data ([^`]+)`", output))
        arguments = shlex.split(advice)
    arguments += case.more
    code, output = run(arguments)
    assert (code, "rejected, " in output) == (0, False), output
    assert in_the_archive(rig) == BOTH


@pytest.mark.parametrize("name", CORRECTED)
def test_what_only_people_can_correct(name: str, rig: Rig, tmp_path: Path) -> None:
    case = CORRECTED[name]
    path = written(tmp_path, case)
    code, output = run(["import", "prices", path, *case.options])
    assert code == case.code, output
    assert re.search(case.messages[0], output), output
    if case.corrected is not None:
        written(tmp_path, Case(case.corrected, file=case.file))
    code, output = run(["import", "prices", path, *case.more])
    assert code == 0, output
    assert in_the_archive(rig) == BOTH


def test_what_is_no_file_is_refused_by_name(rig: Rig, tmp_path: Path) -> None:
    assert rig
    for name, text in (
        ("away.csv", "there is no file"),
        ("bars.xlsx", r"only files ending in \.csv, \.csv\.gz, \.parquet"),
    ):
        if name == "bars.xlsx":
            (tmp_path / name).write_text(ISO)
        code, output = run(["import", "prices", str(tmp_path / name)])
        assert code == 1
        assert re.search(text, output), output
        assert name in output


def test_counts_by_reason_with_the_first_of_each(rig: Rig, tmp_path: Path) -> None:
    bad = [
        "KDR,2026-11-20T15:02:00,1,2,1,1,1,f",
        "KDR,2026-11-20T15:03:00,1,2,1,1,1,f",
        "KDR,2026-11-20T15:04:00Z,1,2,3,1,1,f",
    ]
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text(ISO + "\n".join(bad) + "\n")
    second.write_text(f"{HEADER}\n{bad[2]}\nKDR,2026-11-20T15:05:00Z,x,2,1,1,1,f\n")
    code, output = run(["import", "prices", str(first), str(second)])
    told = [line for line in output.splitlines() if line.startswith("rejected, ")]
    assert code == 0
    assert [line.partition(str(tmp_path))[0] for line in told] == [
        "rejected, no zone: 2, the first in ",
        "rejected, order: 2, the first in ",
        "rejected, not a number: 1, the first in ",
    ]
    assert f"{first}, row 3: timestamp 2026-11-20T15:02:00 has no time zone" in told[0]
    assert f"{first}, row 5: low 3.0 is above high 2.0" in told[1]
    assert f"{second}, row 2: open 'x' is not a number" in told[2]
    assert "2 rows and 5 rejected ones wait in the intake" in output
    assert rig.load(PRICE)[0].quarantined == 3


def test_nothing_good_is_a_failure_and_loses_nothing(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    file.write_text(lines("%d.%m.%Y %H:%M"))
    code, output = run(["import", "prices", str(file)])
    assert code == 1
    assert "all 2 rows were rejected" in output
    (loaded,) = rig.load(PRICE)
    assert (loaded.inserted, loaded.quarantined) == (0, 2)


def test_what_was_taken_before_the_damage_is_said(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "figures.csv"
    many = "metric_name,timestamp,value,unit\n" + "latency,2026-11-20T15:00:00Z,1.5,ms\n" * 200_000
    file.write_text(f"{many}latency,1\n")
    code, output = run(["import", "metrics", str(file)])
    assert code == 1
    match = re.search(
        r"Expected 4 columns, got 2: latency,1; the ([\d,]+) rows before it wait: correct the file", output
    )
    assert match is not None
    assert 0 < int(match[1].replace(",", "")) < 200_000
    file.write_text(many)
    assert run(["import", "metrics", str(file)])[0] == 0
    rig.load(METRICS)
    assert rig.query("select count(*), min(value) from metrics_data") == [(1, 1.5)]


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_times_beyond_all_years_are_rejected_rows(unit: str, rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "KDR.parquet"
    late = {"s": 1, "ms": 10**3, "us": 10**6}[unit] * 300_000_000_000
    file.write_bytes(parquet(timestamp=pa.array([late, late], pa.timestamp(unit, "UTC"))))
    code, output = run(["import", "prices", str(file)])
    assert code == 1
    assert "all 2 rows were rejected" in output


def test_one_file_a_symbol(rig: Rig, tmp_path: Path) -> None:
    for symbol in ("AAPL", "BRK.B"):
        (tmp_path / f"{symbol}.csv").write_text(
            "timestamp,open,high,low,close,volume\n" + lines("%Y-%m-%dT%H:%MZ", SHORT)
        )
    files = [str(tmp_path / "AAPL.csv"), str(tmp_path / "BRK.B.csv")]
    code, output = run(["import", "prices", *files, "--set", "symbol={stem}", "--set", "source=vendor"])
    assert code == 0, output
    assert {(row[0], row[-1]) for row in in_the_archive(rig)} == {("AAPL", "vendor"), ("BRK.B", "vendor")}


def test_a_frame_of_pandas_in_every_form(rig: Rig, tmp_path: Path) -> None:
    frame = pd.DataFrame(BOTH, columns=list(PRICE.names))
    frame["symbol"] = frame["symbol"].astype("category")
    frame.to_parquet(tmp_path / "bars.parquet", index=False)
    assert run(["import", "prices", str(tmp_path / "bars.parquet")])[0] == 0
    assert in_the_archive(rig) == BOTH


def test_the_commands_of_the_readme_read_what_they_say(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    local = AT - timedelta(hours=5)
    files = {
        "AAPL.csv": f"Date,Time,Open,High,Low,Close,Adj Close,Vol\n{local:%Y-%m-%d,%H:%M},1,2,0.5,1.5,1.4,100\n",
        "PEPE.csv": f"{SECONDS[0] * 1000},0.00000812,0.00000899,0.00000801,0.00000888,123456789012345\n",
        "kurse.csv": f"{HEADER.replace(',', ';')}\nSAP;{AT + timedelta(hours=1):%d.%m.%Y %H:%M};1.010,5;1.012;999,5;1.000;7;x\n",
    }
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    samples = Path("docs/samples")
    samples.mkdir(parents=True)
    for name, text in files.items():
        (samples / name).write_text(text)
        (command,) = re.findall(rf"^trading-data (import prices {samples / name} [^#\n]+)", readme, re.MULTILINE)
        code, output = run(shlex.split(command))
        assert code == 0, output
    assert in_the_archive(rig) == [
        ("AAPL", AT, 1.0, 2.0, 0.5, 1.5, 100.0, "vendor"),
        ("PEPE", AT, 0.00000812, 0.00000899, 0.00000801, 0.00000888, 123456789012345.0, "exchange"),
        ("SAP", AT, 1010.5, 1012.0, 999.5, 1000.0, 7.0, "x"),
    ]
