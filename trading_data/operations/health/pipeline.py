"""The flow from the live tier to the archive: how fresh the archive is, what waits there, and when memory will be full.

Belongs here: measuring that, dataset by dataset. Does not: journals and intake (`journals`), the servers themselves (`redis`,
`timescale`), and judging.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from trading_data.archive.database import Archive
from trading_data.archive.ledger import quarantine_waiting
from trading_data.archive.sql import statement
from trading_data.datasets import DATASETS, METRICS
from trading_data.datasets.declaration import Dataset
from trading_data.errors import BadInput
from trading_data.intake.store import Intake
from trading_data.live.connection import Client, MemoryReading, live_errors, seconds_until_full
from trading_data.live.journal import (
    ROWS_PER_PIPELINE,
    EntryId,
    execute,
    server_ms,
)
from trading_data.operations.health.journals import measure_journals
from trading_data.operations.health.metric import Figures, Metric, Wanted, not_measured, numbered
from trading_data.operations.health.redis import servers
from trading_data.settings import Settings
from trading_data.times import now as present

MEMORY_USED = "redis.memory.used"
FORECAST_FROM = timedelta(minutes=15)
"""Age of the oldest reading from which the forecast of full memory is made."""
_READINGS, _SPAN = 3, 60.0
_PAGES = 20
_LONGEST = timedelta(days=30)

_STALE = "flow.archived.stale"
_FRESH: Wanted = (("flow.archived.age", "s"), (_STALE, "s"))
_ARCHIVE: Wanted = (
    ("flow.quarantine.waiting", "count"),
    *_FRESH,
    ("flow.refreshes.waiting", "count"),
    ("flow.refreshes.oldest", "s"),
)
_NOTHING = "nothing is archived yet"


def measure_flow(
    client: Client,
    archive: Archive,
    intake: Intake,
    now: datetime | None = None,
    *,
    calendar: str | None = None,
    away: Collection[str] = (),
) -> Figures:
    """The figures of each dataset's way, `subject` its name, and the seconds until memory is full.

    Args:
        client: from `connect_for_archiver`.
        archive: the archive tier.
        intake: between the two.
        now: aware; None for the present.
        calendar: name of the exchange whose hours freshness counts; None for TRADING_DATA_CALENDAR.
        away: `redis` or `timescale` if that tier is known not to answer: figures that need it have no number.

    Raises:
        LiveTierError, ArchiveTierError, SchemaError: a tier that is not in `away` does not answer.
        IntakeError: the intake cannot be listed.
    """
    moment = now or present()
    exchange = calendar or Settings.from_env().calendar
    figures: list[Metric] = []
    for dataset in DATASETS.values():
        figures += _of_dataset(client, archive, intake, dataset, moment, exchange, away)
    if "redis" not in away:
        figures += memory_forecast(client)
    return Figures(tuple(figures))


def memory_forecast(client: Client) -> Figures:
    """Seconds until the memory of each server is full, at its growth of the last minutes; raises as `measure_flow`."""
    return Figures(tuple(_forecasts(client)))


def freshness(archive: Archive, dataset: Dataset, now: datetime, *, calendar: str | None = None) -> Figures:
    """The age of the newest archived row of a dataset, and how much of that age counts; raises as `measure_flow`."""
    newest = _newest(archive, dataset, now)[0]
    values = _ages(dataset, newest, now, calendar or Settings.from_env().calendar)
    return Figures(tuple(_with_hours(dataset, numbered(_FRESH, dataset.name, values))))


def _of_dataset(
    client: Client,
    archive: Archive,
    intake: Intake,
    dataset: Dataset,
    moment: datetime,
    exchange: str,
    away: Collection[str],
) -> Iterator[Metric]:
    yield from measure_journals(client, archive, intake, dataset, moment, away)
    if "timescale" in away:
        yield from not_measured(_ARCHIVE, dataset.name, "timescale")
    else:
        values = tuple(_archived(archive, dataset, moment, exchange))
        yield from _with_hours(dataset, numbered(_ARCHIVE, dataset.name, values))


def _with_hours(dataset: Dataset, figures: Iterable[Metric]) -> Iterator[Metric]:
    """The figures; the age that counts only a market's hours gets words for that."""
    for figure in figures:
        counts = dataset.fresh_while_open and figure.name == _STALE
        yield replace(figure, about=", counting only while the market is open") if counts else figure


def _archived(archive: Archive, dataset: Dataset, moment: datetime, exchange: str) -> Iterator[float | str]:
    yield sum(count for count, _ in quarantine_waiting(archive, dataset).values())
    newest, waiting, since = _newest(archive, dataset, moment)
    yield from _ages(dataset, newest, moment, exchange)
    yield waiting
    yield 0.0 if since is None else max(0.0, (moment - since).total_seconds())


def _newest(archive: Archive, dataset: Dataset, moment: datetime) -> tuple[datetime | None, int, datetime | None]:
    """The newest archived row's time; how many ranges wait to be refreshed, and since when."""
    values = {"dataset": dataset.name, "today": moment.date()}
    with archive.transaction(snapshot=True, lock="1s", statement="10s") as cursor:
        cursor.execute(statement("health_newest"), values)
        (newest,) = cursor.fetchone() or (None,)
        cursor.execute(statement("health_refreshes"), values)
        waiting, since = cursor.fetchone() or (0, None)
    return newest, waiting, since


def _ages(dataset: Dataset, newest: datetime | None, moment: datetime, exchange: str) -> tuple[float | str, ...]:
    if newest is None:
        return (_NOTHING, _NOTHING)
    return ((moment - newest).total_seconds(), stale(dataset, newest, moment, exchange))


def stale(dataset: Dataset, newest: datetime, moment: datetime, exchange: str) -> float | str:
    """Seconds of a dataset's age that count, at most those of 30 days; or the reason why they are not known.

    For a dataset that is fresh while its exchange is open, nights, weekends and holidays do not count.
    """
    newest = max(newest, moment - _LONGEST)
    if newest >= moment:
        return 0.0
    if not dataset.fresh_while_open:
        return (moment - newest).total_seconds()
    from trading_data.calendars import TradingCalendar

    try:
        parts = TradingCalendar.named(exchange).explain_gap(newest, moment)
    except BadInput as error:
        return str(error)
    return sum((end - start).total_seconds() for start, end, state in parts if state == "missing")


def _forecasts(client: Client) -> Iterator[Metric]:
    """Seconds until memory is full, of each server, by its growth in the last minutes."""
    name, unit = "flow.memory.full_in", "s"
    with live_errors(client):
        now_ms = server_ms(client)
        past = _readings(client, now_ms)
        for subject, server in servers(client):
            info = server.info("memory")
            limit = int(info.get("maxmemory", 0))
            metric = f"{MEMORY_USED}.{subject}" if subject else MEMORY_USED
            used = [*past.get(metric, []), (now_ms / 1e3, float(info["used_memory"]))]
            if not limit:
                yield Metric(name, None, unit, subject, "no maxmemory is set")
            elif len(used) < _READINGS or used[-1][0] - used[0][0] < _SPAN:
                yield Metric(name, None, unit, subject, f"fewer than {_READINGS} readings in the last minutes")
            else:
                seconds = seconds_until_full([MemoryReading(at, int(value), limit) for at, value in used])
                yield Metric(name, seconds, unit, subject, "" if seconds is not None else "memory does not grow")


def _readings(client: Client, now_ms: int) -> dict[str, list[tuple[float, float]]]:
    """Moments and values of memory's measurements in the journal, oldest first; reads a limited number of pages."""
    readings: dict[str, list[tuple[float, float]]] = {}
    low, high = f"{now_ms - int(FORECAST_FROM.total_seconds() * 1000)}", "+"
    for _ in range(_PAGES):
        pipeline = client.pipeline(transaction=False)
        pipeline.xrevrange(METRICS.journal, high, low, ROWS_PER_PIPELINE)
        page: list[Any] = execute(client, pipeline, [])[0]
        for entry_id, flat in page:
            fields = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=False))
            metric = (fields or {}).get(b"metric_name", b"").decode("utf-8", "replace")
            if metric == MEMORY_USED or metric.startswith(f"{MEMORY_USED}."):
                try:
                    reading = EntryId.parse(entry_id).ms / 1e3, float(fields[b"value"])
                except (KeyError, ValueError):
                    continue
                readings.setdefault(metric, []).insert(0, reading)
        if len(page) < ROWS_PER_PIPELINE:
            break
        high = f"({page[-1][0].decode()}"
    return readings
