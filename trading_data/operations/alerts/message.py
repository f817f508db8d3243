"""The message to a channel, as text and as JSON; it holds all alerts that are due.

Belongs here: words. Does not: what is due (`state`), and delivery (`channels`).
"""

import hashlib
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from trading_data.datasets import DATASETS
from trading_data.operations.alerts.state import CLEARED, NEW, STILL, WORSE, Alert
from trading_data.operations.health.thresholds import ERROR, Finding, as_text
from trading_data.printable import printable, span
from trading_data.settings import without_password

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'`]+")
_WORD = re.compile(
    r"((?:password|passwd|secret|token|api_?key)\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;)&]+)", re.IGNORECASE
)
_SAID = {NEW: "", STILL: "still: ", WORSE: "now an error: ", CLEARED: "over: "}
_LONGEST = 2000


@dataclass(frozen=True)
class Message:
    """All alerts that are due to a channel at a moment (seconds since 1970)."""

    alerts: tuple[Alert, ...]
    at: float

    @property
    def id(self) -> str:
        """The same for the same alerts, so that a receiver can recognise a repeated delivery."""
        parts = [f"{alert.finding.key} {alert.status} {alert.since} {alert.times}" for alert in self.alerts]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    @property
    def subject(self) -> str:
        """One line: the numbers of alerts, and the worst one."""
        firing = [alert for alert in self.alerts if alert.status != CLEARED]
        ended = len(self.alerts) - len(firing)
        counts = [f"{len(firing)} wrong"] if firing else []
        counts += [f"{ended} over"] if ended else []
        worst = _clean(self.alerts[0].finding.message)
        return f"trading_data: {', '.join(counts)}: {worst if len(worst) <= 120 else worst[:119] + '…'}"

    @property
    def kind(self) -> str:
        """The kind by which services colour it: `failure`, `warning`, or `success` if all alerts are over."""
        firing = {alert.finding.severity for alert in self.alerts if alert.status != CLEARED}
        return "failure" if ERROR in firing else "warning" if firing else "success"

    def as_text(self) -> str:
        """A paragraph for each alert."""
        return "\n\n".join(paragraph(alert) for alert in self.alerts) + "\n"

    def as_json(self) -> dict[str, Any]:
        """As plain values; chat programs show `text`."""
        return {
            "source": "trading_data",
            "id": self.id,
            "at": _iso(self.at),
            "text": f"{self.subject}\n\n{self.as_text()}",
            "alerts": [_as_json(alert) for alert in self.alerts],
        }


def paragraph(alert: Alert) -> str:
    """One alert: message, start, value and limit, time to impact, command."""
    finding = alert.finding
    level = "OK" if alert.status == CLEARED else finding.severity.upper()
    subject = dataset_of(finding)
    lines = [
        f"{level} {finding.key}{f' ({subject})' if subject else ''}: {_SAID[alert.status]}{_clean(finding.message)}"
    ]
    if alert.status == CLEARED and alert.until is not None:
        lasted = span(alert.until - alert.since)
        return "\n  ".join([*lines, f"from {_minute(alert.since)} to {_minute(alert.until)}, {lasted}"])
    times = f", sent {alert.times} times" if alert.times > 1 else ""
    lines.append(f"since {_minute(alert.since)}{times}")
    return "\n  ".join([*lines, *figures(finding), f"run: {_clean(finding.command)}"])


def figures(finding: Finding) -> list[str]:
    """The lines for value and limit and for the time to impact, as far as they are known."""
    lines = []
    value, limit, time_to_impact = (
        _finite(number) for number in (finding.value, finding.limit, finding.time_to_impact)
    )
    if value is not None:
        against = "" if limit is None else f", limit {as_text(limit, finding.unit)}"
        lines.append(f"value {as_text(value, finding.unit)}{against}")
    if time_to_impact is not None:
        lines.append("it hurts already" if time_to_impact <= 0 else f"it hurts in {span(time_to_impact)}")
    return lines


def dataset_of(finding: Finding) -> str:
    """The dataset that a finding is about, else its subject, which may be empty."""
    assets = {asset: name for name, dataset in DATASETS.items() for asset in (dataset.table, dataset.snapshot)}
    assets |= {view.name: name for name, dataset in DATASETS.items() for view in dataset.aggregates}
    return assets.get(finding.subject, finding.subject)


def hide_secrets(text: str) -> str:
    """`text` without passwords: in URLs, and after `password=`, `token=` and the like."""
    text = _URL.sub(_without_password, text)
    return _WORD.sub(lambda match: f"{match[1]}***", text)


def _clean(text: str) -> str:
    return printable(" ".join(hide_secrets(text).split()))[:_LONGEST]


def _as_json(alert: Alert) -> dict[str, Any]:
    finding = alert.finding
    return {
        "status": alert.status,
        "key": finding.key,
        "severity": finding.severity,
        "is_error": finding.severity == ERROR,
        "dataset": finding_dataset(finding),
        "of": finding.subject,
        "message": _clean(finding.message),
        "command": _clean(finding.command),
        "value": _finite(finding.value),
        "limit": _finite(finding.limit),
        "unit": finding.unit,
        "hurts_in_seconds": _finite(finding.time_to_impact),
        "since": _iso(alert.since),
        "until": None if alert.until is None else _iso(alert.until),
        "lasted_seconds": None if alert.until is None else round(alert.until - alert.since, 3),
        "told": alert.times,
    }


def finding_dataset(finding: Finding) -> str | None:
    """The dataset that a finding is about, or None."""
    named = dataset_of(finding)
    return named if named in DATASETS else None


def _without_password(match: re.Match[str]) -> str:
    try:
        return without_password(match[0])
    except ValueError:  # no URL after all
        return f"{match[0].partition('://')[0]}://***"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _minute(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}Z"
