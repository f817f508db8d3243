"""`/metrics` over HTTP with both tiers there and away, the dashboard's names, and a port that is taken."""

import json
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from trading_data.errors import ServerError
from trading_data.operations.exporter.server import (
    FAMILIES,
    OTHERS,
    PAUSE_SECONDS,
    SIZES_SECONDS,
    Exporter,
    HealthCollector,
    exported_name,
    families,
)
from trading_data.operations.health.collect import Measured, measure_all
from trading_data.operations.health.metric import Figures, Metric
from trading_data.times import now
from trading_data_tests.rig import Rig, measurement

DASHBOARD = Path(__file__).resolve().parents[3] / "deploy" / "grafana" / "trading_data.json"


@contextmanager
def exporter(rig: Rig, **other: Any) -> Iterator[Exporter]:
    with closing(Exporter(replace(rig.settings, **other), port=0)) as made:
        yield made


def scrape(made: Exporter) -> dict[tuple[str, str], float]:
    """(name, value of the first label) → value; every family has help text."""
    with urllib.request.urlopen(made.url, timeout=30) as reply:
        assert reply.status == 200
        said = reply.read().decode()
    found = {}
    for family in text_string_to_metric_families(said):
        assert family.documentation, family.name
        for sample in family.samples:
            found[sample.name, next(iter(sample.labels.values()), "")] = sample.value
    return found


def test_both_tiers_there(rig: Rig) -> None:
    rig.store.record_metrics([measurement()])
    with exporter(rig) as made:
        found = scrape(made)
    assert [found["trading_data_up", tier] for tier in ("redis", "timescale", "flow")] == [1, 1, 1]
    assert found["trading_data_redis_memory_used_bytes", ""] > 1e5
    assert found["trading_data_timescale_database_bytes", ""] > 1e6
    assert found["trading_data_flow_journal_length", "metrics"] == 1
    assert found["trading_data_timescale_table_bytes", "price_data"] >= 0


@pytest.mark.parametrize("away", ["redis", "timescale"])
def test_a_tier_that_is_away_is_up_0_and_no_error(rig: Rig, away: str) -> None:
    urls = {
        "redis": {"redis_url": "redis://127.0.0.1:1/0"},
        "timescale": {"timescale_url": "postgresql+psycopg2://nobody@127.0.0.1:1/none"},
    }
    with exporter(rig, **urls[away]) as made:
        found = scrape(made)
    assert {tier for (name, tier), value in found.items() if name == "trading_data_up" and not value} == {away}
    assert found["trading_data_finding", f"{away}_away"] == 1


def test_every_figure_is_exported_with_its_unit(rig: Rig) -> None:
    measured = measure_all(rig.client, rig.archive, rig.intake, now(), sizes=True)
    assert {one.name: one.unit for one in measured}.items() <= {
        name: family.unit for name, family in FAMILIES.items()
    }.items()
    names = [exported_name(name, family.unit) for name, family in FAMILIES.items()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"trading_data_[a-z0-9_]+", name) for name in names)
    assert all(family.help for family in FAMILIES.values())
    assert exported_name("redis.memory.used", "bytes") == "trading_data_redis_memory_used_bytes"
    assert exported_name("timescale.database.bytes", "bytes") == "trading_data_timescale_database_bytes"


def test_every_name_on_the_dashboard_is_exported() -> None:
    board = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    names = {name for text in asked for name in re.findall(r"trading_data_\w+", text)}
    exported = {exported_name(name, family.unit) for name, family in FAMILIES.items()} | set(OTHERS)
    assert len(names) > 40
    assert names <= exported
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)


class Measuring:
    """What the collector is given, and how often it asked."""

    def __init__(self) -> None:
        self.at, self.asked = 0.0, list[bool]()

    def __call__(self, sizes: bool) -> Measured:
        self.asked.append(sizes)
        size = [Metric("timescale.table.bytes", float(len(self.asked)), "bytes", "price_data")] if sizes else []
        return Measured(Figures(()), Figures(tuple(size)), Figures(()), {})


def test_it_measures_at_most_every_fifteen_seconds_and_sizes_more_seldom() -> None:
    measuring = Measuring()
    collector = HealthCollector(measuring, lambda: measuring.at)

    def size() -> float:
        (family,) = (one for one in collector.collect() if one.name == "trading_data_timescale_table_bytes")
        (sample,) = family.samples
        return sample.value

    assert size() == 1
    measuring.at += PAUSE_SECONDS - 1
    assert size() == 1
    assert measuring.asked == [True]
    measuring.at += 1
    assert size() == 1
    assert measuring.asked == [True, False]
    measuring.at += SIZES_SECONDS
    assert size() == 3
    assert measuring.asked == [True, False, True]


def test_what_is_not_offered_has_no_sample() -> None:
    nothing = Metric("timescale.locks.waiting", None, "count", "", "one session")
    made = {
        family.name: family for family in families(Measured(Figures(()), Figures((nothing,)), Figures(()), {}), 0.1)
    }
    assert made["trading_data_timescale_locks_waiting"].samples == []
    assert made["trading_data_timescale_locks_waiting"].documentation


def test_a_port_that_is_taken(rig: Rig) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as held:
        port = held.getsockname()[1]
        with pytest.raises(ServerError, match=f"port {port} .* choose another with --port"):
            Exporter(rig.settings, port=port)
        with closing(Exporter(rig.settings, port=port, other=True)) as made:
            assert f":{port}/" not in made.url
            assert ("trading_data_up", "redis") in scrape(made)
        program = "from trading_data.cli.main import main; main()"
        command = [sys.executable, "-c", program, "exporter", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("trading-data: cannot listen at port ")
