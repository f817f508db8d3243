"""Asking a vendor for the days that are missing, and noting what it said; the bars go through the intake.

Belongs here: what to ask for at once, and the notes. Does not: which days are missing (`states`), the vendors'
protocols (`vendors`), loading.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import pyarrow as pa

from trading_data.archive.database import Archive
from trading_data.archive.sql import statement
from trading_data.datasets.declaration import Dataset
from trading_data.errors import VendorError, VendorRefused, VendorUnavailable
from trading_data.intake.import_rows import take
from trading_data.intake.snapshot import Drained
from trading_data.intake.store import Intake
from trading_data.kill_points import reached
from trading_data.printable import counted
from trading_data.sources.vendors import Vendor
from trading_data.times import DAY, day_start

ROWS_A_BATCH = 200_000
_UNANSWERED = 2
_DAYS_A_REQUEST = 31
_SYMBOLS_REFUSED = 20
"""How many times the rest of a day is asked for again without the symbols that the vendor does not know."""


@dataclass
class Filled:
    """What came of one request: bars by day and symbol, the symbols that the vendor refused, and the batches written."""

    days: tuple[date, ...]
    asked: tuple[str, ...]
    rows: Counter[tuple[date, str]] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)
    batches: list[Drained] = field(default_factory=list)

    def of_day(self, day: date) -> dict[str, int]:
        """Bars of a day by symbol."""
        return {symbol: count for (when, symbol), count in self.rows.items() if when == day}


def fill(
    archive: Archive,
    intake: Intake,
    dataset: Dataset,
    vendor: Vendor,
    wanted: Mapping[date, Iterable[str]],
    *,
    earliest: datetime,
    run_id: str = "",
) -> Iterator[Filled]:
    """Ask `vendor` for the symbols of each day, oldest first; yields a request once its bars are durable and it is noted.

    Days that follow one another and lack the same symbols are one request. What the vendor said is noted only after its
    bars lie in the intake: a kill in between asks again, and what comes again is unchanged. Days on which the vendor fails
    do not keep those after them from being asked for; two requests in a row without an answer do, for then it is away.

    Raises:
        VendorError: after the other days, if some failed; at once if the vendor is away or will not answer at all. Days
            answered with what is no bars are noted as failed, those without an answer are not noted.
        ArchiveTierError, IntakeError: what was not noted will be asked for again.
    """
    failed: dict[date, VendorError] = {}
    unanswered = 0
    waiting = deque(_requests(wanted))
    while waiting and unanswered < _UNANSWERED:
        days, symbols = waiting.popleft()
        out = Filled(days, symbols)
        try:
            _ask(intake, dataset, vendor, out, earliest, run_id)
        except VendorRefused:
            raise
        except VendorUnavailable as error:
            failed |= dict.fromkeys(days, error)
            unanswered += 1
            continue
        except VendorError as error:
            if len(days) > 1:
                waiting.extendleft(((day,), symbols) for day in reversed(days))
                continue
            failed[days[0]] = error
            note_answer(archive, dataset, vendor.name, days[0], symbols, "failed", {}, str(error))
            continue
        unanswered = 0
        reached("history.taken")
        answered = [symbol for symbol in symbols if symbol not in out.refused]
        for day in days:
            note_answer(archive, dataset, vendor.name, day, answered, "answered", out.of_day(day), "")
            for symbol, said in out.refused.items():
                note_answer(archive, dataset, vendor.name, day, [symbol], "refused", {}, said)
        reached("history.noted")
        yield out
    if failed:
        first, cause = next(iter(failed.items()))
        raise VendorError(
            f"{vendor.name} failed on {len(failed)} of {counted(len(wanted), 'day')}, first on {first}: {cause}. What it "
            f"did give is "
            "in the intake; run the failed days again"
        ) from cause


def _requests(wanted: Mapping[date, Iterable[str]]) -> Iterator[tuple[tuple[date, ...], tuple[str, ...]]]:
    """Days in order, those that follow one another with the same symbols together."""
    days: list[date] = []
    last: tuple[str, ...] = ()
    for day in sorted(wanted):
        symbols = tuple(sorted(set(wanted[day])))
        if days and (symbols != last or day != days[-1] + DAY or len(days) == _DAYS_A_REQUEST):
            yield tuple(days), last
            days = []
        if symbols:
            days.append(day)
            last = symbols
    if days:
        yield tuple(days), last


def note_answer(
    archive: Archive,
    dataset: Dataset,
    vendor: str,
    day: date,
    symbols: Sequence[str],
    outcome: str,
    rows: Mapping[str, int],
    said: str,
) -> None:
    """Keep what a vendor said of the day of some symbols; a failure adds to the attempts, an answer begins anew."""
    values = {
        "dataset": dataset.name,
        "day": day,
        "vendor": vendor,
        "outcome": outcome,
        "said": said[:500],
        "subjects": list(symbols),
        "rows": [rows.get(symbol, 0) for symbol in symbols],
    }
    with archive.transaction() as cursor:
        cursor.execute(statement("note_answer"), values)


def _ask(intake: Intake, dataset: Dataset, vendor: Vendor, out: Filled, earliest: datetime, run_id: str) -> None:
    symbols = list(out.asked)
    for _ in range(_SYMBOLS_REFUSED):
        try:
            pages = vendor.bars(symbols, day_start(out.days[0]), day_start(out.days[-1]) + DAY)
            named = f"{vendor.name} {out.days[0]}"
            tables = _counted(dataset, _joined(pages), out)
            out.batches += take(intake, dataset, named, tables, origin="vendor", earliest=earliest, run_id=run_id)
            return
        except VendorRefused as error:
            unknown = set(error.symbols) & set(symbols)
            if not unknown:
                raise
            out.refused |= dict.fromkeys(sorted(unknown), str(error))
            symbols = [symbol for symbol in symbols if symbol not in unknown]
            if not symbols:
                return
    raise VendorError(
        f"{vendor.name} named unknown symbols {_SYMBOLS_REFUSED} times over for {out.days[0]}: {symbols[:5]}"
    )


def _joined(pages: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Pages as tables of the size of a batch: a vendor's page may have a few hundred rows."""
    kept: list[pa.Table] = []
    rows = 0
    for page in pages:
        kept.append(page)
        rows += page.num_rows
        if rows >= ROWS_A_BATCH:
            yield pa.concat_tables(kept)
            kept, rows = [], 0
    if kept:
        yield pa.concat_tables(kept)


def _counted(dataset: Dataset, tables: Iterator[pa.Table], out: Filled) -> Iterator[pa.Table]:
    time = dataset.key[1]
    for table in tables:
        days = pa.table({"symbol": table[dataset.about], "day": table[time].cast(pa.timestamp("us")).cast(pa.date32())})
        for one in days.group_by(["day", "symbol"]).aggregate([([], "count_all")]).to_pylist():
            out.rows[one["day"], one["symbol"]] += one["count_all"]
        yield table
