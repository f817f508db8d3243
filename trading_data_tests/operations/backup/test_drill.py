"""The drill, the figures and the interlock of retention: what is said of a backup that was, or was not, proven."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from trading_data.datasets import PRICE
from trading_data.operations.backup import manifest as manifests
from trading_data.operations.backup.drill import restore_drill
from trading_data.operations.backup.manifest import NAME, Backup, chosen
from trading_data.operations.backup.metrics import AGE, DRILL_AGE, look_at_backups, measure_backups
from trading_data.operations.backup.preconditions import covered_by_backups
from trading_data.operations.maintenance.retention import plan, retain
from trading_data.times import now
from trading_data_tests.operations.backup.states import damaged, files_of, fill_everything, picture, taken
from trading_data_tests.operations.maintenance.ages import NOW, SHORT, cold, rows, write_bars
from trading_data_tests.rig import MOMENT, Rig, bar

NEEDS = replace(SHORT, drop_needs_backup=True, drop_needs_drill=False)


def keys_said(uri: str, later: timedelta = timedelta(0)) -> list[str]:
    return [look_at_backup.key for look_at_backup in look_at_backups(uri, now() + later)[0]]


def test_a_drill_restores_compares_and_says_so(quick: Rig) -> None:
    uri, url = quick.settings.backup_uri, quick.settings.require_timescale_url()
    assert keys_said(uri) == ["backup_missing.backup", "backup_never_drilled.drill"]
    fill_everything(quick, days=(0, 12), minutes=5)
    backup = taken(quick)
    before = picture(quick)
    assert keys_said(uri) == ["backup_never_drilled.drill"]
    drill = restore_drill(backup, url)
    assert (drill.ok, drill.differences) == (True, ())
    assert drill.recovery_time > timedelta(0)
    assert picture(quick) == before
    assert quick.query("select datname from pg_database where datname like 'trading_data_drill%%'") == []
    found = chosen(uri, None)
    assert found.drilled
    assert found.drill == drill
    figures = measure_backups(uri, now())
    assert 0 < (figures.value(DRILL_AGE) or 0) < (figures.value(AGE) or 0)
    assert keys_said(uri) == []
    assert keys_said(uri, timedelta(hours=27)) == ["backup_old"]
    assert keys_said(uri, timedelta(days=9)) == ["backup_old", "backup_drill_old"]
    with damaged(next(path for path in files_of(backup) if path.suffix == ".rdb"), Random(1), cut=False):
        assert not restore_drill(chosen(uri, None), url).ok
    assert keys_said(uri) == ["backup_drill_failed", "backup_never_drilled.drill"]
    assert look_at_backups(uri, now())[1][0].endswith("not proven by a drill")


def test_a_drill_names_what_differs(quick: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest that counts other rows than the dump holds, as if the dump had left some out."""
    from trading_data.operations.backup import drill

    fill_everything(quick, days=(0,), minutes=3)
    backup = taken(quick)
    assert backup.manifest is not None
    account = backup.manifest.redis["account"]
    account["journals"]["journal:trade"]["added"] += 1
    path = Path(backup.uri) / backup.name / NAME
    path.write_bytes(manifests.encode(backup.manifest))
    # The archive is the other test's: here it goes where it came from.
    found = restore_live_only(chosen(backup.uri, None), monkeypatch, drill)
    assert len(found) == 1
    assert found[0].startswith("journal:trade holds 1 entry")


def restore_live_only(backup: Backup, monkeypatch: pytest.MonkeyPatch, drill: object) -> tuple[str, ...]:
    from trading_data.operations.backup.restore import Differs, restore
    from trading_data.operations.backup.scratch_server import scratch_server

    with scratch_server() as client, pytest.raises(Differs) as error:
        restore(backup, client=client, timescale_url=None, intake=None, tier="redis")
    return error.value.differences


def reasons(rig: Rig, dataset: object = NEEDS) -> dict[int, str]:
    covered = covered_by_backups(rig.archive, rig.settings.backup_uri)
    found = plan(rig.archive, rig.intake, dataset, NOW, covered=covered)  # type: ignore[arg-type]
    return {(MOMENT.date() - one.chunk.day).days: "goes" if one.goes else one.reason for one in found}


def test_a_chunk_goes_only_when_a_backup_holds_it_as_it_is(quick: Rig) -> None:
    write_bars(quick, 0, 11, 12, minutes=5)
    uri = quick.settings.backup_uri
    assert {reasons(quick)[age] for age in (11, 12)} == {"no backup is known that covers it"}
    backup = taken(quick)
    assert {reasons(quick)[age] for age in (11, 12)} == {"goes"}
    strict = replace(NEEDS, drop_needs_drill=True)
    assert reasons(quick, strict)[11] == "no backup is known that covers it"
    quick.store.record_prices([bar("A", timestamp=MOMENT - timedelta(days=12), close=10.5)])
    quick.archive_all(PRICE)
    assert (reasons(quick)[11], reasons(quick)[12]) == ("goes", "the newest backup does not cover it")
    assert backup.manifest is not None
    path = Path(uri) / backup.name / NAME
    whole = path.read_bytes()
    path.write_bytes(manifests.encode(replace(backup.manifest, database="0" * 32)))
    assert reasons(quick)[11] == "no backup is known that covers it"
    path.write_bytes(whole)
    covered = covered_by_backups(quick.archive, uri)
    done = retain(quick.archive, quick.intake, NEEDS, NOW, cold=cold(quick), covered=covered)
    assert [(MOMENT.date() - one.chunk.day).days for one in done if one.dropped] == [11]
    assert {row[1].date() for row in rows(quick)} == {MOMENT.date(), (MOMENT - timedelta(days=12)).date()}
    taken(quick)
    assert reasons(quick)[12] == "goes"
