"""The commands of `docs/import_formats.md`, each on two bars in the layout that it is for."""

import gzip
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from trading_data.datasets import DAILY, PRICE
from trading_data_tests.cli.test_import_layouts import SHORT_10000, milliseconds, zipped
from trading_data_tests.cli.test_import_texts import NUMBERS, SHORT, TIMES, lines, run
from trading_data_tests.rig import Rig

PAGE = Path(__file__).resolve().parents[2] / "docs" / "import_formats.md"
DAYS = [datetime(2026, 11, day, tzinfo=UTC) for day in (19, 20)]


def local(form: str, zone: str, text: str = SHORT) -> str:
    return lines(lambda at: f"{at.astimezone(ZoneInfo(zone)):{form}}", text)


def of_days(form: str, text: str) -> str:
    return text.format(*(f"{day:{form}}" for day in DAYS))


def nanoseconds(at: datetime) -> int:
    return round(at.timestamp()) * 10**9


NEW_YORK = "America/New_York"
CLOSE_FIRST = "{},1011.75,1012.5,1009.0,1010.25,1200\n{},1012.0,1013.0,1011.5,1011.75,900\n"
IN_DOLLARS = "{},$1011.75,1200,$1010.25,$1012.50,$1009.00\n{},$1012.00,900,$1011.75,$1013.00,$1011.50\n"
INVESTING = (
    '"{}","1011.75","1010.25","1012.5","1009.0","1.20K","0.1%"\n"{}","1012.0","1011.75","1013.0","1011.5","0.90K","-"\n'
)
POLYGON = "POLY,1200,1010.25,1011.75,1012.5,1009.0,{},9\nPOLY,900,1011.75,1012.0,1013.0,1011.5,{},9\n"
RAW = "{},33,2,9,1010250000000,1012500000000,1009000000000,1011750000000,1200,DBN\n"
RAW += "{},33,2,9,1011750000000,1013000000000,1011500000000,1012000000000,900,DBN\n"
STOOQ = (
    "MSFT.US,D,{},000000,1010.25,1012.5,1009.0,1011.75,1200,0\nMSFT.US,D,{},000000,1011.75,1013.0,1011.5,1012.0,900,0\n"
)
GERMAN = "KDR;{};1010,25;1012,5;1009,0;1011,75;1200;file;Zürich\nKDR;{};1011,75;1013,0;1011,5;1012,0;900;file;Zürich\n"
FILES: dict[str, tuple[str, str | bytes]] = {
    "SPY.txt": ("SPY", local("%Y-%m-%d %H:%M:%S", NEW_YORK)),
    "IBM.txt": ("IBM", local("%m/%d/%Y,%H:%M", NEW_YORK)),
    "EURUSD.csv": ("EURUSD", local("%Y%m%d %H%M%S", "Etc/GMT+5").replace(",", ";")),
    "XAUUSD.csv": (
        "XAUUSD",
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
        + local("%Y.%m.%d,%H:%M:%S", "Europe/Athens", SHORT.replace("\n", ",0,2\n")).replace(",", "\t"),
    ),
    "USDJPY.csv": (
        "USDJPY",
        "Time\tOpen\tHigh\tLow\tClose\tVolume\n" + lines("%Y-%m-%d %H:%M:%S", SHORT).replace(",", "\t"),
    ),
    "GBPUSD.csv": (
        "GBPUSD",
        "timestamp,open,high,low,close\n" + re.sub(",[0-9]+\n", "\n", lines("%Y-%m-%d %H:%M:%S+00:00", SHORT)),
    ),
    "EURCHF.csv": (
        "EURCHF",
        "timestamp,open,high,low,close,volume\n" + lines(lambda at: nanoseconds(at) // 10**6, SHORT),
    ),
    "BTCUSDT.zip": (
        "BTCUSDT",
        zipped(**{"m.csv": lines(lambda at: nanoseconds(at) // 10**6, SHORT.replace("\n", ",1,2,3,4,5,0\n"))}),
    ),
    "6EH4.csv.gz": (
        "6EH4",
        gzip.compress(f"timestamp_utc,open,high,low,close,volume\n{lines('%Y-%m-%d %H:%M:%S', SHORT)}".encode()),
    ),
    "FESX.txt": (
        "FESX",
        "Date,Open,High,Low,Close,Volume,OpenInterest\n" + lines("%Y-%m-%d,%H:%M:%S", SHORT.replace("\n", ",0\n")),
    ),
    "20261120_trade.zip": (
        "LEAN",
        zipped(**{"20261120_lean.csv": lines(lambda at: milliseconds(at) - 5 * 3_600_000, SHORT_10000)}),
    ),
    "20261120_btcusd.zip": ("LEANBTC", zipped(**{"20261120_btcusd.csv": lines(milliseconds, SHORT)})),
    "aapl.zip": ("aapl", zipped(**{"aapl.csv": of_days("%Y%m%d 00:00", SHORT_10000)})),
    "2026-11-20.csv.gz": (
        "POLY",
        gzip.compress(
            b"ticker,volume,open,close,high,low,window_start,transactions\n" + lines(nanoseconds, POLYGON).encode()
        ),
    ),
    "databento.csv": (
        "DBN",
        "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n" + lines(nanoseconds, RAW),
    ),
    "msft.us.txt": (
        "MSFT.US",
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n" + of_days("%Y%m%d", STOOQ),
    ),
    "KO.csv": (
        "KO",
        "Price,Close,High,Low,Open,Volume\nTicker,KO,KO,KO,KO,KO\nDate,,,,,\n" + of_days("%Y-%m-%d", CLOSE_FIRST),
    ),
    "MSFT.csv": ("MSFT", "Date,Close/Last,Volume,Open,High,Low\n" + of_days("%m/%d/%Y", IN_DOLLARS)),
    "SAP.csv": (
        "SAP",
        '"Date","Price","Open","High","Low","Vol.","Change %"\n' + of_days("%m/%d/%Y", INVESTING),
    ),
    "kurse.txt": (
        "KDR",
        f"symbol;timestamp;open;high;low;close;volume;source;Börse\n{lines('%Y-%m-%dT%H:%M:%SZ', GERMAN)}Summe\n".encode(
            "cp1252"
        ),
    ),
}


def test_the_commands_of_the_page_read_their_layouts(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"`trading-data (import \w+ (\S+) [^`]+)` \|", PAGE.read_text(encoding="utf-8"))
    assert sorted(file for _, file in commands) == sorted(FILES)
    expected: dict[str, list[tuple[Any, ...]]] = {PRICE.name: [], DAILY.name: []}
    for command, file in commands:
        symbol, content = FILES[file]
        Path(file).write_bytes(content.encode() if isinstance(content, str) else content)
        code, output = run(shlex.split(command))
        assert (code, "rejected, " in output) == (0, False), output
        dataset = DAILY if command.startswith("import daily") else PRICE
        moments = DAYS if dataset is DAILY else TIMES
        for moment, (*prices, volume) in zip(moments, NUMBERS, strict=True):
            expected[dataset.name].append((symbol, moment, *prices, 0.0 if symbol == "GBPUSD" else volume))
    for dataset in (PRICE, DAILY):
        rig.load(dataset)
        rows = rig.query(f"select symbol, timestamp, open, high, low, close, volume from {dataset.table}")
        assert sorted(rows) == sorted(expected[dataset.name], key=lambda row: row[:2])
