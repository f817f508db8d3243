"""What a step tells Dagster: days that were handled, own days that were not and why, and verdicts of checks.

An event costs one to four kilobytes in Dagster's storage for ever. So what says nothing new is told once an hour. Dagster shows
a verdict as *Not Evaluated* from the asset's next materialization on: a run that the clock started materializes the day that goes
on once an hour too, and observes it in between; and a run that Dagster's page shows tells every verdict if it materializes.

Belongs here: when something is told. Does not: whether a day was handled (`archive.closed`), and figures (`metadata`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg

from trading_data.times import now

ANEW_AFTER = timedelta(hours=1)
"""How long a day that was told, or a verdict, is not told again if nothing is new."""
_CLOCK = ("dagster/schedule_name", "dagster/sensor_name")
_PERSON = ("dagster/from_ui", "dagster/backfill", "trading_data/trigger")
"""Tags of runs that a schedule or sensor started, and of those that somebody asked for, on the page or on the command line."""
Event = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation


class Reports:
    """The days of one run, and what was told of them before."""

    def __init__(
        self, instance: dg.DagsterInstance, asked: Collection[str], days: Sequence[date], tags: Mapping[str, str]
    ) -> None:
        """`asked` are the assets that the run was asked for, `days` those of its partitions, `tags` its tags."""
        self.days = list(days)
        self.by_clock = not tags.keys().isdisjoint(_CLOCK)
        self._on_page = self.by_clock or not tags.keys().isdisjoint(_PERSON)
        self._instance, self._asked = instance, set(asked)

    def every_verdict(self, told: Iterable[Event]) -> bool:
        """Whether all verdicts of an asset are told, because `told` of it has a materialization that Dagster's page shows."""
        return self._on_page and any(isinstance(one, dg.AssetMaterialization) for one in told)

    def untold(self, asset: str, days: Iterable[date]) -> set[date]:
        """Those of `days` that were not told in the last hour as handled."""
        wanted = sorted(set(days))
        if not wanted:
            return set()
        chosen = dg.AssetRecordsFilter(
            dg.AssetKey(asset),
            asset_partitions=list(map(str, wanted)),
            after_timestamp=(now() - ANEW_AFTER).timestamp(),
        )
        told: set[str | None] = set()
        cursor = None
        while True:
            page = self._instance.fetch_materializations(chosen, limit=1000, cursor=cursor)
            told |= {record.partition_key for record in page.records}
            cursor = page.cursor
            if not page.has_more:
                return {day for day in wanted if str(day) not in told}

    def never_told(self, asset: str, days: Iterable[date]) -> set[date]:
        """Those of `days` that are not green: of before an upgrade, or of a run that died before it told them."""
        green = self._instance.get_materialized_partitions(dg.AssetKey(asset))
        return {day for day in days if str(day) not in green}

    def is_due(self, asset: str, day: date, untold: Collection[date]) -> bool:
        """Whether a day that was handled is told: it is one that the run was asked for, or there is news."""
        return day in untold or (asset in self._asked and day in self.days)

    def not_handled(
        self, asset: str, day: date, said: str, figures: Mapping[str, Any] | None = None, *, news: bool = False
    ) -> Iterator[dg.AssetObservation]:
        """Say why a day is not green, if the run was asked for it, or if that is news."""
        if news or (asset in self._asked and day in self.days):
            text = f"{day} is not green: {said}"
            yield dg.AssetObservation(asset, partition=str(day), description=text, metadata=figures)


def handled(asset: str, day: date, figures: Mapping[str, Any]) -> dg.AssetMaterialization:
    """What turns a day green."""
    return dg.AssetMaterialization(asset, partition=str(day), metadata=figures)


def still_handled(asset: str, day: date, figures: Mapping[str, Any]) -> dg.AssetObservation:
    """The new figures of a day that is green."""
    return dg.AssetObservation(asset, partition=str(day), metadata=figures)


def news(
    instance: dg.DagsterInstance, results: Iterable[dg.AssetCheckResult], *, words: bool = True, every: bool = False
) -> list[dg.AssetCheckEvaluation]:
    """Those verdicts that are news, and those that were told an hour ago, or with `every` all; `words` as for `new_verdicts`."""
    if every:
        return list(map(as_evaluation, results))
    return new_verdicts(instance, map(as_evaluation, results), now(), words=words)


def new_verdicts(
    instance: dg.DagsterInstance, found: Iterable[dg.AssetCheckEvaluation], moment: datetime, *, words: bool = True
) -> list[dg.AssetCheckEvaluation]:
    """Those of `found` that differ from the last evaluation, or whose last one is an hour old.

    A verdict that stays red is news when its description changes, unless `words` is False: for descriptions with ages in them.
    """
    given = {dg.AssetCheckKey(one.asset_key, one.check_name): one for one in found}
    known = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(given))
    changed = []
    for key, one in given.items():
        record = known.get(key)
        last = record.evaluation if record is not None else None  # None of one that is only planned
        if record is None or not isinstance(last, dg.AssetCheckEvaluation):
            changed.append(one)
            continue
        same = (last.passed, last.severity) == (one.passed, one.severity)
        same = same and (one.passed or not words or last.description == one.description)
        if not same or moment.timestamp() - record.create_timestamp >= ANEW_AFTER.total_seconds():
            changed.append(one)
    return changed


def as_evaluation(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """A check's result as the event that tells it; the result names its asset and its check."""
    if result.asset_key is None or result.check_name is None:
        raise ValueError("a verdict that is told names its asset and its check")
    return dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
        blocking=False,
    )
