"""`trading-data exporter`: the figures for Prometheus.

Belongs here: options, and waiting for the end. Does not: measuring and serving (`trading_data.operations.exporter`).
"""

import signal
import threading

import click

from trading_data.cli.servers import settings_of_running
from trading_data.operations.exporter.server import PORT, Exporter


@click.command("exporter")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Port; 0 for any.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
def command(port: int, host: str) -> None:
    """Serve the figures of both tiers to Prometheus, until Ctrl-C.

    They are measured when they are asked for, at most every 15 seconds; a tier that is away is `trading_data_up` 0.
    """
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: stop.set())
    exporter = Exporter(settings_of_running(), host=host, port=port)
    try:
        click.echo(f"figures at {exporter.url}; press Ctrl-C to stop")
        stop.wait()
    finally:
        exporter.close()
