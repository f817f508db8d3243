"""Measures on each scrape, at most every fifteen seconds; an unavailable tier has `up` 0.

Belongs here: from figures to samples, and the pause between measurements. Does not: serving them (`server`).
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trading_data.operations.exporter.families import FAMILIES, FINDINGS, OTHERS, TOOK, UP, exported_name
from trading_data.operations.health.collect import Measured, findings
from trading_data.operations.health.metric import Figures

PAUSE_SECONDS = 15.0
SIZES_SECONDS = 300.0
"""Sizes of tables are measured less often: that takes a millisecond a chunk on the embedded engine."""
_SIZES = ("timescale.table.bytes", "timescale.table.index_bytes")


class HealthCollector(Collector):
    """Gauges of all figures. The argument of `measure` is whether to measure sizes too; `clock` is in seconds."""

    def __init__(self, measure: Callable[[bool], Measured], clock: Callable[[], float] = time.monotonic) -> None:
        """Measures nothing yet."""
        self._measure, self._clock = measure, clock
        self._lock = threading.Lock()
        self._at, self._sizes_at = float("-inf"), float("-inf")
        self._sizes = Figures(())
        self._kept: list[Metric] = []

    def collect(self) -> Iterable[Metric]:
        """The families, measured now or within the last fifteen seconds."""
        with self._lock:
            begun = self._clock()
            if begun - self._at >= PAUSE_SECONDS:
                measured = self._measured(begun)
                self._at = self._clock()
                self._kept = families(measured, self._at - begun)
            return self._kept

    def _measured(self, at: float) -> Measured:
        due = at - self._sizes_at >= SIZES_SECONDS
        measured = self._measure(due)
        if due and "timescale" not in measured.away:
            self._sizes = Figures(tuple(figure for figure in measured.timescale if figure.name in _SIZES))
            self._sizes_at = at
        elif not due and "timescale" not in measured.away:
            together = Figures((*measured.timescale, *self._sizes), measured.timescale.texts)
            measured = replace(measured, timescale=together)
        return measured


def families(measured: Measured, seconds: float) -> list[Metric]:
    """Every declared family; a figure without a number has no sample."""
    gauges: dict[str, GaugeMetricFamily] = {}
    for name, family in FAMILIES.items():
        gauges[name] = GaugeMetricFamily(exported_name(name, family.unit), family.help, labels=["of"])
    for figure in measured:
        if figure.value is not None and figure.name in gauges:
            gauges[figure.name].add_metric([figure.subject], figure.value)
    up = GaugeMetricFamily(UP, OTHERS[UP], labels=["tier"])
    for tier in measured.tiers:
        up.add_metric([tier], float(tier not in measured.away))
    gauge_metric_family = GaugeMetricFamily(FINDINGS, OTHERS[FINDINGS], labels=["key", "severity"])
    for finding in findings(measured):
        gauge_metric_family.add_metric([finding.key, finding.severity], 1.0)
    return [up, gauge_metric_family, GaugeMetricFamily(TOOK, OTHERS[TOOK], value=seconds), *gauges.values()]
