"""Thresholds as asset checks: some an asset, each saying the number, the limit, and what to do.

Each check costs three events a minute in Dagster's storage: that is why one looks at several thresholds.

Belongs here: Dagster's form of thresholds and figures. Does not: measuring, limits (`trading_data.operations.health`),
and the assets.
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
from trading_data.operations.health.sentences import as_text, label, sentence
from trading_data.operations.health.thresholds import ERROR, Finding, Threshold, condition, judge
from trading_data.orchestration.declared import FRESH
from trading_data.orchestration.metadata import bars
from trading_data.printable import span

_SHOWN = 200


def specs(asset: str, checks: Mapping[str, Sequence[str]]) -> list[dg.AssetCheckSpec]:
    """The checks of an asset; each looks at the thresholds of some keys."""
    return [dg.AssetCheckSpec(name, asset=asset, description=condition(_of(keys))) for name, keys in checks.items()]


def results(asset: str, checks: Mapping[str, Sequence[str]], figures: Figures) -> list[dg.AssetCheckResult]:
    """The checks of `specs`, by the figures."""
    return [_result(asset, name, _of(keys), figures) for name, keys in checks.items()]


def fresh_description(dataset: Dataset) -> str:
    """What the check on an archive asset looks at."""
    counted = ", counting only while the market is open" if dataset.fresh_while_open else ""
    return f"The newest archived row is at most {span(dataset.freshness.total_seconds())} old{counted}."


def fresh_result(archive: Archive, dataset: Dataset, now: datetime) -> dg.AssetCheckResult:
    """That check: by the newest archived row's own time, not by the last run."""
    chosen = [one for one in OF_FRESHNESS if one.of == dataset.name]
    return _result(dataset.table, FRESH, chosen, freshness(archive, dataset, now))


def report_freshness(instance: dg.DagsterInstance, archive: Archive, now: datetime) -> list[dg.AssetCheckEvaluation]:
    """Evaluate the check of every archive asset; those whose verdict is another than the last one are reported and returned.

    Archive runs report each of theirs; this one is for the minutes in which there is none, or none that succeeds.
    """
    keys = {dataset.name: dg.AssetCheckKey(dg.AssetKey(dataset.table), FRESH) for dataset in DATASETS.values()}
    known = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys.values()))
    reported = []
    for dataset in DATASETS.values():
        result = fresh_result(archive, dataset, now)
        record = known.get(keys[dataset.name])
        evaluation = None if record is None else record.evaluation  # of one that is only planned: no verdict
        last = evaluation.passed if isinstance(evaluation, dg.AssetCheckEvaluation) else None
        if last is None or last != result.passed:
            made = dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(dataset.table),
                check_name=FRESH,
                passed=result.passed,
                severity=result.severity,
                description=result.description,
                metadata=result.metadata,
            )
            instance.report_runless_asset_event(made)
            reported.append(made)
    return reported


def figures_metadata(figures: Figures, plots: dict[str, list[float]]) -> dict[str, Any]:
    """The figures as a table, what is not offered and why, the texts, and the plots of the last day by metric."""
    records = [
        dg.TableRecord({"figure": figure.name, "of": figure.of, "value": as_text(figure.value, figure.unit)})
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
        "last day": dg.MetadataValue.md("\n\n".join(drawn) or "nothing is archived of the last day"),
        **{
            name: dg.MetadataValue.md("\n".join(f"- {line}" for line in lines)) for name, lines in figures.texts.items()
        },
    }


def _of(keys: Sequence[str]) -> list[Threshold]:
    return [threshold for key in keys for threshold in THRESHOLDS if threshold.key == key]


def _result(asset: str, name: str, thresholds: Sequence[Threshold], figures: Figures) -> dg.AssetCheckResult:
    found = judge(thresholds, figures)
    names = dict.fromkeys(threshold.figure for threshold in thresholds)
    wanted = {threshold.of for threshold in thresholds}
    judged = [one for each in names for one in figures.named(each) if None in wanted or one.of in wanted]
    severe = any(one.severity == ERROR for one in found)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=not found,
        severity=dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN,
        description="; ".join(map(_said, found or judged)),
        metadata={one.metric: float(one.value) for one in judged if one.value is not None},
    )


def _said(finding: Finding | Metric) -> str:
    if isinstance(finding, Finding):
        return f"{finding.message}. Run `{finding.command}`"
    return sentence(finding)
