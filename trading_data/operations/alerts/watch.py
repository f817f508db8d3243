"""What the look at both tiers found, and what it could not judge.

A threshold whose figure could not be measured because a tier is away says nothing: what fired stays as it was, for nobody
knows that it is over.

Belongs here: findings of a look, with what stays unknown. Does not: measuring (`health`), and what Dagster knows
(`orchestration.run_findings`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from trading_data.archive.database import Archive
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.operations.health.collect import Measured, findings, measure_all
from trading_data.operations.health.rules import AWAYS, THRESHOLDS
from trading_data.operations.health.thresholds import Finding, Threshold


@dataclass(frozen=True)
class Watched:
    """What is wrong, and whether a key could not be judged."""

    findings: list[Finding]
    unknown: Callable[[str], bool]


def watch(client: Client, archive: Archive, intake: Intake, now: datetime) -> Watched:
    """One look; a tier that is away is a finding."""
    measured = measure_all(client, archive, intake, now)
    return Watched(findings(measured), lambda key: unjudged(key, measured))


def blind(finding: Finding) -> Watched:
    """No look was possible, and why: all that a look says is unknown, also whether a tier is still away."""
    away = {one.key for one in AWAYS}
    return Watched([finding], lambda key: key in away or _threshold(key) is not None)


def unjudged(key: str, measured: Measured) -> bool:
    """Whether the figure behind a threshold's key is missing: while a tier is away, or at any time where the threshold says so."""
    threshold = _threshold(key)
    if threshold is None or not (measured.away or threshold.stays):
        return False
    of = key.removeprefix(threshold.key).removeprefix(".")
    return measured.together().value(threshold.figure, of) is None


def _threshold(key: str) -> Threshold | None:
    """The threshold that makes findings of this key: `redis_memory` makes `redis_memory` and `redis_memory.anything`."""
    found = [one for one in THRESHOLDS if key == one.key or key.startswith(f"{one.key}.")]
    return max(found, key=lambda one: len(one.key), default=None)
