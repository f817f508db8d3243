"""Creates a backup: Redis, then the waiting batches of the intake, then TimescaleDB, the manifest last (reasons: see the package).

Belongs here: the order, and the manifest. Does not: how each part is read (`rdb`, `dump`), counted (`keys`, `tables`) and
stored (`streams`).
"""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

import psycopg2

from trading_data import __version__
from trading_data.archive.database import SET_SESSION, Archive
from trading_data.datasets import TABLES
from trading_data.errors import ArchiveTierError, Refused
from trading_data.intake.store import Intake
from trading_data.kill_points import reached
from trading_data.live.connection import Client, database_of, info_of_each, urls_of_servers
from trading_data.operations.backup import keys, tables
from trading_data.operations.backup.dump import dumping, program_for, program_major
from trading_data.operations.backup.manifest import (
    DUMP,
    NAME,
    PARTIAL,
    Manifest,
    decode,
    encode,
    folder_time,
    taken_now,
)
from trading_data.operations.backup.redis_sync import Snapshot, persistence, snapshot
from trading_data.operations.backup.scratch_server import scratch_server
from trading_data.operations.backup.session_proxy import lent_session
from trading_data.operations.backup.streams import ByteSource, StoredFile, recipients_of_environment, store
from trading_data.operations.backup.target import BackupFolder
from trading_data.times import now


def create_backup(
    uri: str, client: Client, archive: Archive, intake: Intake, run: str = "by hand", *, copier: Client | None = None
) -> Manifest:
    """Create a complete backup. Arguments and errors are those of `create_redis_backup` and `create_timescale_backup`."""
    partial = create_redis_backup(uri, client, intake, run, copier=copier)
    return create_timescale_backup(uri, archive, run, partial.name)


def create_redis_backup(
    uri: str, client: Client, intake: Intake, run: str, *, copier: Client | None = None
) -> Manifest:
    """Create the first part: the live tier's snapshot and the intake's waiting batches.

    It is no backup until `create_timescale_backup` has completed it, in the same run.

    Args:
        uri: where backups lie.
        client: of the live tier.
        intake: between the tiers.
        run: id of the run that creates it.
        copier: of the same live tier, as the user that may replicate it, if that is another one.

    Raises:
        BackupError: the live tier refuses or breaks off, or the target cannot be written.
        LiveTierError: the live tier does not answer.
        SettingError: the key for encryption is invalid.
    """
    target, name, recipients = BackupFolder(uri), taken_now(), recipients_of_environment()
    database, states = database_of(client), persistence(client)
    began = now()
    nodes, files, accounts = [], [], []
    for url, state in zip(urls_of_servers(copier or client), states, strict=True):
        file, version, account = _node(target, name, url, database, recipients)
        files.append(file)
        accounts.append(account)
        nodes.append({"file": file.name, "rdb_version": version, "persistence": state})
    reached("backup.redis")
    of_intake = now()
    waiting, copied = _intake(target, name, intake, recipients)
    partial = Manifest(
        name=name,
        run=run,
        made_by=__version__,
        began=began,
        ended=now(),
        encrypted=bool(recipients),
        files=(*files, *copied),
        moments={"redis": began, "intake": of_intake},
        servers={"redis": ", ".join(sorted({_version(info) for info in info_of_each(client, "server")}))},
        redis={"database": database, "nodes": nodes, "account": keys.together(accounts)},
        intake=waiting,
    )
    target.put(f"{name}/{PARTIAL}", encode(partial))
    reached("backup.half")
    return partial


def create_timescale_backup(uri: str, archive: Archive, run: str, name: str | None = None) -> Manifest:
    """Complete the backup that `create_redis_backup` began in this run, and write its manifest.

    Raises:
        Refused: this run has no first part.
        BackupError: `pg_dump` failed or is too old, or the target cannot be written.
        ArchiveTierError: the archive does not answer.
    """
    target = BackupFolder(uri)
    partial = _partial(target, run, name)
    recipients = recipients_of_environment()
    if bool(recipients) != partial.encrypted:
        raise Refused(f"{partial.name} was begun with another encryption key: begin again with `redis_backup`")
    with archive.transaction(snapshot=True) as cursor:
        servers = tables.versions(cursor)
    dump = _dump_in_lent_session if servers["one_session"] else _dump_snapshot
    file, accounts, moment = dump(target, partial.name, archive, servers["postgresql_number"], recipients)
    reached("backup.dumped")
    program = program_major(program_for("pg_dump", servers["postgresql_number"]))
    complete = replace(
        partial,
        files=(*partial.files, file),
        moments={**partial.moments, "timescale": moment},
        servers={**partial.servers, **servers, "pg_dump": program},
        ended=now(),
        **accounts,
    )
    target.put(f"{partial.name}/{NAME}", encode(complete))
    reached("backup.whole")
    return complete


def _node(
    target: BackupFolder, name: str, url: str, database: int, recipients: list[Any]
) -> tuple[StoredFile, int, dict[str, Any]]:
    """Store one server's snapshot, and count it in a scratch server, since the server itself has changed by then."""
    stored: list[tuple[StoredFile, int]] = []

    def fill(file: IO[bytes]) -> None:
        with snapshot(url) as source:
            file_stored = store(target, name, f"redis-{_node_name(url)}.rdb", _Copied(source, file), recipients)
            stored.append((file_stored, source.version))

    with scratch_server(fill, database) as client:
        return *stored[0], keys.account(client)


class _Copied:
    """A snapshot on its way to the target that is also written to a file."""

    def __init__(self, source: Snapshot, file: IO[bytes]) -> None:
        self._source, self._file = source, file

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._file.write(data)
        return data


def _version(info: dict[str, Any]) -> str:
    return f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"


def _node_name(url: str) -> str:
    parts = urlsplit(url)
    where = parts.path if parts.scheme == "unix" else parts.netloc.rpartition("@")[2]
    return re.sub(r"[^\w.-]+", "_", where, flags=re.ASCII).strip("_")


def _intake(
    target: BackupFolder, name: str, intake: Intake, recipients: list[Any]
) -> tuple[dict[str, list[str]], list[StoredFile]]:
    """Store the batches as they are, damaged ones too. One that is loaded meanwhile is in the archive, which is dumped later."""
    waiting: dict[str, list[str]] = {}
    files = []
    for dataset in TABLES:
        for batch in intake.pending(dataset):
            data = intake.raw(batch)
            if data is not None:
                files.append(store(target, name, f"intake/{dataset}/{batch.name}", _Bytes(data), recipients))
                waiting.setdefault(dataset, []).append(batch.name)
                reached("backup.batch")
    return waiting, files


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int = -1, /) -> bytes:
        block = self._data if size < 0 else self._data[:size]
        self._data = self._data[len(block) :]
        return block


def _partial(target: BackupFolder, run: str, name: str | None) -> Manifest:
    for folder in sorted(filter(folder_time, target.folders()), reverse=True):
        if name not in (None, folder) or target.get(f"{folder}/{NAME}") is not None:
            continue
        data = target.get(f"{folder}/{PARTIAL}")
        if data is None:
            continue
        partial = decode(data, f"{PurePosixPath(folder) / PARTIAL}")
        if partial.run == run:
            return partial
    raise Refused(
        f"there is no backup of the live tier of run {run} under {target.shown} to complete: both halves are of one run, in the "
        "order Redis, intake, TimescaleDB. Run `backup_job`, or `trading-data backup`"
    )


Taken = tuple[StoredFile, dict[str, Any], datetime]


def _dump_snapshot(target: BackupFolder, name: str, archive: Archive, number: int, recipients: list[Any]) -> Taken:
    """Dump and count in one snapshot, which the counting transaction exports."""
    with archive.transaction(snapshot=True, statement="6h") as cursor:
        cursor.execute("set local idle_in_transaction_session_timeout = 0")
        cursor.execute("select pg_export_snapshot()")
        exported = (cursor.fetchone() or ("",))[0]
        moment, sequences = now(), tables.sequences(cursor)
        with dumping(archive.url, number, exported) as dump:
            file = _stored(target, name, dump, recipients)
        accounts = _accounts(cursor)
        return file, {**accounts, "timescale": {**accounts["timescale"], "sequences": sequences}}, moment


def _dump_in_lent_session(
    target: BackupFolder, name: str, archive: Archive, number: int, recipients: list[Any]
) -> Taken:
    """The same on a server with a single session: counting continues in the transaction of `pg_dump`."""
    moment = now()
    with lent_session(archive.url) as url:
        with _borrowed(url, archive) as cursor:
            _forget_statements(cursor)
        with dumping(url, number, None) as dump:
            file = _stored(target, name, dump, recipients)
        with _borrowed(url, archive) as cursor:
            cursor.execute(f"reset restrict_nonsystem_relation_kind; {SET_SESSION}")  # pg_dump has settings of its own
            accounts = _accounts(cursor)
            cursor.execute("rollback")
            _forget_statements(cursor)
    return file, accounts, moment


@contextmanager
def _borrowed(url: str, archive: Archive) -> Iterator[Any]:
    try:
        connection = psycopg2.connect(url.replace("postgresql+psycopg2", "postgresql", 1))
        with closing(connection), connection.cursor() as cursor:
            connection.autocommit = True
            yield cursor
    except psycopg2.Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise ArchiveTierError(
            f"the archive at {archive.address} broke off while it was backed up: {reason}"
        ) from error


def _forget_statements(cursor: Any) -> None:
    """Statements that `pg_dump` prepared would stay in the single session, and the next `pg_dump` would fail on them."""
    cursor.execute("select format('deallocate %I', name) from pg_prepared_statements where from_sql")
    for (command,) in cursor.fetchall():
        cursor.execute(command)


def _stored(target: BackupFolder, name: str, dump: ByteSource, recipients: list[Any]) -> StoredFile:
    file = store(target, name, DUMP, dump, recipients)
    reached("backup.dump")
    return file


def _accounts(cursor: Any) -> dict[str, Any]:
    return {
        "database": tables.identity(cursor),
        "schema": tables.migrations_applied(cursor),
        "timescale": tables.account(cursor),
    }
