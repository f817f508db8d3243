"""The ways an alert goes, against real servers that behave well or badly."""

import logging
import socket
import ssl
from pathlib import Path

import pytest

from trading_data.alerts.channels import EmailChannel, LogChannel, NotDelivered, WebhookChannel, channels
from trading_data.alerts.message import Message
from trading_data.alerts.settings import AlertSettings, Email, Secret, Webhook
from trading_data.alerts.state import CLEARED, NEW, Alert
from trading_data_tests.alerts.receivers import error, finding, hook, post
from trading_data_tests.live.servers import certificate, free_ports

MESSAGE = Message((Alert(NEW, error(), 0.0, None, 1), Alert(CLEARED, finding("lag"), 0.0, 90.0, 1)), 90.0)


def webhook(url: str, token: str = "", timeout: float = 5.0) -> WebhookChannel:
    return WebhookChannel(Webhook(url, Secret(token)), timeout=timeout)


def test_a_webhook_gets_json_and_the_token() -> None:
    with hook() as server:
        webhook(server.url, "abc").send(MESSAGE)
    assert server.told() == [("new", "redis_memory"), ("cleared", "lag")]
    assert server.bodies[0]["id"] == MESSAGE.id
    assert server.headers[0]["Authorization"] == "Bearer abc"
    assert server.headers[0]["Content-Type"] == "application/json"


def test_an_error_that_may_pass_is_tried_once_more() -> None:
    with hook(503) as server:
        webhook(server.url).send(MESSAGE)
    assert len(server.headers) == 2
    assert len(server.bodies) == 1


@pytest.mark.parametrize(("answers", "tries"), [((500, 500), 2), ((404,), 1), ((302,), 1)])
def test_what_was_not_taken_is_said(answers: tuple[int, ...], tries: int) -> None:
    with hook(*answers) as server, pytest.raises(NotDelivered, match=f"answered {answers[0]}"):
        webhook(f"{server.url}secretpath", "abc").send(MESSAGE)
    assert server.methods == ["POST"] * tries  # a redirection is not followed, with or without the token


def test_a_slow_webhook_is_not_waited_for_nor_tried_again() -> None:
    with hook(wait=0.5) as server:
        with pytest.raises(NotDelivered, match="did not answer within"):
            webhook(server.url, timeout=0.1).send(MESSAGE)
        assert len(server.headers) == 1


def test_nobody_there_and_the_path_is_not_shown() -> None:
    (port,) = free_ports(1)
    with pytest.raises(NotDelivered, match="cannot be reached") as raised:
        webhook(f"http://127.0.0.1:{port}/secretpath", "abc").send(MESSAGE)
    assert "secretpath" not in str(raised.value)


def test_a_token_that_cannot_be_read_is_not_delivered(tmp_path: Path) -> None:
    with hook() as server, pytest.raises(NotDelivered, match="cannot be read"):
        WebhookChannel(Webhook(server.url, Secret(file=tmp_path / "none"))).send(MESSAGE)
    assert server.headers == []


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context, and a client's that trusts it."""
    made = certificate(tmp_path_factory.mktemp("tls"))
    if made is None:
        pytest.skip("no openssl here to make a certificate")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*made)
    return server, ssl.create_default_context(cafile=str(made[0]))


def email(port: int, encryption: str = "none", user: str = "") -> Email:
    return Email("127.0.0.1", port, user, Secret("hunter2"), "a@b.c", ("d@e.f", "g@h.i"), encryption)


def test_mail_by_starttls_with_a_password(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    with post(tls[0]) as server:
        EmailChannel(email(server.port, "starttls", "me"), context=tls[1]).send(MESSAGE)
    assert server.encrypted == [True]
    assert server.logins == ["|me|hunter2"]
    assert server.envelopes == [("a@b.c", ["d@e.f", "g@h.i"])]
    (mail,) = server.mails
    assert mail["Subject"] == MESSAGE.subject
    assert mail.get_content().replace("\r\n", "\n") == MESSAGE.as_text()


def test_mail_verifies_the_certificate(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    with post(tls[0]) as server, pytest.raises(NotDelivered, match="certificate verify failed"):
        EmailChannel(email(server.port, "starttls", "me")).send(MESSAGE)
    assert server.logins == []


def test_mail_is_not_sent_in_the_clear_unless_told_so() -> None:
    with post() as server:
        with pytest.raises(NotDelivered, match="STARTTLS"):
            EmailChannel(email(server.port, "starttls")).send(MESSAGE)
        assert server.mails == []
        EmailChannel(email(server.port)).send(MESSAGE)
    assert len(server.mails) == 1


def test_mail_that_is_not_taken() -> None:
    with post(code=451) as server, pytest.raises(NotDelivered, match="answered 451"):
        EmailChannel(email(server.port)).send(MESSAGE)
    with post(refuses=("d@e.f", "g@h.i")) as server, pytest.raises(NotDelivered, match=r"refused d@e\.f, g@h\.i"):
        EmailChannel(email(server.port)).send(MESSAGE)
    (port,) = free_ports(1)
    with pytest.raises(NotDelivered, match="ConnectionRefusedError"):
        EmailChannel(email(port)).send(MESSAGE)


def test_mail_that_some_do_not_take_has_arrived(caplog: pytest.LogCaptureFixture) -> None:
    with post(refuses=("g@h.i",)) as server:
        EmailChannel(email(server.port)).send(MESSAGE)
    assert server.envelopes == [("a@b.c", ["d@e.f"])]
    assert "refused g@h.i" in caplog.text


def test_a_silent_mail_server_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NotDelivered, match="did not take it within"):
        EmailChannel(email(silent.getsockname()[1]), timeout=0.1).send(MESSAGE)


def test_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        LogChannel(logging.getLogger("trading_data.alerts")).send(MESSAGE)
    assert [one.levelname for one in caplog.records] == ["ERROR", "INFO"]
    assert caplog.records[0].getMessage().startswith("alert: ERROR redis_memory: redis_memory is wrong")


def test_the_log_is_always_among_the_channels() -> None:
    logger = logging.getLogger("trading_data.alerts")
    assert [one.name for one in channels(AlertSettings(None, None, 60.0), logger)] == ["log"]
    every = AlertSettings(Webhook("https://h/x", Secret()), email(25), 60.0)
    assert [one.name for one in channels(every, logger)] == ["log", "webhook", "email"]
