"""What the environment says about alerts."""

from dataclasses import replace
from pathlib import Path

import pytest

from trading_data.errors import SettingError
from trading_data.operations.alerts.settings import AlertSettings, wrong_settings

HOOK, MAIL, EVERY = "TRADING_DATA_ALERT_WEBHOOK", "TRADING_DATA_ALERT_EMAIL", "TRADING_DATA_ALERT_EVERY"
URL = "TRADING_DATA_ALERT_URL"
TOKEN = f"{HOOK}_TOKEN"


def test_nothing_set_is_the_log_every_half_hour() -> None:
    assert AlertSettings.from_env({}) == AlertSettings(None, None, 1800.0)


def test_all_set(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    env = {
        HOOK: "https://hooks.example.com/T0/secretpath",
        f"{TOKEN}_FILE": str(tmp_path / "token"),
        MAIL: "smtp://me%40here@mail.example.com?from=a@b.c&to=d@e.f,g@h.i",
        f"{MAIL}_PASSWORD": "hunter2",
        EVERY: "5",
    }
    found = AlertSettings.from_env(env)
    assert found.every == 300
    assert found.webhook is not None
    assert found.webhook.token.read() == "abc"
    assert found.webhook.shown == "https://hooks.example.com"
    assert found.email is not None
    assert (found.email.user, found.email.port, found.email.to) == ("me@here", 587, ("d@e.f", "g@h.i"))
    assert (found.email.encryption, found.email.password.read()) == ("starttls", "hunter2")
    for secret in ("hunter2", "secretpath"):
        assert secret not in repr(found)


def test_ports_and_encryption() -> None:
    def of(url: str) -> tuple[int, str]:
        email = AlertSettings.from_env({MAIL: url}).email
        assert email is not None
        return email.port, email.encryption

    assert of("smtps://h?from=a@b&to=c@d") == (465, "tls")
    assert of("smtp://h:25?from=a@b&to=c@d&tls=no") == (25, "none")


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({HOOK: "ftp://h/x"}, f"{HOOK} must look like https://host/path, not ftp://…"),
        ({HOOK: "https://me:hunter2@h/x"}, "must have no user or password in it"),
        ({HOOK: "https://h:port/hunter2"}, "its host or port cannot be read"),
        ({HOOK: "http://h/x", TOKEN: "hunter2"}, "use https://"),
        ({HOOK: "https://h/x", TOKEN: "hunter2", f"{TOKEN}_FILE": "/x"}, f"{TOKEN} and {TOKEN}_FILE are both set"),
        ({MAIL: "smtp://h?to=c@d"}, f"{MAIL} must look like smtp://"),
        ({MAIL: "smtp://h?from=a@b&to=c@d&cc=e@f"}, "it has no option cc"),
        ({MAIL: "smtp://me:hunter2@h?from=a@b&to=c@d"}, "must have no password in it"),
        ({MAIL: "smtp://h?from=a@b&to=nobody"}, "'nobody' is no address"),
        ({MAIL: "smtp://me@h?from=a@b&to=c@d&tls=no"}, "leave that out"),
        ({MAIL: "smtp://h?from=a@b&to=c@d&tls=maybe"}, "tls must be yes or no"),
        ({URL: "hunter2"}, f"{URL} must be URLs of services such as slack://…"),
        ({URL: "json://h/x slack://hunter2/x"}, "number 2, slack://… is not taken: An invalid Slack"),
        ({URL: "nothing://me:hunter2@h"}, "number 1, nothing://… is not taken"),
        ({URL: "json://h/x", f"{URL}_FILE": "/x"}, f"{URL} and {URL}_FILE are both set"),
        ({EVERY: "0"}, f"{EVERY} must be whole minutes"),
        ({EVERY: "1.5"}, f"{EVERY} must be whole minutes"),
    ],
)
def test_an_invalid_variable_is_an_error_and_ignored(env: dict[str, str], said: str) -> None:
    settings = AlertSettings.from_env(env)
    (line,) = settings.errors
    assert said in line
    assert "hunter2" not in line
    assert (settings.webhook, settings.email, settings.every) == (None, None, 1800.0)
    (finding,) = wrong_settings(settings)
    assert (finding.key, finding.message) == ("alert_settings", f"invalid settings of alerts are ignored: {line}")


def test_an_invalid_variable_leaves_the_others(tmp_path: Path) -> None:
    valid = {HOOK: "https://h/x", MAIL: "smtp://h?from=a@b&to=c@d", URL: "json://h/x", EVERY: "5"}
    for name, invalid in {HOOK: "ftp://h/x", MAIL: "smtp://h", URL: "nothing://h", EVERY: "0"}.items():
        settings = AlertSettings.from_env({**valid, name: invalid})
        expected = AlertSettings.from_env({key: value for key, value in valid.items() if key != name})
        assert settings.errors != ()
        assert expected == replace(settings, errors=())
    assert AlertSettings.from_env({URL: "json://h/x nothing://h slack://x json://h/y"}).urls == (
        "json://h/x",
        "json://h/y",
    )
    (line,) = AlertSettings.from_env({**valid, URL: "", f"{URL}_FILE": str(tmp_path / "none")}).errors
    assert line.startswith(f"{URL}: the secret in ")


def test_a_secret_that_cannot_be_read_is_said_when_it_is_used(tmp_path: Path) -> None:
    found = AlertSettings.from_env({HOOK: "https://h/x", f"{TOKEN}_FILE": str(tmp_path / "none")})
    assert found.webhook is not None
    with pytest.raises(SettingError, match="cannot be read"):
        found.webhook.token.read()


def test_services_by_their_urls(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wanted = ("slack://TokenA/TokenB/hunter2/", "mailto://h.com?from=a@b.co&to=c@d.co,e@f.co", "json://h/x")
    found = AlertSettings.from_env({URL: f" {wanted[0]},{wanted[1]} {wanted[2]} "})
    assert found.urls == wanted
    (tmp_path / "urls").write_text("\n".join(wanted) + "\n")
    assert AlertSettings.from_env({f"{URL}_FILE": str(tmp_path / "urls")}).urls == wanted
    assert "hunter2" not in repr(found) + caplog.text
