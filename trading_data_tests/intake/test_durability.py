"""A batch that is acknowledged is there after the power was gone: what is synced, and in which order.

No test can cut the power, so these see the calls: a file is whole and synced before it has its name, and the folder that
has the name is synced before the write is over.
"""

import os
from pathlib import Path

import pytest

from trading_data import files
from trading_data.errors import IntakeError
from trading_data.intake.store import Intake
from trading_data_tests.intake.test_store import batch


class Disk:
    """What is synced, renamed and made, in order: (call, path below the folder, what is known of it at that moment)."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, str, int | str]] = []
        self._folder = folder
        fsync, rename, mkdir = os.fsync, os.rename, Path.mkdir

        def synced(number: int) -> None:
            same = os.fstat(number).st_ino
            path = next(one for one in [folder, *folder.rglob("*")] if one.stat().st_ino == same)
            what = len(list(path.iterdir())) if path.is_dir() else path.stat().st_size
            self.calls.append(("folder synced" if path.is_dir() else "file synced", self._below(path), what))
            fsync(number)

        def renamed(path: Path, other: Path) -> None:
            self.calls.append(("renamed", self._below(path), self._below(other)))
            rename(path, other)

        def made(path: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
            self.calls.append(("made", self._below(path), ""))
            mkdir(path, mode, parents, exist_ok)

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(os, "rename", renamed)
        monkeypatch.setattr(Path, "mkdir", made)

    def _below(self, path: Path) -> str:
        return str(path.relative_to(self._folder))


def test_a_batch_is_synced_before_it_has_its_name_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = Intake(str(tmp_path / "intake"))
    intake.put(batch(1.0))
    disk = Disk(tmp_path, monkeypatch)
    file = intake.put(batch(2.0))
    name, size = f"intake/metrics/{file.name}", Path(file.path).stat().st_size
    aside = f"intake/metrics/.{file.name}.{os.getpid()}.tmp"
    assert disk.calls == [
        ("file synced", aside, size),
        ("renamed", aside, name),
        ("folder synced", "intake/metrics", 2),
    ]


def test_new_folders_are_synced_into_those_above_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(tmp_path, monkeypatch)
    Intake(str(tmp_path / "intake")).put(batch())
    assert disk.calls[:4] == [
        ("made", "intake", ""),
        ("folder synced", ".", 1),
        ("made", "intake/metrics", ""),
        ("folder synced", "intake", 1),
    ]
    assert [call for call, *_ in disk.calls[4:]] == ["file synced", "renamed", "folder synced"]


def test_a_folder_that_cannot_be_synced_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the batch has its name after the power was gone is not known then: its entries stay undrained."""
    intake = Intake(str(tmp_path / "intake"))
    intake.put(batch(1.0))

    sync = files.sync

    def refuse(path: Path) -> None:
        if path.is_dir():
            raise OSError(f"cannot sync {path}")
        sync(path)

    monkeypatch.setattr("trading_data.files.sync", refuse)
    with pytest.raises(IntakeError, match="cannot store a batch"):
        intake.put(batch(2.0))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_sync_reaches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    path = tmp_path / kind
    path.mkdir() if kind == "folder" else path.write_bytes(b"x")
    disk = Disk(tmp_path, monkeypatch)
    files.sync(path)
    assert [(call, name) for call, name, _ in disk.calls] == [(f"{kind} synced", kind)]
