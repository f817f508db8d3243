"""The restore drill: the newest backup is restored into scratch servers, compared by every count and hash, and timed.

The live tier is restored into an empty scratch server. The archive is restored into a scratch database on the archive's own
server, or, if that has a single database and session, into an embedded engine; both are removed afterwards.

Belongs here: where to restore to, and the result. Does not: restoring (`restore`).
"""

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from trading_data.archive.database import Archive, parts_of
from trading_data.errors import BackupError, Refused
from trading_data.intake.store import Intake
from trading_data.operations.backup import tables
from trading_data.operations.backup.check import check_files, check_release, manifest_of
from trading_data.operations.backup.dump import drop_database
from trading_data.operations.backup.manifest import Backup, Drill, note_drill
from trading_data.operations.backup.restore import Differs, Report, restore
from trading_data.operations.backup.scratch_server import scratch_server
from trading_data.times import now


def restore_drill(backup: Backup, timescale_url: str, report: Report = lambda _: None) -> Drill:
    """Restore a backup into scratch servers, compare, and keep the result beside the backup.

    Returns:
        The result, which is not `ok` if the backup cannot be restored or differs.

    Raises:
        ArchiveTierError: the archive's server does not answer, or its role may not create a database.
        ServerError: no scratch server could be started.
    """
    moment, began = now(), time.monotonic()
    recovery_point = backup.age(moment)
    try:
        check_release(manifest_of(backup))
        check_files(backup, inside=True)  # before a server is started for it
        with scratch_server() as client, _scratch_archive(timescale_url) as url, _scratch_intake() as intake:
            restored = restore(backup, client=client, timescale_url=url, intake=intake, report=report)
            differences: tuple[str, ...] = ()
            seconds = sum(restored.seconds.values())
    except Differs as error:
        differences, seconds = error.differences, time.monotonic() - began
    except (Refused, BackupError) as error:
        differences, seconds = (" ".join(str(error).split()),), time.monotonic() - began
    drill = Drill(moment, not differences, differences, recovery_point, timedelta(seconds=round(seconds, 3)))
    note_drill(backup, drill)
    return drill


@contextmanager
def _scratch_archive(url: str) -> Iterator[str]:
    archive = Archive(url)
    try:
        with archive.transaction(snapshot=True) as cursor:
            one_session = tables.versions(cursor)["one_session"]
    finally:
        archive.close()
    if one_session:
        with _scratch_engine() as engine_url:
            yield engine_url
        return
    name = f"trading_data_drill_{secrets.token_hex(4)}"
    scratch_url = parts_of(url).set(database=name).render_as_string(hide_password=False)
    try:
        yield scratch_url
    finally:
        drop_database(scratch_url)


@contextmanager
def _scratch_engine() -> Iterator[str]:
    from trading_data.local.timescale import Timescale

    folder = Path(tempfile.mkdtemp(prefix="trading_data_drill_"))
    server = Timescale(folder / "timescale")
    try:
        server.start()
        yield server.url() or ""
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _scratch_intake() -> Iterator[Intake]:
    with tempfile.TemporaryDirectory(prefix="trading_data_drill_") as folder:
        yield Intake(folder)
