"""`python -m trading_data.local.entrypoint COMMAND…`: the image's entrypoint. Sets Dagster's URL from its file, then runs COMMAND.

Dagster reads the URL of its storage from the environment only. All other URLs stay in their files, where `Settings` reads them.
"""

import os
import sys

from trading_data.errors import SettingError
from trading_data.settings import DAGSTER_URL, password_file, postgres_url, with_secrets


def environment(env: dict[str, str]) -> dict[str, str]:
    """`env` with Dagster's URL (password and driver included), without the variables for its files; raises SettingError."""
    files = {f"{DAGSTER_URL}_FILE", password_file(DAGSTER_URL)}
    secrets = with_secrets({name: value for name, value in env.items() if name in {DAGSTER_URL, *files}})
    url = postgres_url(secrets, DAGSTER_URL)
    return {name: value for name, value in env.items() if name not in files} | ({DAGSTER_URL: url} if url else {})


def main() -> None:
    """Replace this process by the command; an error if there is none."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m trading_data.local.entrypoint COMMAND [ARGUMENT…]")
    try:
        env = environment(dict(os.environ))
    except SettingError as error:
        sys.exit(f"trading-data: {error}")
    os.execvpe(sys.argv[1], sys.argv[1:], env)  # noqa: S606 - the command that the container was started with


if __name__ == "__main__":
    main()
