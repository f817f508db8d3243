"""A hundred damaged backups, and others that must not be restored: each is refused, and nothing is touched."""

import os
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from trading_data.errors import Refused, SettingError
from trading_data.operations.backup import manifest as manifests
from trading_data.operations.backup.check import check_files
from trading_data.operations.backup.manifest import DUMP, NAME, Backup, Manifest, backups, chosen
from trading_data.operations.backup.streams import IDENTITY, RECIPIENT
from trading_data_tests.operations.backup.states import (
    damaged,
    files_of,
    fill_everything,
    picture,
    restored,
    taken,
    wipe,
)
from trading_data_tests.rig import Rig, bar

PLACES = 1000 if os.environ.get("TRADING_DATA_TEST_FULL") else 100


@pytest.fixture
def backup(quick: Rig) -> Backup:
    """A backup of a rig that is empty again."""
    fill_everything(quick, days=(0, 12), minutes=5)
    made = taken(quick)
    wipe(quick)
    return made


def test_damage_at_a_hundred_places_is_refused(quick: Rig, backup: Backup) -> None:
    files, random = files_of(backup), Random(6)
    assert {path.suffix for path in files} == {".rdb", ".dump", ".json", ".parquet"}
    for number in range(PLACES):
        with damaged(files[number % len(files)], random, cut=number % 3 == 0) as where, pytest.raises(Refused):
            refuse(backup, where)
    check_files(chosen(backup.uri, backup.name), inside=False)
    before = picture(quick)
    for path in files:
        with damaged(path, random, cut=False), pytest.raises(Refused, match=r"damaged|cut short"):
            restored(quick, chosen(backup.uri, backup.name))
        path.rename(path.with_suffix(".away"))
        with pytest.raises(Refused, match=r"missing|never finished"):
            restored(quick, chosen(backup.uri, backup.name))
        path.with_suffix(".away").rename(path)
    assert picture(quick) == before


def refuse(backup: Backup, where: str) -> None:
    check_files(chosen(backup.uri, backup.name), inside=False)
    pytest.fail(f"taken for whole: {where}")


def changed(backup: Backup, **values: Any) -> Backup:
    """The same backup with another manifest, which is intact in itself."""
    assert backup.manifest is not None
    made = replace(backup.manifest, **values)
    (Path(backup.uri) / backup.name / NAME).write_bytes(manifests.encode(made))
    return chosen(backup.uri, backup.name)


def test_what_must_not_be_restored_is_refused_before_anything_is_touched(
    quick: Rig, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, manifest = picture(quick), backup.manifest
    assert manifest is not None
    servers = manifest.servers
    refused: list[tuple[str, dict[str, Any]]] = [
        ("which this release does not know", {"schema": {**manifest.schema, "999_later.sql": "0" * 64}}),
        ("another 002_price.sql", {"schema": {**manifest.schema, "002_price.sql": "0" * 64}}),
        ("the server is older", {"servers": {**servers, "postgresql_number": 990000, "postgresql": "99.0"}}),
        ("the very same", {"servers": {**servers, "timescaledb": "2.99.0"}}),
        ("names a file that no backup has", {"files": (*manifest.files, replace(manifest.files[0], name="../x.rdb"))}),
        ("has no timescale.dump", {"files": tuple(file for file in manifest.files if file.name != DUMP)}),
    ]
    for said, values in refused:
        with pytest.raises(Refused, match=said):
            restored(quick, changed(backup, **values))
    monkeypatch.setattr(manifests, "FORMAT", 2)
    newer = manifests.encode(manifest)
    monkeypatch.undo()
    (Path(backup.uri) / backup.name / NAME).write_bytes(newer)
    with pytest.raises(Refused, match="another format"):
        chosen(backup.uri, backup.name)
    assert picture(quick) == before
    changed(backup, **vars(manifest))
    quick.client.set("somebody", "here")
    with pytest.raises(Refused, match=r"live tier .* is not empty \(1 key\)"):
        restored(quick, backup)
    quick.client.delete("somebody")
    quick.store.record_prices([bar("Z")])
    quick.snapshot(quick.datasets["price"])
    quick.client.flushdb()
    with pytest.raises(Refused, match="1 batch waits in the intake"):
        restored(quick, backup)
    quick.load(quick.datasets["price"])
    with pytest.raises(Refused, match=r"database .* is not empty"):
        restored(quick, backup)
    with pytest.raises(Refused, match="is not the one that"):
        restored(quick, changed(backup, database="0" * 32), into_non_empty=True)
    assert [row[:1] for row in quick.query("select symbol from price_data")] == [("Z",)]


def test_backups_of_two_databases_must_be_named(quick: Rig, backup: Backup) -> None:
    other = backup.name[:-6] + "ffffff"
    (Path(backup.uri) / other).mkdir()
    assert isinstance(backup.manifest, Manifest)
    data = manifests.encode(replace(backup.manifest, name=other, database="0" * 32))
    (Path(backup.uri) / other / NAME).write_bytes(data)
    with pytest.raises(Refused, match="several databases"):
        chosen(backup.uri, None)
    with pytest.raises(Refused, match="there is no backup nobody"):
        chosen(backup.uri, "nobody")
    (Path(backup.uri) / other / NAME).write_bytes(manifests.encode(backup.manifest))
    assert {one.name for one in backups(backup.uri) if one.complete} == {backup.name}


def test_an_encrypted_backup_opens_only_with_its_key(
    quick: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyrage = pytest.importorskip("pyrage")
    keys = [pyrage.x25519.Identity.generate() for _ in range(2)]
    for name, key in zip(("mine", "other"), keys, strict=True):
        (tmp_path / name).write_text(f"# a key\n{key}\n")
    fill_everything(quick, days=(0,), minutes=3)
    before = picture(quick)
    monkeypatch.setenv(RECIPIENT, "age1nonsense")
    with pytest.raises(SettingError, match=RECIPIENT):
        taken(quick)
    monkeypatch.setenv(RECIPIENT, str(keys[0].to_public()))
    backup = taken(quick)
    assert backup.manifest is not None
    for path in files_of(backup):
        if path.name != NAME:
            assert path.read_bytes().startswith(b"age-encryption.org/v1")
    check_files(backup, inside=False)
    wipe(quick)
    empty = picture(quick)
    with pytest.raises(SettingError, match=IDENTITY):
        restored(quick, backup)
    monkeypatch.setenv(IDENTITY, str(tmp_path / "other"))
    with pytest.raises(Refused, match="cannot be decrypted"):
        restored(quick, backup)
    assert picture(quick) == empty
    monkeypatch.setenv(IDENTITY, str(tmp_path / "mine"))
    restored(quick, backup)
    assert picture(quick) == before
