"""A short year with holes of every kind, and one night of the schedules; the whole of it is `year`."""

from trading_data_tests.calendars.year import year
from trading_data_tests.rig import Rig


def test_one_night_fills_marks_compresses_and_retains(rig: Rig) -> None:
    out = year(rig.settings, symbols=6, sessions=15, seed=3)
    assert out.wrong == []
    assert out.before["missing"] > out.after["unrepairable"] > 0
    assert out.after["no trade"] > 0
    assert out.compressed > 0
