"""The bridge: one session for many clients, which may disconnect at any moment."""

import io
import random
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_RDWR, fromfd

import psycopg2
import psycopg2.errors
import pytest
from sqlalchemy import create_engine, text

from trading_data.local.postgres import postgres_programs
from trading_data_tests.local.conftest import connect, first_value
from trading_data_tests.local.protocol_client import FLUSH, SYNC, Wire, bind, execute, message, parse, query

CLIENTS = 8
ROUNDS = 25


class _Leaves(Exception):
    """Raised by a client that has cut its connection."""


class _Clumsy:
    """One client with a table of its own rows: what it saw committed is in `rows` and `total`."""

    def __init__(self, url: str, number: int, seed: int) -> None:
        self.url, self.number, self.random = url, number, random.Random(seed * 100 + number)
        self.rows = self.total = 0
        self.connection = connect(url)

    def run(self) -> None:
        acts = [
            self.insert, self.copy_text, self.copy_binary, self.fail, self.fail_in_copy, self.save_point, self.read,
            self.leave_in_transaction, self.leave_in_copy, self.leave_while_waiting, self.autocommit,
        ]  # fmt: skip
        for _ in range(ROUNDS):
            act: Callable[[], None] = self.random.choice(acts)
            try:
                act()
            except _Leaves:
                self.connection.close()
                self.connection = connect(self.url)
        self.connection.close()

    def amounts(self) -> list[int]:
        return [self.random.randrange(1000) for _ in range(self.random.choice([1, 10, 2000]))]

    def committed(self, amounts: list[int]) -> None:
        self.connection.commit()
        self.rows += len(amounts)
        self.total += sum(amounts)

    def put(self, amounts: list[int]) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("INSERT INTO deposits SELECT %s, unnest(%s::int[])", (self.number, amounts))

    def insert(self) -> None:
        amounts = self.amounts()
        for half in (amounts[::2], amounts[1::2]):
            self.put(half)
        self.committed(amounts)

    def copy_text(self) -> None:
        amounts = self.amounts()
        rows = io.StringIO("".join(f"{self.number}\t{amount}\n" for amount in amounts))
        with self.connection.cursor() as cursor:
            cursor.copy_expert("/* text; */ COPY deposits -- lines\nFROM STDIN", rows)
            assert cursor.rowcount == len(amounts)
        self.committed(amounts)

    def copy_binary(self) -> None:
        amounts = self.amounts()
        rows = io.BytesIO()
        with self.connection.cursor() as cursor:
            values = ",".join(f"({self.number}, {amount})" for amount in amounts)
            cursor.copy_expert(f"COPY (VALUES {values}) TO STDOUT WITH (FORMAT binary)", rows)
            rows.seek(0)
            cursor.copy_expert("COPY deposits FROM STDIN WITH (FORMAT binary)", rows)
        self.committed(amounts)

    def fail(self) -> None:
        self.put(self.amounts())
        with pytest.raises(psycopg2.errors.DivisionByZero):
            self.connection.cursor().execute("SELECT 1/0")
        with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
            self.put([1])
        self.connection.rollback()

    def fail_in_copy(self) -> None:
        rows = io.StringIO(f"{self.number}\t1\n" * 3000 + "no number\t1\n" + f"{self.number}\t1\n" * 3000)
        with pytest.raises(psycopg2.errors.InvalidTextRepresentation):
            self.connection.cursor().copy_expert("COPY deposits FROM STDIN", rows)
        self.connection.rollback()

    def save_point(self) -> None:
        amounts = self.amounts()
        self.put(amounts)
        with self.connection.cursor() as cursor:
            cursor.execute("SAVEPOINT here")
            self.put([10**6])
            with suppress(psycopg2.errors.UndefinedTable):
                cursor.execute("SELECT * FROM nowhere")
            cursor.execute("ROLLBACK TO here")
        self.committed(amounts)

    def read(self) -> None:
        assert first_value(self.connection, f"SELECT count(*) FROM deposits WHERE client = {self.number}") == self.rows
        assert first_value(self.connection, "SELECT string_agg(repeat('x', 1000), '') FROM generate_series(1, 500)")

    def autocommit(self) -> None:
        self.connection.autocommit = True
        self.put([7])
        self.rows, self.total = self.rows + 1, self.total + 7
        self.connection.autocommit = False

    def leave_in_transaction(self) -> None:
        self.put(self.amounts())
        self.cut()
        raise _Leaves

    def leave_in_copy(self) -> None:
        if self.random.random() < 0.5:
            self.put(self.amounts())

        def data(_: int) -> str:
            if self.random.random() < 0.2:
                self.cut()
            return f"{self.number}\t1\n" * 500

        file = io.StringIO()
        file.read = data  # type: ignore[assignment, method-assign]
        with pytest.raises(psycopg2.Error):
            self.connection.cursor().copy_expert("COPY deposits FROM STDIN", file)
        raise _Leaves

    def leave_while_waiting(self) -> None:
        wire = Wire(self.url)
        wire.send(query("BEGIN"), query("SELECT pg_sleep(0.001)"), parse("SELECT 1"))
        if self.random.random() < 0.5:
            wire.receive()
        wire.close()

    def cut(self) -> None:
        with fromfd(self.connection.fileno(), -1, -1) as copy:
            copy.shutdown(SHUT_RDWR)


def in_threads(*functions: Callable[[], object]) -> None:
    """Run them at once; the first error is raised."""
    errors: list[BaseException] = []

    def guarded(function: Callable[[], object]) -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert not [thread for thread in threads if thread.is_alive()]
    for error in errors:
        raise error


@pytest.mark.parametrize("seed", [1, 2])
def test_many_clumsy_clients_at_once_lose_nothing_and_block_nobody(archive: str, seed: int) -> None:
    owner = connect(archive)
    owner.autocommit = True
    owner.cursor().execute("DROP TABLE IF EXISTS deposits; CREATE TABLE deposits (client int, amount int)")
    clients = [_Clumsy(archive, number, seed) for number in range(CLIENTS)]
    in_threads(*[client.run for client in clients])
    with owner.cursor() as cursor:
        cursor.execute("SELECT client, count(*), sum(amount) FROM deposits GROUP BY client ORDER BY client")
        assert cursor.fetchall() == [(c.number, c.rows, c.total) for c in clients if c.rows]
    owner.close()


def test_the_greeting_is_that_of_a_server_in_utc(archive: str) -> None:
    connection = connect(archive, application_name="tests", connect_timeout=5, options="-c work_mem=8MB")
    wanted = {
        "client_encoding": "UTF8", "server_encoding": "UTF8", "TimeZone": "UTC", "DateStyle": "ISO, MDY",
        "integer_datetimes": "on", "standard_conforming_strings": "on", "server_version": "17.5",
        "application_name": "tests",
    }  # fmt: skip
    assert {name: connection.get_parameter_status(name) for name in wanted} == wanted
    assert first_value(connection, "SHOW work_mem") == "8MB"
    assert first_value(connection, "SHOW timezone") == "UTC"
    connection.close()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"dbname": "postgres"}, 'database "postgres" does not exist'),
        ({"user": "somebody"}, 'role "somebody" does not exist'),
        ({"client_encoding": "LATIN1"}, "knows no other client_encoding than UTF8"),
    ],
)
def test_what_one_session_cannot_be_is_refused(archive: str, options: dict[str, str], complaint: str) -> None:
    with pytest.raises(psycopg2.OperationalError, match=complaint):
        connect(archive, **options)


def test_a_transactions_own_characteristics_end_with_it(archive: str) -> None:
    for _ in range(2):
        client = connect(archive)
        with client.cursor() as cursor:
            cursor.execute("set transaction isolation level repeatable read, read only")
            cursor.execute("select set_config('work_mem', '8MB', true)")
            client.commit()
            cursor.execute("set work_mem = '9MB'")
            client.commit()
        client.close()
        assert first_value(connect(archive), "show transaction_isolation") == "read committed"


def test_settings_and_temporary_tables_are_each_clients_own(archive: str) -> None:
    first, second = connect(archive), connect(archive)
    first.set_session(readonly=True, autocommit=True)
    first_value(first, "SELECT set_config('search_path', 'pg_catalog', false)")
    second.autocommit = True
    with second.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE mine (a int)")
        cursor.execute("SET timezone = 'Europe/Berlin'")
    for connection, path, zone, writable in (
        (first, "pg_catalog", "UTC", "on"), (second, '"$user", public', "Europe/Berlin", "off"),
        (first, "pg_catalog", "UTC", "on"),
    ):  # fmt: skip
        assert first_value(connection, "SHOW search_path") == path
        assert first_value(connection, "SHOW timezone") == zone
        assert first_value(connection, "SHOW transaction_read_only") == writable
    second.close()
    first.set_session(readonly=False)
    first.cursor().execute("CREATE TEMP TABLE mine (a int)")
    first.cursor().execute("RESET ALL")
    assert first_value(first, "SHOW enable_seqscan") == "on"
    assert first_value(first, "SELECT count(*) FROM mine") == 0
    first.close()


def test_the_extended_protocol_and_prepared_statements_of_the_same_name(archive: str) -> None:
    first, second = Wire(archive), Wire(archive)
    first.send(parse("SELECT 'first'", "s"), SYNC)
    assert first.kinds() == "1Z"
    second.send(parse("SELECT 'second'", "s"), FLUSH)
    assert second.receive()[0] == "1"
    second.send(bind("s"), execute(), SYNC)
    assert b"second" in second.until_ready()[1][1]
    first.send(bind("s"), execute(), SYNC, query("SELECT 1/0"), bind("s"), execute(), SYNC)
    assert b"first" in first.until_ready()[1][1]
    assert first.kinds() == "EZ"
    assert first.kinds() == "2DCZ"
    second.send(parse("SELECT nonsense"), FLUSH)
    assert second.receive()[0] == "E"
    second.send(bind(), execute(), SYNC)
    assert second.kinds() == "Z"
    second.send(parse("COPY nowhere FROM STDIN"), bind(), execute(), SYNC)
    assert b"only by the simple query protocol" in dict(second.until_ready())["E"]
    first.close()
    second.close()


@pytest.mark.parametrize(
    "statement",
    [
        "COPY a FROM STDIN; COPY b FROM STDIN",
        "SET client_encoding = 'LATIN1'",
        "SET NAMES 'LATIN1'",
        "SELECT set_config('client_encoding', 'SQL_ASCII', false)",
        "CREATE INDEX CONCURRENTLY ON deposits (amount)",
    ],
)
def test_what_would_harm_the_engine_is_an_ordinary_error(archive: str, statement: str) -> None:
    connection = connect(archive)
    with pytest.raises(psycopg2.errors.FeatureNotSupported, match="the embedded server"):
        connection.cursor().execute(statement)
    with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
        connection.cursor().execute(statement)
    connection.close()


def test_what_only_looks_harmful_is_not_refused(archive: str) -> None:
    connection = connect(archive, client_encoding="utf-8")
    connection.set_client_encoding("UTF8")
    sql = """SELECT 'COPY a FROM STDIN', $x$;COPY b FROM STDIN$x$, 'index concurrently' -- ;COPY c FROM STDIN"""
    assert first_value(connection, sql) == "COPY a FROM STDIN"
    deep = "SELECT " + "+".join("1" * 3000)  # more than the stack of the engine's build allows
    assert first_value(connection, deep) == 3000
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE people ON COMMIT DROP AS SELECT '' AS names")
        cursor.execute("UPDATE people SET names = 'LATIN1'")
    connection.close()


@pytest.mark.parametrize("multiple", [1, 2, 8])
def test_messages_that_end_where_the_engines_buffer_ends(archive: str, multiple: int) -> None:
    wire = Wire(archive)
    rest = parse("SELECT 1") + bind() + execute() + SYNC
    for excess in range(-2, 3):
        padding = "x" * (8192 * multiple + excess - len(parse("SELECT 1 /**/")))
        wire.send(parse(f"SELECT 1 /*{padding}*/"), bind(), execute(), rest)
        assert wire.kinds() == "12DC12DCZ"[:4] + "12DCZ"
        wire.send(parse(f"SELECT none /*{padding}*/"), rest)
        assert wire.kinds() == "EZ"
    wire.close()


def test_a_client_idle_in_its_transaction_gives_way_only_to_one_that_waits(archive: str) -> None:
    idle, other = connect(archive), connect(archive)
    first_value(other, "DROP TABLE IF EXISTS held; CREATE TABLE held (a int); SELECT 1")
    idle.cursor().execute("INSERT INTO held VALUES (1)")
    time.sleep(1.5)
    idle.cursor().execute("INSERT INTO held VALUES (2)")
    assert first_value(other, "SELECT count(*) FROM held") == 0
    with pytest.raises(psycopg2.OperationalError):
        idle.cursor().execute("SELECT 1")
    assert idle.closed
    # A COPY that is being sent outside of a transaction holds up nobody.
    slow = Wire(archive)
    slow.send(query("COPY held FROM STDIN"))
    assert slow.receive() == ("G", b"\0\0\0")
    slow.send(message("d", b"3\n"))
    assert first_value(other, "SELECT count(*) FROM held") == 0
    slow.send(message("d", b"4\n"), message("c"))
    assert slow.kinds() == "CZ"
    assert first_value(other, "SELECT sum(a) FROM held") == 7
    other.close()
    slow.close()


def test_a_client_that_does_not_read_its_answer_gives_way(archive: str) -> None:
    deaf, other = Wire(archive), connect(archive)
    deaf.send(query("SELECT repeat('x', 100000) FROM generate_series(1, 2000)"))
    assert first_value(other, "SELECT 1") == 1
    deaf.close()
    other.close()


def test_a_large_copy_goes_both_ways(archive: str) -> None:
    connection = connect(archive)
    rows = "".join(f"{number}\t{'y' * 200}\n" for number in range(250_000))
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE large (a int, b text)")
        cursor.copy_expert("COPY large FROM STDIN", io.StringIO(rows))
        assert cursor.rowcount == 250_000
        back = io.StringIO()
        cursor.copy_expert("COPY large TO STDOUT", back)
    assert back.getvalue() == rows
    connection.rollback()
    connection.close()


def test_sqlalchemy_with_its_pool(archive: str) -> None:
    engine = create_engine(archive, pool_size=4)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS counted"))
        connection.execute(text("CREATE TABLE counted (a int)"))

    def count() -> None:
        for number in range(10):
            with engine.begin() as connection:
                connection.execute(text("INSERT INTO counted VALUES (:a)"), [{"a": number}, {"a": number}])

    in_threads(*[count] * 4)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        assert connection.execute(text("SELECT count(*) FROM counted")).scalar() == 80
    engine.dispose()


def test_pgbench_with_prepared_statements(archive: str) -> None:
    dsn = archive.replace("+psycopg2", "")
    subprocess.run([postgres_programs() / "pgbench", "-i", "-q", dsn], check=True, capture_output=True)
    for mode in ("extended", "prepared"):
        done = subprocess.run(
            # A thread for each client: it waits for one inside the transaction of another otherwise.
            [postgres_programs() / "pgbench", "-M", mode, "-c", "8", "-j", "8", "-t", "10", "-n", dsn],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "number of transactions actually processed: 80/80" in done.stdout, done.stderr
    connection = connect(archive)
    sums = [
        first_value(connection, f"SELECT sum({c}balance) FROM pgbench_{t}s")
        for c, t in (("a", "account"), ("t", "teller"))
    ]
    assert sums[0] == sums[1] == first_value(connection, "SELECT sum(delta) FROM pgbench_history")
    connection.close()
