"""What is not committed is an error, whoever swallowed the first one."""

from contextlib import suppress

import psycopg2
import pytest

from trading_data.errors import ArchiveTierError
from trading_data_tests.rig import Rig

_NOTE = "insert into archive_source values ('price', 'nobody')"
_NOTED = "select count(*) from archive_source where source = 'nobody'"


def pass_over(rig: Rig) -> None:
    with rig.archive.transaction() as cursor:
        cursor.execute(_NOTE)
        with suppress(psycopg2.Error):
            cursor.execute("select 1 / 0")


def fail(rig: Rig) -> None:
    with rig.archive.transaction() as cursor:
        cursor.execute(_NOTE)
        raise KeyError


def test_a_failed_statement_that_somebody_passed_over_is_no_commit(rig: Rig) -> None:
    with pytest.raises(ArchiveTierError, match="rolled back instead of committing"):
        pass_over(rig)
    assert rig.query(_NOTED) == [(0,)]


def test_an_error_leaves_nothing_and_the_next_transaction_is_a_new_one(rig: Rig) -> None:
    with pytest.raises(KeyError):
        fail(rig)
    assert rig.query(_NOTED) == [(0,)]
    with rig.archive.transaction(snapshot=True, lock="3s") as cursor:
        cursor.execute("show lock_timeout")
        assert cursor.fetchone() == ("3s",)
