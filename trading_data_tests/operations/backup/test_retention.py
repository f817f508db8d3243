"""Which backups are kept, for any set of them; and what is never touched."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_data.errors import SettingError
from trading_data.operations.backup.manifest import NAME, Backup, Manifest, backups, encode
from trading_data.operations.backup.retention import KEEP, Scheme, judge, prune

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
HOURS = st.sets(st.integers(0, 24 * 800), max_size=60)


def made(hours: int, *, complete: bool = True, damaged: str = "") -> Backup:
    taken = NOW - timedelta(hours=hours)
    name = f"backup-{taken:%Y%m%dT%H%M%SZ}-{hours:06x}"
    manifest = Manifest(name, "r", "0", taken, taken, False, (), {}, {}, {}, {}) if complete else None
    return Backup("file:///nowhere", name, taken, manifest, damaged)


@given(HOURS, HOURS, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_for_any_backups(whole: set[int], half: set[int], daily: int, weekly: int, monthly: int) -> None:
    complete = [made(hours) for hours in whole]
    partly = [made(hours, complete=False) for hours in half - whole]
    verdicts = judge([*partly, *complete], Scheme(daily, weekly, monthly), NOW)
    stays = {verdict.backup.name for verdict in verdicts if not verdict.goes}
    assert len(verdicts) == len(complete) + len(partly)
    if complete:
        assert max(complete, key=lambda one: one.taken).name in stays
    for one in partly:
        assert (one.name in stays) == (NOW - one.taken <= timedelta(days=2))
    kept = [one for one in complete if one.name in stays]
    for count, period in ((daily, "%Y-%m-%d"), (weekly, "%G-W%V"), (monthly, "%Y-%m")):
        periods = sorted({one.taken.strftime(period) for one in complete}, reverse=True)[:count]
        newest = [max(o.taken for o in complete if o.taken.strftime(period) == at) for at in periods]
        assert set(newest) <= {one.taken for one in kept}
    assert len(kept) <= max(daily + weekly + monthly, 1)
    # Deciding again about what is left removes nothing more.
    left = [one for one in complete if one.name in stays]
    assert not any(one.goes for one in judge(left, Scheme(daily, weekly, monthly), NOW))


def test_only_what_is_recognised_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEEP, "daily=1, weekly=0,monthly=0")
    kinds: dict[str, Any] = {"newest": made(1), "older": made(30), "half": made(60, complete=False)}
    kinds |= {"young": made(20, complete=False), "hurt": made(90, complete=False)}
    for kind in kinds.values():
        (tmp_path / kind.name / "intake" / "price").mkdir(parents=True)
        (tmp_path / kind.name / "timescale.dump").write_bytes(b"x")
        if kind.manifest is not None:
            (tmp_path / kind.name / NAME).write_bytes(encode(kind.manifest))
    (tmp_path / kinds["hurt"].name / NAME).write_bytes(b"{}")
    strange = ["cold", "backup-20200101T000000Z-XYZ", "backup-20209999T000000Z-000000", "notes.txt", "backup-old"]
    for name in strange:
        (tmp_path / name).mkdir()
        (tmp_path / name / "kept").write_bytes(b"x")
    gone = {one.backup.name for one in prune(str(tmp_path), NOW) if one.goes}
    assert gone == {kinds["older"].name, kinds["half"].name}
    assert {path.name for path in tmp_path.iterdir()} == {kinds[name].name for name in ("newest", "young", "hurt")} | {
        *strange
    }
    assert "damaged" in next(backup for backup in backups(str(tmp_path)) if backup.name == kinds["hurt"].name).damaged
    monkeypatch.setenv(KEEP, "hourly=3")
    with pytest.raises(SettingError, match=KEEP):
        prune(str(tmp_path), NOW)
