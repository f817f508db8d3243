"""Requests missing days from a vendor, and notes its answers; the bars pass through the intake.

Belongs here: grouping days into requests, and the notes. Does not: which days are missing (`calendars.states`), the vendors'
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
from trading_data.intake.import_rows import import_rows
from trading_data.intake.snapshot import DrainedBatch
from trading_data.intake.store import Intake
from trading_data.kill_points import reached
from trading_data.printable import counted
from trading_data.sources.vendors import Vendor
from trading_data.times import DAY, day_start

ROWS_A_BATCH = 200_000
_UNANSWERED = 2
_DAYS_A_REQUEST = 31
_SYMBOLS_REFUSED = 20
"""Most requests for the rest of a day, each without the symbols that the vendor refused as unknown."""


@dataclass
class FillResult:
    """The result of one request: bars by day and symbol, the symbols that the vendor refused, and the batches written."""

    days: tuple[date, ...]
    asked: tuple[str, ...]
    rows: Counter[tuple[date, str]] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)
    batches: list[DrainedBatch] = field(default_factory=list)

    def of_day(self, day: date) -> dict[str, int]:
        """Bars of a day by symbol."""
        return {symbol: count for (when, symbol), count in self.rows.items() if when == day}


def fill_days(
    archive: Archive,
    intake: Intake,
    dataset: Dataset,
    vendor: Vendor,
    wanted: Mapping[date, Iterable[str]],
    *,
    earliest: datetime,
    run_id: str = "",
) -> Iterator[FillResult]:
    """Request the symbols of each day from `vendor`, oldest first; yields a request once its bars are durable and it is noted.

    Consecutive days that lack the same symbols are one request. An answer is noted only after its bars are in the intake: after
    a kill in between, the same days are requested again, and load as unchanged rows. A day on which the vendor fails does not
    stop the days after it; two requests in a row without an answer do, because the vendor is away then.

    Raises:
        VendorError: after the other days, if a day failed; at once if the vendor is away or refuses all. Days whose answer is
            not bars are noted as failed; days without an answer are not noted.
        ArchiveTierError, IntakeError: days that were not noted will be requested again.
    """
    failed: dict[date, VendorError] = {}
    unanswered = 0
    waiting = deque(_requests(wanted))
    while waiting and unanswered < _UNANSWERED:
        days, symbols = waiting.popleft()
        out = FillResult(days, symbols)
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
            for symbol, reason in out.refused.items():
                note_answer(archive, dataset, vendor.name, day, [symbol], "refused", {}, reason)
        reached("history.noted")
        yield out
    if failed:
        first, cause = next(iter(failed.items()))
        raise VendorError(
            f"{vendor.name} failed on {len(failed)} of {counted(len(wanted), 'day')}, first on {first}: {cause}. The bars of the "
            "other days are in the intake; run the failed days again"
        ) from cause


def _requests(wanted: Mapping[date, Iterable[str]]) -> Iterator[tuple[tuple[date, ...], tuple[str, ...]]]:
    """Days in order; consecutive days with the same symbols together."""
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
    message: str,
) -> None:
    """Store a vendor's answer for a day of some symbols; a failure adds to the attempts, an answer resets them."""
    values = {
        "dataset": dataset.name,
        "day": day,
        "vendor": vendor,
        "outcome": outcome,
        "said": message[:500],
        "subjects": list(symbols),
        "rows": [rows.get(symbol, 0) for symbol in symbols],
    }
    with archive.transaction() as cursor:
        cursor.execute(statement("note_answer"), values)


def _ask(intake: Intake, dataset: Dataset, vendor: Vendor, out: FillResult, earliest: datetime, run_id: str) -> None:
    symbols = list(out.asked)
    for _ in range(_SYMBOLS_REFUSED):
        try:
            pages = vendor.bars(symbols, day_start(out.days[0]), day_start(out.days[-1]) + DAY)
            named = f"{vendor.name} {out.days[0]}"
            tables = _counted(dataset, _joined(pages), out)
            out.batches += import_rows(
                intake, dataset, named, tables, origin="vendor", earliest=earliest, run_id=run_id
            )
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
        f"{vendor.name} refused symbols as unknown in {_SYMBOLS_REFUSED} requests for {out.days[0]}: {symbols[:5]}"
    )


def _joined(pages: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Pages joined to tables of a batch's size: a vendor's page may have only a few hundred rows."""
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


def _counted(dataset: Dataset, tables: Iterator[pa.Table], out: FillResult) -> Iterator[pa.Table]:
    time = dataset.key[1]
    for table in tables:
        days = pa.table({"symbol": table[dataset.about], "day": table[time].cast(pa.timestamp("us")).cast(pa.date32())})
        for count in days.group_by(["day", "symbol"]).aggregate([([], "count_all")]).to_pylist():
            out.rows[count["day"], count["symbol"]] += count["count_all"]
        yield table
