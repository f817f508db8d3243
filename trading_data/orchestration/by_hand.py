"""Runs started on the command line: executed in this process, waited for, and recorded by Dagster like any other run."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import dagster as dg

from trading_data.archive.aggregates.refresh import days_to_refresh
from trading_data.archive.database import Archive
from trading_data.datasets import DATASETS
from trading_data.errors import BadInput
from trading_data.orchestration.build import build_defs
from trading_data.orchestration.declared import ARCHIVE_JOB, BACKFILL_JOB, HISTORY
from trading_data.orchestration.partitions import daily, few_ranges
from trading_data.orchestration.resources import Environment
from trading_data.orchestration.run_findings import first_line
from trading_data.orchestration.storage import instance_of
from trading_data.orchestration.tags import BY_HAND, TRIGGER, range_tags
from trading_data.settings import Settings
from trading_data.sources.vendors.choose import FORMS, VENDOR


@dataclass(frozen=True)
class FinishedRun:
    """A finished run: what ran, in words, and why it failed, or None."""

    run_id: str
    description: str
    failed: str | None


def archive_now(settings: Settings, home: Path | None, moment: datetime, archive: Archive) -> Iterator[FinishedRun]:
    """One run of the archive job for the day of `moment`, then one for each range of days that waits for its aggregates.

    Args:
        settings: with the addresses of the running servers.
        home: the folder with `dagster.yaml`; None for an instance that keeps no runs.
        moment: aware.
        archive: the archive, which lists the days that wait.

    Yields:
        Each run once it has ended; none after a run that failed.
    """
    defs = build_defs()
    with _instance(home, settings) as instance:
        done = _execute(defs, instance, ARCHIVE_JOB, None, moment.date(), moment.date())
        yield done
        late = [] if done.failed else list(_late(archive))
        if late:
            defs = build_defs()  # older rows may have moved the first partition back
        for names, first, last in late:
            yield _execute(defs, instance, None, names, first, last)


def run_now(settings: Settings, home: Path | None, names: Sequence[str], first: date, last: date) -> FinishedRun:
    """Run one job, or assets, and wait; `first` to `last` are the days, ignored if what runs has no partitions.

    Raises:
        BadInput: a name is neither a job nor an asset, or a job was named together with others, or a day is no partition, or
            bars are to be fetched and no vendor is named.
    """
    defs = build_defs()
    jobs = {job.name for job in defs.jobs or ()}
    assets = {key.to_user_string() for key in defs.resolve_asset_graph().executable_asset_keys}
    for name in names:
        if name not in jobs | assets:
            near = get_close_matches(name, jobs | assets, 1)
            hint = f"did you mean {near[0]}?" if near else f"jobs are {', '.join(sorted(jobs))}"
            raise BadInput(f"there is no job or asset {name!r}: {hint}")
    if len(names) > 1 and jobs & set(names):
        raise BadInput("name one job, or any number of assets")
    if not Environment().vendor and not {BACKFILL_JOB, HISTORY}.isdisjoint(names):
        raise BadInput(f"no vendor is named, so there are no bars to fetch: set {VENDOR} to {FORMS}")
    with _instance(home, settings) as instance:
        if names[0] in jobs:
            return _execute(defs, instance, names[0], None, first, last)
        return _execute(defs, instance, None, names, first, last)


def _late(archive: Archive) -> Iterator[tuple[list[str], date, date]]:
    """The aggregates of a dataset, and a range of days that waits for their refresh."""
    stale = days_to_refresh(archive)
    for dataset in DATASETS.values():
        names = [aggregate.name for aggregate in dataset.aggregates]
        for first, last in few_ranges([day for name in names for day in stale.get(name, [])]):
            yield names, first, last


def _execute(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    job_name: str | None,
    assets: Iterable[str] | None,
    first: date,
    last: date,
) -> FinishedRun:
    job = defs.resolve_job_def(job_name) if job_name else defs.resolve_implicit_global_asset_job_def()
    selection = None if assets is None else [dg.AssetKey(name) for name in assets]
    what = job_name or ", ".join(sorted(assets or ()))
    tags: dict[str, Any] = {TRIGGER: BY_HAND}
    key: str | None = None
    if _has_days(defs, job, selection):
        _check_days(first, last)
        what += f" for {first}" if first == last else f" for {first} to {last}"
        if first == last:
            key = str(first)
        else:
            tags |= range_tags(first, last)
    with _quiet():
        done = job.execute_in_process(
            instance=instance, asset_selection=selection, partition_key=key, tags=tags, raise_on_error=False
        )
    failed = None if done.success else first_line(instance, done.dagster_run)
    return FinishedRun(done.run_id, f"{what}: run {done.run_id[:8]}", failed)


def _has_days(defs: dg.Definitions, job: dg.JobDefinition, selection: Sequence[dg.AssetKey] | None) -> bool:
    if selection is None:
        return job.partitions_def is not None
    graph = defs.resolve_asset_graph()
    return any(graph.get(key).partitions_def is not None for key in selection)


def _check_days(first: date, last: date) -> None:
    """Raise BadInput unless both are partitions."""
    known = daily(Environment()).get_partition_keys()
    for day in (first, last):
        if str(day) not in known:
            raise BadInput(
                f"{day} is no partition: there are those from {known[0]} to {known[-1]}; they begin with the data, or on the day "
                "that TRADING_DATA_START names"
            )


@contextmanager
def _instance(home: Path | None, settings: Settings) -> Iterator[dg.DagsterInstance]:
    if home is None:
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance
        return
    with instance_of(home, settings) as instance:
        yield instance


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Dagster's log lines about each event: the run's page has them, and the caller prints the result."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
