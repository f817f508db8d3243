"""The environment: forms, defaults, and errors that name the variable."""

from datetime import date
from pathlib import Path

import pytest

from trading_data.errors import SettingError
from trading_data.settings import Settings, without_password


def test_nothing_set() -> None:
    settings = Settings.from_env({})
    assert (settings.redis_url, settings.timescale_url, settings.dagster_url) == (None, None, None)
    assert settings.home == Path.cwd() / ".trading_data"
    assert settings.intake_uri == str(settings.home / "intake")
    assert settings.start == date(2000, 1, 1)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_a_postgres_url_always_names_the_driver(scheme: str) -> None:
    settings = Settings.from_env({"TRADING_DATA_TIMESCALE_URL": f"{scheme}://me@db:5432/x"})
    assert settings.timescale_url == "postgresql+psycopg2://me@db:5432/x"


@pytest.mark.parametrize(
    ("name", "value", "form"),
    [
        ("TRADING_DATA_REDIS_URL", "localhost:6379", "redis://"),
        ("TRADING_DATA_TIMESCALE_URL", "mysql://me:secret@db/x", "postgresql://"),
        ("DAGSTER_POSTGRES_URL", "postgresql", "postgresql://"),
        ("TRADING_DATA_START", "01.02.2003", "2000-01-01"),
    ],
)
def test_a_wrong_value_names_the_variable_and_the_form(name: str, value: str, form: str) -> None:
    with pytest.raises(SettingError, match=name) as caught:
        Settings.from_env({name: value})
    assert form in str(caught.value)
    assert "secret" not in str(caught.value)


def test_passwords_are_not_shown() -> None:
    assert without_password("redis://me:s:e@host:1/0") == "redis://me:***@host:1/0"
    assert without_password("redis://host:1/0") == "redis://host:1/0"
