"""The options that read a CSV file, as its first lines suggest: lines before the names, names in two lines, no names at all.

Belongs here: guesses from the first lines, which are only proposed. Does not: matching columns by name (`form`).
"""

import csv
import re
from collections.abc import Sequence
from datetime import date

from trading_data.datasets.declaration import Dataset
from trading_data.sources.files.form import FileForm, columns_for, day_in, known_names, options_for

_BARS = ("open", "high", "low", "close", "volume")
_DELIMITERS = (";", "\t", "|")
_DATE = re.compile(r"\d{8}|\d{4}[-./]\d\d?[-./]\d\d?|\d\d?[-./]\d\d?[-./](\d{4}|\d\d)", re.ASCII)
_CLOCK = re.compile(r"\d{4}|\d{6}|\d\d?:\d\d(:\d\d(\.\d+)?)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?[$€£¥]?(\d[\d,' ]*(\.\d*)?|\.\d+)([eE][+-]?\d+)?[KMB]?", re.ASCII)
_DAY_MS = 86_400_000
_PREAMBLE = 10
"""Lines before the names that are looked at."""


def options_for_head(dataset: Dataset, form: FileForm, lines: Sequence[str], stem: str) -> list[str]:
    """Options of `trading-data import` for a CSV file that begins with `lines`; empty if nothing fits.

    They are a proposal, for the user to check. `stem` is the name of the file without its suffix.
    """
    rows = list(csv.reader(lines[form.skip :], delimiter=form.delimiter))
    if not rows or (len(rows[0]) == 1 and (letters := [letter for letter in _DELIMITERS if letter in rows[0][0]])):
        return ["--delimiter", letters[0]] if rows else []
    if form.header:
        return options_for(dataset, form, form.header)
    known = [len(known_names(dataset, row)) for row in rows[: _PREAMBLE + 1]]
    names = max(range(len(known)), key=known.__getitem__)
    if names and known[names] > max(2, known[0]) and len(rows[names]) > len(rows[0]):
        return ["--skip", str(form.skip + names)]
    if known[0] > 2:
        return _two_lines(dataset, form, rows) or _one_name_less(form, rows) or options_for(dataset, form, rows[0])
    if sum(bool(_NUMBER.fullmatch(field)) for field in rows[0]) >= len(_BARS) - 1:
        return _no_names(dataset, rows[0], stem)
    return options_for(dataset, form, rows[0])


def _two_lines(dataset: Dataset, form: FileForm, rows: Sequence[Sequence[str]]) -> list[str]:
    """For names above symbols, as `yfinance.download` has them; empty if there is none or more than one symbol."""
    if len(rows) < 3 or not rows[1] or rows[1][0].strip().casefold() not in ("ticker", "symbol", "symbols", ""):
        return []
    symbols = {field.strip() for field in rows[1][1:]}
    if len(symbols) != 1 or "" in symbols or any(map(_NUMBER.fullmatch, symbols)):
        return []
    lines = 3 if not any(field.strip() for field in rows[2][1:]) else 2
    names = [rows[2][0] or "timestamp" if lines == 3 else "timestamp", *rows[0][1:]]
    return [
        *("--skip", str(form.skip + lines), "--header", ",".join(names)),
        *columns_for(dataset, form, names, symbol=symbols.pop()),
    ]


def _one_name_less(form: FileForm, rows: Sequence[Sequence[str]]) -> list[str]:
    """For rows with a day and a time below one name for both."""
    names, row = rows[0], rows[1] if len(rows) > 1 else []
    if len(row) != len(names) + 1 or not _is_day_and_time(row[:2]):
        return []
    return ["--skip", str(form.skip + 1), "--header", ",".join(["date", "time", *names[1:]])]


def _no_names(dataset: Dataset, row: Sequence[str], stem: str) -> list[str]:
    """For a file that begins with a row: an optional symbol, a time or a day and a time, and the numbers of a bar in order."""
    names: list[str] = []
    if not any(letter.isdigit() for letter in row[0]) and "symbol" in dataset.column:
        names.append("symbol")
    at = len(names)
    two = _is_day_and_time(row[at : at + 2])
    names += ["date", "time"] if two else ["timestamp"]
    bar = row[len(names) : len(names) + 4]
    if not set(_BARS) <= {*dataset.names} or not _is_bar(bar):
        return []
    names += _BARS[: len(row) - len(names)]
    names += [f"column{position}" for position in range(len(names) + 1, len(row) + 1)]
    return ["--header", ",".join(names), *_since_midnight(row[at], bar, stem)]


def _is_bar(fields: Sequence[str]) -> bool:
    """Whether four numbers can be open, high, low and close, in this order."""
    try:
        numbers = [float(field.replace(",", "").lstrip("$€£¥")) for field in fields]
    except ValueError:
        return False
    return len(numbers) == 4 and numbers[1] == max(numbers) and numbers[2] == min(numbers)


def _since_midnight(time: str, bar: Sequence[str], stem: str) -> list[str]:
    """For files of one day in the form of LEAN: milliseconds since its midnight; prices of equities are integers of 1/10,000."""
    day = day_in(stem)
    if day is None or not time.isdigit() or int(time) >= _DAY_MS or int(time) % 1000 or _is_date(time):
        return []
    scaled = all(field.isdigit() for field in bar)
    zone = ["--zone", "America/New_York", "--scale", "10000"] if scaled else ["--zone", "UTC"]
    return ["--epoch", "ms", "--day", "{stem}", *zone]


def _is_day_and_time(fields: Sequence[str]) -> bool:
    day, time = fields
    return bool(_DATE.fullmatch(day) and _CLOCK.fullmatch(time)) and (not day.isdigit() or _is_date(day))


def _is_date(text: str) -> bool:
    try:
        return len(text) == 8 and date.fromisoformat(text) is not None
    except ValueError:
        return False
