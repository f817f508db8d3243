"""`/metrics` over HTTP: each figure by its name, measured on a scrape, at most every fifteen seconds.

Connections have short time-outs, and an unavailable tier has `up` 0.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trading_data.archive.database import Archive
from trading_data.errors import ServerError
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.operations.health.collect import Measured, findings, measure_all
from trading_data.operations.health.meanings import FIGURES, Meaning
from trading_data.operations.health.metric import Figures
from trading_data.settings import Settings
from trading_data.times import now

PREFIX = "trading_data"
_SUFFIX = {"bytes": "bytes", "s": "seconds", "ratio": "ratio", "per s": "per_second", "count": ""}


FAMILIES: dict[str, Meaning] = {
    name: figure for name, figure in FIGURES.items() if not name.startswith(("dagster.", "flow.backup."))
}
"""The figures that are measured on both tiers."""
UP, FINDINGS, TOOK = f"{PREFIX}_up", f"{PREFIX}_finding", f"{PREFIX}_measuring_seconds"
OTHERS = {
    UP: "1 where a tier (redis, timescale, flow) could be measured",
    FINDINGS: "1 for each finding there is now, by its key",
    TOOK: "How long the last measurement took",
}


def exported_name(figure: str, unit: str) -> str:
    """The name of a figure's family: `redis.memory.used` in bytes is `trading_data_redis_memory_used_bytes`."""
    name = "_".join([PREFIX, *figure.split(".")])
    suffix = _SUFFIX[unit]
    return name if not suffix or name.endswith(f"_{suffix}") else f"{name}_{suffix}"


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


PORT = 9464
_SECONDS = 2


class Exporter:
    """A server of `/metrics` in a thread of this process; `url` says where."""

    def __init__(self, settings: Settings, *, host: str = "127.0.0.1", port: int = PORT, other: bool = False) -> None:
        """Serve the figures of the system that `settings` name.

        Args:
            settings: with the URLs of both tiers.
            host: address to listen at.
            port: port to listen at; 0 for any.
            other: take any other port if that one is taken.

        Raises:
            SettingError: a URL is missing.
            ServerError: the port is taken.
        """
        from prometheus_client import CollectorRegistry

        self._settings = settings
        self._client = connect_for_archiver(settings.require_redis_url(), timeout=float(_SECONDS))
        self._archive = Archive(settings.require_timescale_url(), connect_timeout=_SECONDS, statement="10s")
        self._intake = Intake(settings.intake_uri)
        registry = CollectorRegistry()
        registry.register(HealthCollector(self._measure))
        self._server, self._thread = _serve(registry, host, port, other)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Stop serving, close the connections."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._client.close()
        self._archive.close()

    def _measure(self, sizes: bool) -> Measured:
        return measure_all(
            self._client, self._archive, self._intake, now(), calendar=self._settings.calendar, sizes=sizes
        )


def _serve(registry: Any, host: str, port: int, other: bool) -> tuple[Any, threading.Thread]:
    from prometheus_client import start_http_server

    try:
        return start_http_server(port, host, registry)
    except OSError as error:
        if other and port:
            return _serve(registry, host, 0, other=False)
        raise ServerError(
            f"cannot listen at port {port} of {host} ({error.strerror or error}): choose another with --port"
        ) from error
