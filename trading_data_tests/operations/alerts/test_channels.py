"""The ways an alert goes, against real servers that behave well or badly."""

import logging
import socket
import ssl
from pathlib import Path

import pytest

from trading_data.operations.alerts.channels import (
    LogChannel,
    NotDelivered,
    ServiceChannel,
    channels,
    email_channels,
    service_channel,
    webhook_channel,
)
from trading_data.operations.alerts.message import Message
from trading_data.operations.alerts.services import Email, Secret, Webhook
from trading_data.operations.alerts.settings import AlertSettings
from trading_data.operations.alerts.state import CLEARED, NEW, Alert
from trading_data_tests.live.servers import certificate, free_ports
from trading_data_tests.operations.alerts.receivers import error, finding, hook, post

MESSAGE = Message((Alert(NEW, error(), 0.0, None, 1), Alert(CLEARED, finding("lag"), 0.0, 90.0, 1)), 90.0)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def webhook(url: str, token: str = "", timeout: float = 5.0) -> ServiceChannel:
    return webhook_channel(Webhook(url, Secret(token)), timeout)


def test_a_webhook_gets_json_and_the_token() -> None:
    with hook() as server:
        webhook(f"{server.url}a%20b/c%2Fd?sig=x%2By&empty=", "abc").send(MESSAGE)
    assert server.told() == [("new", "redis_memory"), ("cleared", "lag")]
    assert server.bodies == [MESSAGE.as_json()]  # ours, whole, and nothing else
    assert server.paths == ["/a%20b/c%2Fd?sig=x%2By&empty="]
    assert server.headers[0]["Authorization"] == "Bearer abc"
    assert server.headers[0]["Content-Type"] == "application/json"
    assert server.headers[0]["User-Agent"].startswith("trading_data/")


def test_an_error_that_may_pass_is_tried_once_more() -> None:
    with hook(503) as server:
        webhook(server.url).send(MESSAGE)
    assert len(server.headers) == 2
    assert len(server.bodies) == 1


@pytest.mark.parametrize("answers", [(500, 500), (404, 404), (302, 302)])
def test_what_was_not_taken_is_said(answers: tuple[int, ...]) -> None:
    with hook(*answers) as server, pytest.raises(NotDelivered, match=f"error={answers[0]}") as raised:
        webhook(f"{server.url}secretpath", "abc").send(MESSAGE)
    assert str(raised.value).startswith(f"the webhook {server.url.rstrip('/')} did not take it: ")
    assert server.methods == ["POST"] * 2  # a redirection is not followed, with or without the token


def test_a_slow_webhook_is_not_waited_for() -> None:
    with hook(wait=0.5) as server, pytest.raises(NotDelivered, match=r"[Tt]imed? ?out"):
        webhook(server.url, timeout=0.1).send(MESSAGE)


def test_nobody_there_and_no_secret_is_shown_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    (port,) = free_ports(1)
    with caplog.at_level(logging.DEBUG), pytest.raises(NotDelivered, match="refused") as raised:
        webhook(f"http://127.0.0.1:{port}/secretpath", "hunter2").send(MESSAGE)
    with caplog.at_level(logging.DEBUG), pytest.raises(NotDelivered, match="refused") as of_service:
        service_channel(f"json://me:pw0rd@127.0.0.1:{port}/secretpath?+Authorization=Bearer%20hunter2").send(MESSAGE)
    said = f"{raised.value} {of_service.value} {caplog.text}"
    assert not [one for one in ("secretpath", "hunter2", "pw0rd") if one in said]


def test_a_token_that_cannot_be_read_is_not_delivered(tmp_path: Path) -> None:
    with hook() as server, pytest.raises(NotDelivered, match="cannot be read"):
        webhook_channel(Webhook(server.url, Secret(file=tmp_path / "none"))).send(MESSAGE)
    assert server.headers == []


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's context, and its certificate."""
    made = certificate(tmp_path_factory.mktemp("tls"))
    if made is None:
        pytest.skip("no openssl here to make a certificate")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*made)
    return server, Path(made[0])


def test_a_webhook_is_verified_by_the_certificates_that_are_named(
    tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with hook() as server:
        server.server.socket = tls[0].wrap_socket(server.server.socket, server_side=True)
        url = server.url.replace("http://", "https://")
        with pytest.raises(NotDelivered, match=r"(?i)certificate.verify.failed"):
            webhook(url, "hunter2").send(MESSAGE)
        assert server.headers == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tls[1]))
        webhook(url, "hunter2").send(MESSAGE)
    assert len(server.bodies) == 1


def email(port: int, encryption: str = "none", user: str = "", to: tuple[str, ...] = ("d@e.fr",)) -> Email:
    return Email("127.0.0.1", port, user, Secret("hunter2"), "a@b.co", to, encryption)


def send(settings: Email, timeout: float = 5.0) -> None:
    for email_channel in email_channels(settings, timeout):
        email_channel.send(MESSAGE)


def test_mail_by_starttls_with_a_password(
    tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[1]))
    with post(tls[0]) as server, caplog.at_level(logging.DEBUG):
        send(email(server.port, "starttls", "me"))
    assert server.encrypted == [True]
    assert server.logins == ["|me|hunter2"]
    assert server.envelopes == [("a@b.co", ["d@e.fr"])]
    (mail,) = server.mails
    assert (mail["Subject"], mail["From"], mail["To"]) == (MESSAGE.subject, "a@b.co", "d@e.fr")
    assert mail.get_content().replace("\r\n", "\n").rstrip() == MESSAGE.as_text().rstrip()
    assert "hunter2" not in caplog.text


def test_mail_verifies_the_certificate(tls: tuple[ssl.SSLContext, Path]) -> None:
    with post(tls[0]) as server, pytest.raises(NotDelivered, match="certificate verify failed"):
        send(email(server.port, "starttls", "me"))
    assert server.logins == []


def test_mail_is_not_sent_in_the_clear_unless_told_so() -> None:
    with post() as server:
        with pytest.raises(NotDelivered, match="STARTTLS"):
            send(email(server.port, "starttls"))
        assert server.mails == []
        send(email(server.port))
    assert len(server.mails) == 1


def test_mail_that_is_not_taken() -> None:
    with post(code=451) as server, pytest.raises(NotDelivered, match="451"):
        send(email(server.port))
    with post(refuses=("d@e.fr",)) as server, pytest.raises(NotDelivered, match=r"d@e\.fr.*550"):
        send(email(server.port))
    (port,) = free_ports(1)
    with pytest.raises(NotDelivered, match="refused"):
        send(email(port))


def test_an_address_that_is_refused_holds_up_no_other_nor_tells_it_twice() -> None:
    with post(refuses=("d@e.fr",)) as server:
        first, second = email_channels(email(server.port, to=("d@e.fr", "g@h.io")))
        with pytest.raises(NotDelivered):
            first.send(MESSAGE)
        second.send(MESSAGE)
    assert (first.name, second.name) == ("email", "email.g@h.io")
    assert server.envelopes == [("a@b.co", ["g@h.io"])]


def test_a_silent_mail_server_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NotDelivered, match="timed out"):
        send(email(silent.getsockname()[1]), timeout=0.1)


def test_a_service_that_a_url_names_is_told_in_words() -> None:
    with hook() as server:
        service_channel(f"{server.url.replace('http:', 'json:')}x").send(MESSAGE)
    (body,) = server.bodies
    assert (body["title"], body["message"].rstrip(), body["type"]) == (
        MESSAGE.subject,
        MESSAGE.as_text().rstrip(),
        "failure",
    )


def test_mail_by_a_url() -> None:
    with post() as server:
        service_channel(f"mailto://127.0.0.1:{server.port}?from=a@b.co&to=d@e.fr,g@h.io&mode=insecure").send(MESSAGE)
    assert sorted(server.envelopes) == [("a@b.co", ["d@e.fr"]), ("a@b.co", ["g@h.io"])]


def test_a_long_message_is_split_rather_than_cut_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from apprise.plugins.custom_json import NotifyJSON

    many = Message(tuple(Alert(NEW, error(f"key_{number}"), 0.0, None, 1) for number in range(100)), 90.0)
    monkeypatch.setattr(NotifyJSON, "body_maxlen", 2000)
    with hook() as server:
        service_channel(server.url.replace("http:", "json:")).send(many)
    assert len(server.bodies) > 2
    whole = " ".join(body["message"] for body in server.bodies)
    assert all(f"key_{number}" in whole for number in range(100))


def test_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        LogChannel(logging.getLogger("trading_data.operations.alerts")).send(MESSAGE)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert caplog.records[0].getMessage().startswith("alert: ERROR redis_memory: redis_memory is wrong")


def test_the_log_is_always_among_the_channels() -> None:
    logger = logging.getLogger("trading_data.operations.alerts")
    assert [channel.name for channel in channels(AlertSettings(None, None, 60.0), logger)] == ["log"]
    urls = ("json://h/hunter2", "json://h/other", "slack://TokenA/TokenB/TokenC")
    every = AlertSettings(Webhook("https://h/x", Secret()), email(25), 60.0, urls)
    found = channels(every, logger)
    assert [one.name.partition(".")[0] for one in found] == ["log", "webhook", "email", "json", "json", "slack"]
    assert len({one.name for one in found}) == len(found)  # each has a memory of its own
    assert [channel.name for channel in channels(every, logger)] == [one.name for one in found]
