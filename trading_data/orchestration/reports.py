"""Which events a step sends to Dagster, and when: days that were handled, days that were not and why, verdicts of checks.

An event occupies one to four kilobytes in Dagster's storage for good, so an event without news is sent once an hour only. Dagster
shows a verdict as *Not Evaluated* after the asset's next materialization. Therefore a run that the clock started materializes
today once an hour too, and observes it in between; and a run that people see in Dagster's page sends every verdict if it
materializes anything. Whether a day was handled is decided in `archive.days`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg

from trading_data.orchestration.tags import BY_CLOCK, BY_PERSON
from trading_data.times import now

ANEW_AFTER = timedelta(hours=1)
"""A reported day or verdict without news is reported again after this time."""
Event = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation


class Reports:
    """The days of one run, and what was reported about them before."""

    def __init__(
        self, instance: dg.DagsterInstance, asked: Collection[str], days: Sequence[date], tags: Mapping[str, str]
    ) -> None:
        """`asked` are the assets that the run was requested for, `days` the days of its partitions, `tags` its tags."""
        self.days = list(days)
        self.by_clock = not tags.keys().isdisjoint(BY_CLOCK)
        self._on_page = self.by_clock or not tags.keys().isdisjoint(BY_PERSON)
        self._instance, self._asked = instance, set(asked)

    def every_verdict(self, sent: Iterable[Event]) -> bool:
        """Whether to send all verdicts of an asset: if `sent` has a materialization, in a run that Dagster's page shows."""
        return self._on_page and any(isinstance(event, dg.AssetMaterialization) for event in sent)

    def unreported(self, asset: str, days: Iterable[date]) -> set[date]:
        """The days that were not reported as handled in the last hour."""
        wanted = sorted(set(days))
        if not wanted:
            return set()
        chosen = dg.AssetRecordsFilter(
            dg.AssetKey(asset),
            asset_partitions=list(map(str, wanted)),
            after_timestamp=(now() - ANEW_AFTER).timestamp(),
        )
        reported: set[str | None] = set()
        cursor = None
        while True:
            page = self._instance.fetch_materializations(chosen, limit=1000, cursor=cursor)
            reported |= {record.partition_key for record in page.records}
            cursor = page.cursor
            if not page.has_more:
                return {day for day in wanted if str(day) not in reported}

    def not_green(self, asset: str, days: Iterable[date]) -> set[date]:
        """The days that are not green: from before an upgrade, or from a run that died before it reported them."""
        green = self._instance.get_materialized_partitions(dg.AssetKey(asset))
        return {day for day in days if str(day) not in green}

    def is_green(self, asset: str, day: date) -> bool:
        """Whether a day is green, so that Dagster goes on showing it so."""
        return not self.not_green(asset, [day])

    def is_due(self, asset: str, day: date, unreported: Collection[date]) -> bool:
        """Whether to report a day that was handled: if the run was requested for it, or there is news."""
        return day in unreported or (asset in self._asked and day in self.days)

    def not_handled(
        self, asset: str, day: date, reason: str, figures: Mapping[str, Any] | None = None, *, news: bool = False
    ) -> Iterator[dg.AssetObservation]:
        """Report why a day is not green, if the run was requested for it or that is news."""
        if news or (asset in self._asked and day in self.days):
            description = f"{day} is not green: {reason}"
            yield dg.AssetObservation(asset, partition=str(day), description=description, metadata=figures)


def handled(asset: str, day: date, figures: Mapping[str, Any]) -> dg.AssetMaterialization:
    """The event that turns a day green."""
    return dg.AssetMaterialization(asset, partition=str(day), metadata=figures)


def emptied(asset: str, day: date, figures: Mapping[str, Any]) -> dg.AssetMaterialization:
    """The event of a green day without a row any more: Dagster cannot take a green back, so the figures are brought up to date."""
    return handled(asset, day, {**figures, "note": "no row is left: each was corrected to another day"})


def still_handled(asset: str, day: date, figures: Mapping[str, Any]) -> dg.AssetObservation:
    """The event with new figures of a day that is green already."""
    return dg.AssetObservation(asset, partition=str(day), metadata=figures)


def news(
    instance: dg.DagsterInstance, results: Iterable[dg.AssetCheckResult], *, words: bool = True, every: bool = False
) -> list[dg.AssetCheckEvaluation]:
    """The verdicts to send: all with `every`, else those of `new_verdicts`."""
    if every:
        return list(map(as_evaluation, results))
    return new_verdicts(instance, map(as_evaluation, results), now(), words=words)


def new_verdicts(
    instance: dg.DagsterInstance, verdicts: Iterable[dg.AssetCheckEvaluation], moment: datetime, *, words: bool = True
) -> list[dg.AssetCheckEvaluation]:
    """The verdicts that differ from their last evaluation, or whose last evaluation is an hour old.

    A verdict that stays red is news if its description changes. Descriptions with ages always change: `words=False` ignores them.
    """
    given = {dg.AssetCheckKey(verdict.asset_key, verdict.check_name): verdict for verdict in verdicts}
    known = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(given))
    changed = []
    for key, verdict in given.items():
        record = known.get(key)
        last = record.evaluation if record is not None else None  # None if the check is only planned
        if record is None or not isinstance(last, dg.AssetCheckEvaluation):
            changed.append(verdict)
            continue
        same = (last.passed, last.severity) == (verdict.passed, verdict.severity)
        same = same and (verdict.passed or not words or last.description == verdict.description)
        if not same or moment.timestamp() - record.create_timestamp >= ANEW_AFTER.total_seconds():
            changed.append(verdict)
    return changed


def standing(instance: dg.DagsterInstance, asset: str, check: str) -> Iterator[dg.AssetCheckEvaluation]:
    """The last verdict of a check once more, for a run that materializes the asset and changes none of its data."""
    key = dg.AssetCheckKey(dg.AssetKey(asset), check)
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).get(key)
    last = None if record is None else record.evaluation
    if isinstance(last, dg.AssetCheckEvaluation):
        yield dg.AssetCheckEvaluation(
            asset_key=last.asset_key,
            check_name=last.check_name,
            passed=last.passed,
            severity=last.severity,
            description=last.description,
            metadata=last.metadata,
            blocking=last.blocking,
        )


def as_evaluation(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """A check's result as an event. Raises ValueError if the result does not name its asset and its check."""
    if result.asset_key is None or result.check_name is None:
        raise ValueError("a verdict that is reported must name its asset and its check")
    return dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
        blocking=False,
    )
