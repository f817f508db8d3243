"""`/metrics` over HTTP, measured through connections with short time-outs."""

import threading
from typing import Any

from trading_data.archive.database import Archive
from trading_data.errors import ServerError
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.operations.health.collect import Measured, measure_all
from trading_data.settings import Settings
from trading_data.times import now

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

        from trading_data.operations.exporter.collector import HealthCollector

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
