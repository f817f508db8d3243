"""The words of an alert, its JSON, and that neither holds a secret."""

import json

import pytest

from trading_data.operations.alerts.message import Message, hide_secrets
from trading_data.operations.alerts.state import CLEARED, NEW, STILL, Alert
from trading_data.printable import span
from trading_data_tests.operations.alerts.receivers import error, finding

AT = 1_795_435_200.0
"""2026-11-23 12:00 UTC."""


def test_the_words() -> None:
    full = error(
        message="memory is 93 % of its limit",
        command="trading-data status",
        value=0.93,
        limit=0.75,
        unit="ratio",
        time_to_impact=42 * 60.0,
    )
    lag = finding(
        "journal_lag.price", message="the journal waits", subject="price_data", value=9e6, limit=1e6, unit="bytes"
    )
    message = Message((Alert(NEW, full, AT, None, 1), Alert(STILL, lag, AT - 7200, None, 5)), AT)
    assert message.as_text() == (
        "ERROR redis_memory: memory is 93 % of its limit\n"
        "  since 2026-11-23 12:00Z\n"
        "  value 93 %, limit 75 %\n"
        "  it hurts in 42 min\n"
        "  run: trading-data status\n"
        "\n"
        "WARN journal_lag.price (price): still: the journal waits\n"
        "  since 2026-11-23 10:00Z, sent 5 times\n"
        "  value 9.0 MB, limit 1.0 MB\n"
        "  run: trading-data status\n"
    )
    assert message.subject == "trading_data: 2 wrong: memory is 93 % of its limit"


def test_the_words_when_it_is_over() -> None:
    message = Message((Alert(CLEARED, finding(), AT - 3 * 3600 - 300, AT, 2),), AT)
    assert message.as_text() == (
        "OK redis_memory: over: redis_memory is wrong\n  from 2026-11-23 08:55Z to 2026-11-23 12:00Z, 3 h 5 min\n"
    )
    assert message.subject == "trading_data: 1 over: redis_memory is wrong"


def test_the_json() -> None:
    one = error(subject="price_data", value=float("inf"), limit=5.0, unit="s", time_to_impact=float("nan"))
    body = json.loads(json.dumps(Message((Alert(NEW, one, AT, None, 1),), AT).as_json(), allow_nan=False))
    assert (body["source"], body["at"]) == ("trading_data", "2026-11-23T12:00:00Z")
    assert body["text"].startswith("trading_data: 1 wrong: redis_memory is wrong\n\nERROR redis_memory (price)")
    (alert,) = body["alerts"]
    assert alert["dataset"] == "price"
    assert alert["severity"] == "error"
    assert (alert["value"], alert["limit"], alert["hurts_in_seconds"]) == (None, 5.0, None)
    assert (alert["since"], alert["until"], alert["command"]) == ("2026-11-23T12:00:00Z", None, "trading-data status")


def test_a_repeated_delivery_has_the_same_id_and_a_repeated_alert_another() -> None:
    def ident(times: int, at: float) -> str:
        return Message((Alert(STILL, finding(), AT, None, times),), at).id

    assert ident(2, AT) == ident(2, AT + 60)
    assert ident(2, AT) != ident(3, AT)


@pytest.mark.parametrize(
    "text",
    [
        "the archive at postgresql+psycopg2://me:hunter2@db:5432/x does not answer",
        "redis://:hunter2@h:1/0, rediss://u:hunter2@h",
        'connection failed: "postgresql://me:hunter2@[::1/x"',
        "host=db user=me password=hunter2 dbname=x",
        "token: 'hunter2'; api_key=hunter2",
        "redis://h:1/0?password=hunter2",
    ],
)
def test_no_secret_is_told(text: str) -> None:
    assert "hunter2" not in hide_secrets(text)
    message = Message((Alert(NEW, finding(message=text, command=text), AT, None, 1),), AT)
    assert "hunter2" not in message.as_text() + message.subject + json.dumps(message.as_json())


def test_a_message_is_one_line_whatever_it_was() -> None:
    message = Message((Alert(NEW, finding(message="a\nSubject: b\x1b[31m"), AT, None, 1),), AT)
    assert message.subject == "trading_data: 1 wrong: a Subject: b\\x1b[31m"


def test_spans() -> None:
    said = [span(one) for one in (0.25, 59, 60, 2520, 3600, 11100, 172800 + 14400)]
    assert said == ["0.25 s", "59 s", "1 min", "42 min", "1 h", "3 h 5 min", "2 d 4 h"]
