"""Thresholds as asset checks: a few for each asset, each with the number, the limit, and the command that helps.

A verdict costs three events in Dagster's storage, so one check covers several thresholds. Measuring and limits are in
`trading_data.operations.health`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from trading_data.archive.database import Archive
from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Dataset
from trading_data.operations.health.metric import Figures, Metric
from trading_data.operations.health.pipeline import freshness
from trading_data.operations.health.rules import OF_FRESHNESS, THRESHOLDS
from trading_data.operations.health.thresholds import (
    ERROR,
    Finding,
    Threshold,
    as_text,
    condition,
    judge,
    label,
    sentence,
)
from trading_data.orchestration.declared import FRESH
from trading_data.orchestration.metadata import bars
from trading_data.orchestration.reports import as_evaluation
from trading_data.printable import span

_SHOWN = 200


def specs(asset: str, checks: Mapping[str, Sequence[str]]) -> list[dg.AssetCheckSpec]:
    """The checks of an asset; `checks` has the keys of the thresholds that each covers."""
    return [
        dg.AssetCheckSpec(name, asset=asset, description=condition(_thresholds(keys))) for name, keys in checks.items()
    ]


def results(asset: str, checks: Mapping[str, Sequence[str]], figures: Figures) -> list[dg.AssetCheckResult]:
    """The verdicts of the checks of `specs` on some figures."""
    return [_result(asset, name, _thresholds(keys), figures) for name, keys in checks.items()]


def fresh_description(dataset: Dataset) -> str:
    """The condition of the freshness check of a dataset."""
    counted = ", counting only while the market is open" if dataset.fresh_while_open else ""
    return f"The newest archived row is at most {span(dataset.freshness.total_seconds())} old{counted}."


def fresh_result(archive: Archive, dataset: Dataset, now: datetime, calendar: str) -> dg.AssetCheckResult:
    """The verdict of that check, by the newest archived row's own time. `calendar` names the exchange whose hours count."""
    thresholds = [threshold for threshold in OF_FRESHNESS if threshold.subject == dataset.name]
    return _result(dataset.table, FRESH, thresholds, freshness(archive, dataset, now, calendar=calendar))


def report_freshness(
    instance: dg.DagsterInstance, archive: Archive, now: datetime, calendar: str
) -> list[dg.AssetCheckEvaluation]:
    """Evaluate the freshness check of every archive asset; report and return the verdicts that changed.

    Archive runs report theirs. This covers the time when no run starts, or none succeeds.
    """
    keys = {dataset.name: dg.AssetCheckKey(dg.AssetKey(dataset.table), FRESH) for dataset in DATASETS.values()}
    known = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys.values()))
    reported = []
    for dataset in DATASETS.values():
        verdict = as_evaluation(fresh_result(archive, dataset, now, calendar))
        record = known.get(keys[dataset.name])
        last = None if record is None else record.evaluation  # a check that is only planned has no verdict
        if not isinstance(last, dg.AssetCheckEvaluation) or last.passed != verdict.passed:
            instance.report_runless_asset_event(verdict)
            reported.append(verdict)
    return reported


def figures_metadata(figures: Figures, plots: dict[str, list[float]]) -> dict[str, Any]:
    """The figures as a table, those that are not available and why, the texts, and plots of the last day by metric."""
    records = [
        dg.TableRecord({"figure": figure.name, "of": figure.subject, "value": as_text(figure.value, figure.unit)})
        for figure in figures
        if figure.value is not None
    ]
    missing = [f"- `{figure.metric}`: {sentence(figure)}" for figure in figures if figure.value is None]
    units = {figure.metric: figure.unit for figure in figures}
    drawn = [
        f"`{bars(values)}` {label(name)}: at most {as_text(max(values), units.get(name, ''))}"
        for name, values in plots.items()
        if values
    ]
    return {
        "figures": dg.MetadataValue.table(records[:_SHOWN]),
        "not offered": dg.MetadataValue.md("\n".join(missing[:_SHOWN]) or "nothing is missing"),
        "last day": dg.MetadataValue.md("\n\n".join(drawn) or "the last day has no archived figures"),
        **{
            name: dg.MetadataValue.md("\n".join(f"- {line}" for line in lines)) for name, lines in figures.texts.items()
        },
    }


def _thresholds(keys: Sequence[str]) -> list[Threshold]:
    return [threshold for key in keys for threshold in THRESHOLDS if threshold.key == key]


def _result(asset: str, name: str, thresholds: Sequence[Threshold], figures: Figures) -> dg.AssetCheckResult:
    findings = judge(thresholds, figures)
    names = dict.fromkeys(threshold.figure for threshold in thresholds)
    wanted = {threshold.subject for threshold in thresholds}
    judged = [
        metric for figure in names for metric in figures.named(figure) if None in wanted or metric.subject in wanted
    ]
    severe = any(finding.severity == ERROR for finding in findings)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=not findings,
        severity=dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN,
        description="; ".join(map(_line, findings or judged)),
        metadata={metric.metric: float(metric.value) for metric in judged if metric.value is not None},
    )


def _line(finding: Finding | Metric) -> str:
    if isinstance(finding, Finding):
        return f"{finding.message}. Run `{finding.command}`"
    return sentence(finding)
