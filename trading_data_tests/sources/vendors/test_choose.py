"""Which vendor the environment names, and what is said where it names none."""

import pytest

from trading_data.errors import SettingError
from trading_data.sources.vendors import vendor_from_env
from trading_data.sources.vendors.alpaca import AlpacaVendor
from trading_data.sources.vendors.alpaca_account import AlpacaAccount
from trading_data.sources.vendors.files import FilesVendor

ACCOUNT = {"APCA_API_KEY_ID": "PKONE", "APCA_API_SECRET_KEY": "one/s3cret"}


def test_unset_is_an_error_that_says_what_to_set() -> None:
    with pytest.raises(SettingError, match=r"TRADING_DATA_VENDOR is not set.*alpaca, or a path or URI"):
        vendor_from_env({})
    with pytest.raises(SettingError, match=r"must be alpaca, or .* not 'polygon'"):
        vendor_from_env({"TRADING_DATA_VENDOR": "polygon"})


def test_alpaca_with_either_pair_of_names() -> None:
    vendor = vendor_from_env({"TRADING_DATA_VENDOR": "alpaca", **ACCOUNT})
    assert isinstance(vendor, AlpacaVendor)
    assert vendor.name == "alpaca:iex"
    other = {"ALPACA_API_KEY": "PKTWO", "ALPACA_SECRET_KEY": "two/s3cret", "TRADING_DATA_ALPACA_FEED": "SIP"}
    assert vendor_from_env({"TRADING_DATA_VENDOR": "Alpaca", **other}).name == "alpaca:sip"
    account = AlpacaAccount.from_env(other)
    assert (account.key, account.secret, account.url, account.corrections) == ("PKTWO", "two/s3cret", None, True)


@pytest.mark.parametrize("files", ["file:///bars", "s3://bucket/bars/*.parquet", "bars/", "one.csv", "/bars"])
def test_anything_with_a_path_in_it_is_files(files: str) -> None:
    assert isinstance(vendor_from_env({"TRADING_DATA_VENDOR": files}), FilesVendor)


def test_a_password_in_the_uri_is_not_shown() -> None:
    assert "hidden" not in repr(vendor_from_env({"TRADING_DATA_VENDOR": "sftp://me:hidden@host/bars"}))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"APCA_API_KEY_ID": ""}, r"APCA_API_KEY_ID \(or ALPACA_API_KEY\) is not set"),
        ({"APCA_API_SECRET_KEY": " "}, r"APCA_API_SECRET_KEY \(or ALPACA_SECRET_KEY\) is not set"),
        ({"APCA_API_SECRET_KEY": "one\ns3cret"}, "APCA_API_SECRET_KEY .* has characters that no key"),
        ({"TRADING_DATA_ALPACA_FEED": "otc"}, "TRADING_DATA_ALPACA_FEED must be iex or sip, not 'otc'"),
        ({"TRADING_DATA_ALPACA_URL": "localhost:80"}, "TRADING_DATA_ALPACA_URL must look like https://host"),
        (
            {"TRADING_DATA_ALPACA_STREAM_URL": "https://host"},
            "TRADING_DATA_ALPACA_STREAM_URL must look like wss://host",
        ),
        ({"TRADING_DATA_ALPACA_CORRECTIONS": "perhaps"}, "TRADING_DATA_ALPACA_CORRECTIONS must be yes or no"),
    ],
)
def test_a_setting_of_the_wrong_form_is_named_and_no_secret_shown(change: dict[str, str], text: str) -> None:
    with pytest.raises(SettingError, match=text) as error:
        vendor_from_env({"TRADING_DATA_VENDOR": "alpaca", **ACCOUNT, **change})
    assert "PKONE" not in str(error.value)
    assert "s3cret" not in str(error.value)
