"""How the data flow from the live tier to the archive: what waits where, and for how long; when the memory will be full.

Belongs here: measuring that, dataset by dataset. Does not: the servers themselves (`redis`, `timescale`), and judging.
"""

from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from typing import Any, cast

from trading_data.archive.database import Archive
from trading_data.archive.ledger import archived_positions, quarantine_waiting
from trading_data.archive.sql import statement
from trading_data.datasets import DATASETS, METRICS
from trading_data.datasets.declaration import Dataset
from trading_data.errors import BadInput, IntakeError
from trading_data.health.figures import Figure, Figures
from trading_data.health.redis import servers
from trading_data.intake.snapshot import noted_positions
from trading_data.intake.store import Intake
from trading_data.live.connection import Client, live_errors
from trading_data.live.journal import (
    BEGINNING,
    ROWS_PER_PIPELINE,
    EntryId,
    JournalInfo,
    execute,
    find_journals,
    inspect,
    raw,
    server_ms,
)
from trading_data.live.memory import Memory, seconds_until_full
from trading_data.settings import Settings
from trading_data.status import in_waiting, undrained_of
from trading_data.times import now as present

MEMORY_USED = "redis.memory.used"
FORECAST_FROM = timedelta(minutes=15)
"""How far back the readings go from which the moment is forecast at which memory is full."""
_READINGS, _SPAN = 3, 60.0
_PAGES = 20
_SAMPLED = 16
_HEADS = 50
_LONGEST = timedelta(days=30)

Wanted = tuple[tuple[str, str], ...]
_LIVE: Wanted = (
    ("flow.journal.count", "count"),
    ("flow.journal.length", "count"),
    ("flow.journal.undrained", "count"),
    ("flow.journal.bytes", "bytes"),
)
_INTAKE: Wanted = (("flow.batches.waiting", "count"), ("flow.batches.oldest", "s"))
_BOTH: Wanted = (("flow.journal.unarchived", "count"), ("flow.journal.oldest", "s"))
_FRESH: Wanted = (("flow.archived.age", "s"), ("flow.archived.stale", "s"))
_ARCHIVE: Wanted = (
    ("flow.quarantine.waiting", "count"),
    *_FRESH,
    ("flow.refreshes.waiting", "count"),
    ("flow.refreshes.oldest", "s"),
)
_NOTHING = "nothing is archived yet"
_AWAY = {"redis": "the live tier could not be measured", "timescale": "the archive could not be measured"}


def measure_flow(
    client: Client,
    archive: Archive,
    intake: Intake,
    now: datetime | None = None,
    *,
    calendar: str | None = None,
    away: Collection[str] = (),
) -> Figures:
    """The figures of each dataset's way, `of` its name, and the seconds until memory is full.

    Args:
        client: of the live tier.
        archive: the archive tier.
        intake: between the two.
        now: aware; None for the present.
        calendar: name of the exchange whose hours freshness counts; None for TRADING_DATA_CALENDAR.
        away: `redis` or `timescale` if that tier is known not to answer: what needs it is not offered, the rest is.

    Raises:
        LiveTierError, ArchiveTierError, SchemaError: a tier that was not said to be away is.
        IntakeError: the intake cannot be listed.
    """
    moment = now or present()
    exchange = calendar or Settings.from_env().calendar
    figures: list[Figure] = []
    for dataset in DATASETS.values():
        figures += _of_dataset(client, archive, intake, dataset, moment, exchange, away)
    if "redis" not in away:
        figures += memory_forecast(client)
    return Figures(tuple(figures))


def memory_forecast(client: Client) -> Figures:
    """Seconds until the memory of each server is full, by its growth in the last minutes; raises as `measure_flow`."""
    return Figures(tuple(_forecasts(client)))


def freshness(archive: Archive, dataset: Dataset, now: datetime, *, calendar: str | None = None) -> Figures:
    """How old the newest archived row of a dataset is, and how much of that counts; raises as `measure_flow`."""
    newest = _newest(archive, dataset, now)[0]
    values = _ages(dataset, newest, now, calendar or Settings.from_env().calendar)
    return Figures(tuple(_figures(_FRESH, dataset.name, values)))


def _of_dataset(
    client: Client,
    archive: Archive,
    intake: Intake,
    dataset: Dataset,
    moment: datetime,
    exchange: str,
    away: Collection[str],
) -> Iterator[Figure]:
    of = dataset.name
    files = intake.pending(of)
    oldest = max(0.0, moment.timestamp() - files[0].turn / 1e9) if files else 0.0
    yield from _figures(_INTAKE, of, (len(files), oldest))
    infos: dict[str, JournalInfo] = {}
    if "redis" in away:
        yield from _none(_LIVE, of, "redis")
    else:
        infos = inspect(client, find_journals(client, dataset))
        undrained = undrained_of(noted_positions(client, dataset), infos)
        length = sum(info.length for info in infos.values())
        yield from _figures(_LIVE, of, (len(infos), length, undrained, _bytes(client, infos)))
    if away:
        yield from _none(_BOTH, of, next(iter(away)))
    else:
        positions = archived_positions(archive, dataset, list(infos))
        behind = {name: positions.get(name, BEGINNING) for name in infos}
        behind = {name: position for name, position in behind.items() if position < infos[name].last}
        entries: float | str = float(undrained if behind else 0)
        if behind and files:
            entries = _with_waiting(undrained, lambda: in_waiting(intake, files), len(files))
        yield from _figures(_BOTH, of, (entries, _oldest(client, behind)))
    if "timescale" in away:
        yield from _none(_ARCHIVE, of, "timescale")
    else:
        yield from _figures(_ARCHIVE, of, tuple(_archived(archive, dataset, moment, exchange)))


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
    """Seconds of a dataset's age that count, at most those of 30 days; or why that is not known.

    Where it is fresh while its exchange is open, a night, a weekend or a holiday does not make it older.
    """
    newest = max(newest, moment - _LONGEST)
    if newest >= moment:
        return 0.0
    if not dataset.fresh_while_open:
        return (moment - newest).total_seconds()
    from trading_data.sessions import TradingCalendar

    try:
        parts = TradingCalendar.named(exchange).explain_gap(newest, moment)
    except BadInput as error:
        return str(error)
    return sum((end - start).total_seconds() for start, end, state in parts if state == "missing")


def _with_waiting(undrained: int, count: Callable[[], int], files: int) -> float | str:
    if files > _HEADS:
        return f"{files} batches wait, too many to open each: `trading-data status` counts them"
    try:
        return float(undrained + count())
    except IntakeError as error:
        return str(error)


def _oldest(client: Client, behind: dict[str, EntryId]) -> float:
    """Seconds since the oldest entry was added that lies after these positions; 0 where there is none."""
    oldest: int | None = None
    names = list(behind)
    for start in range(0, len(names), ROWS_PER_PIPELINE):
        pipeline = client.pipeline(transaction=False)
        for name in names[start : start + ROWS_PER_PIPELINE]:
            pipeline.xrange(cast(str, raw(name)), f"({behind[name]}", "+", 1)
        firsts = [EntryId.parse(found[0][0]).ms for found in execute(client, pipeline, []) if found]
        oldest = min([*firsts, *([] if oldest is None else [oldest])], default=None)
    return 0.0 if oldest is None else max(0.0, (server_ms(client) - oldest) / 1e3)


def _bytes(client: Client, infos: dict[str, JournalInfo]) -> float:
    """What the journals take, by some of them: their bytes an entry, times all entries, is near enough."""
    names = sorted(infos)
    chosen = names[:: max(1, len(names) // _SAMPLED)][:_SAMPLED]
    if not chosen:
        return 0.0
    pipeline = client.pipeline(transaction=False)
    for name in chosen:
        pipeline.memory_usage(cast(str, raw(name)))
    found = sum(int(one or 0) for one in execute(client, pipeline, 0))
    entries = sum(infos[name].length for name in chosen)
    total = sum(info.length for info in infos.values())
    return found * total / entries if entries else found * len(names) / len(chosen)


def _forecasts(client: Client) -> Iterator[Figure]:
    """Seconds until memory is full, of each server, by its growth in the last minutes."""
    name, unit = "flow.memory.full_in", "s"
    with live_errors(client):
        now_ms = server_ms(client)
        past = _readings(client, now_ms)
        for of, server in servers(client):
            info = server.info("memory")
            limit = int(info.get("maxmemory", 0))
            metric = f"{MEMORY_USED}.{of}" if of else MEMORY_USED
            used = [*past.get(metric, []), (now_ms / 1e3, float(info["used_memory"]))]
            if not limit:
                yield Figure(name, None, unit, of, "no maxmemory is set")
            elif len(used) < _READINGS or used[-1][0] - used[0][0] < _SPAN:
                yield Figure(name, None, unit, of, f"fewer than {_READINGS} readings in the last minutes")
            else:
                seconds = seconds_until_full([Memory(at, int(value), limit) for at, value in used])
                yield Figure(name, seconds, unit, of, "" if seconds is not None else "memory does not grow")


def _readings(client: Client, now_ms: int) -> dict[str, list[tuple[float, float]]]:
    """Moments and values of memory's measurements in the journal, oldest first; no more of it is read than some pages."""
    found: dict[str, list[tuple[float, float]]] = {}
    low, high = f"{now_ms - int(FORECAST_FROM.total_seconds() * 1000)}", "+"
    for _ in range(_PAGES):
        pipeline = client.pipeline(transaction=False)
        pipeline.xrevrange(METRICS.journal, high, low, ROWS_PER_PIPELINE)
        page: list[Any] = execute(client, pipeline, [])[0]
        for entry_id, given in page:
            fields = given if isinstance(given, dict) else dict(zip(given[::2], given[1::2], strict=False))
            metric = (fields or {}).get(b"metric_name", b"").decode("utf-8", "replace")
            if metric == MEMORY_USED or metric.startswith(f"{MEMORY_USED}."):
                try:
                    reading = EntryId.parse(entry_id).ms / 1e3, float(fields[b"value"])
                except (KeyError, ValueError):
                    continue
                found.setdefault(metric, []).insert(0, reading)
        if len(page) < ROWS_PER_PIPELINE:
            break
        high = f"({page[-1][0].decode()}"
    return found


def _figures(wanted: Wanted, of: str, values: tuple[float | str, ...]) -> Iterator[Figure]:
    for (name, unit), value in zip(wanted, values, strict=True):
        if isinstance(value, str):
            yield Figure(name, None, unit, of, value)
        else:
            yield Figure(name, float(value), unit, of)


def _none(wanted: Wanted, of: str, tier: str) -> Iterator[Figure]:
    return (Figure(name, None, unit, of, _AWAY[tier]) for name, unit in wanted)
