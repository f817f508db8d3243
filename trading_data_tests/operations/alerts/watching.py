"""Ticks of `alert_sensor` one after the other, and what a webhook got from them."""

import json
from typing import Any

import dagster as dg

from trading_data_tests.operations.alerts.receivers import Hook
from trading_data_tests.orchestration.ticks import tick


class Watch:
    """Ticks of the sensor one after the other; time does not pass between them unless told."""

    def __init__(self, instance: dg.DagsterInstance, cursor: str = "") -> None:
        self.instance, self.cursor = instance, cursor

    def tick(self) -> str:
        """A tick a minute after the last: its words."""
        if self.cursor:
            self.cursor = json.dumps({**json.loads(self.cursor), "looked": 0.0})
        done = tick("alert_sensor", self.instance, self.cursor or None)
        assert done.run_requests in (None, [])
        self.cursor = done.cursor
        return str(done.skip_message)


def new(hook: Hook, prefix: str = "") -> list[tuple[str, str]]:
    """What arrived since last asked, of the keys that begin so."""
    found = [one for one in hook.told() if one[1].startswith(prefix)]
    hook.bodies.clear()
    return found


def alert(hook: Hook, key: str) -> dict[str, Any]:
    (found,) = [one for body in hook.bodies for one in body["alerts"] if one["key"] == key]
    return dict(found)
