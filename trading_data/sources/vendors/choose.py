"""The vendor from the environment: `vendor_from_env`."""

import importlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from trading_data.errors import SettingError
from trading_data.settings import without_password
from trading_data.sources.vendors.alpaca import AlpacaVendor
from trading_data.sources.vendors.alpaca_account import AlpacaAccount
from trading_data.sources.vendors.files import FilesVendor
from trading_data.sources.vendors.protocol import Vendor

VENDOR = "TRADING_DATA_VENDOR"
FORMS = (
    "alpaca, or a path or URI of CSV or Parquet files: file:///bars, s3://bucket/bars/*.parquet, bars/2026.csv, "
    "or your own vendor as package.module:Name"
)
_OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def vendor_from_env(env: Mapping[str, str] | None = None) -> Vendor:
    """The vendor that `TRADING_DATA_VENDOR` names; nothing is opened. `env`: default the process environment.

    `alpaca` reads its account from the environment, see `AlpacaAccount.from_env`. A path or any fsspec URI means files
    (`FilesVendor`): one file, a folder with everything below it, or a glob. `package.module:Name` is called with the
    environment and has to give a `Vendor`.

    Raises:
        SettingError: the variable is not set or names no vendor, or the account is not set.
    """
    env = os.environ if env is None else env
    value = env.get(VENDOR, "").strip()
    if not value:
        raise SettingError(f"{VENDOR} is not set, so there is no vendor of history: set it to {FORMS}")
    if value.lower() == "alpaca":
        return AlpacaVendor(AlpacaAccount.from_env(env))
    if _OWN.fullmatch(value):
        return _own(value, env)
    if "/" in value or "." in value or Path(value).exists():
        return FilesVendor(value)
    raise SettingError(f"{VENDOR} must be {FORMS}, not {without_password(value)!r}")


def _own(value: str, env: Mapping[str, str]) -> Vendor:
    module, _, name = value.partition(":")
    try:
        make = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SettingError(f"{VENDOR} is {value}, which cannot be imported: {error}") from error
    made: Vendor = make(env)
    return made
