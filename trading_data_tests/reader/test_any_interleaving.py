"""Whatever is written, corrected and archived in whatever order: rows, buckets and streams are those of a plain model.

Invariants 4, 5 and 6 of DESIGN.md.
"""

from datetime import timedelta
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_data.datasets.declaration import Dataset
from trading_data_tests.reader.model import ABOUT, DATASETS, MOMENTS, RECORDS, STEPS, Model, bring, same, write
from trading_data_tests.rig import Rig

QUICK = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def step(rig: Rig, model: Model, data: st.DataObject) -> None:
    chosen = data.draw(st.sampled_from(["write", "write", "write", "bring", *STEPS]))
    if chosen == "write":
        for record in data.draw(st.lists(RECORDS[model.dataset.name], min_size=1, max_size=4)):
            write(rig, model, record)
    elif chosen == "bring":
        bring(rig, model, data.draw(RECORDS[model.dataset.name]))
    else:
        STEPS[chosen](rig, model.dataset)


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
@QUICK
@given(data=st.data())
def test_reads_like_the_model(rig: Rig, dataset: Dataset, data: st.DataObject) -> None:
    rig.clean()
    model = Model(dataset)
    for _ in range(data.draw(st.integers(3, 10))):
        step(rig, model, data)
        about = data.draw(ABOUT)
        start, end = sorted([data.draw(MOMENTS), data.draw(MOMENTS)])
        for interval in ("raw", data.draw(st.sampled_from(dataset.intervals[1:]))):
            frame = rig.reader.read(dataset, about, start, end, interval)
            assert same(frame, model.answer(about, start, end, interval))
            assert frame.attrs == {"missing": (), "notes": ()}


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
@QUICK
@given(data=st.data())
def test_streams_like_one_big_read(rig: Rig, dataset: Dataset, data: st.DataObject) -> None:
    """What was accepted before a window is read is in it; what comes later in a window that was read is not looked for."""
    rig.clean()
    model = Model(dataset)
    for _ in range(data.draw(st.integers(1, 5))):
        step(rig, model, data)
    about = data.draw(ABOUT)
    start, end = sorted([data.draw(MOMENTS), data.draw(MOMENTS)])
    interval = data.draw(st.sampled_from(dataset.intervals))
    chunk = data.draw(st.sampled_from([timedelta(minutes=7), timedelta(hours=1), timedelta(days=1), timedelta(days=9)]))
    rows = data.draw(st.sampled_from([None, 1, 3]))
    frames = []
    for frame in rig.reader.stream(dataset, about, start, end, interval, chunk=chunk, rows=rows):
        frames.append(frame)
        STEPS[data.draw(st.sampled_from([*STEPS]))](rig, dataset)
    everything = pd.concat(frames, ignore_index=True)
    time = "timestamp" if interval == "raw" else "bucket"
    expected = model.answer(about, start, end, interval)
    assert same(everything.sort_values([*everything.columns[: list(everything.columns).index(time) + 1]]), expected)
    for before, after in pairwise(frames):
        assert before[time].max() < after[time].min()
    assert all(rows is None or len(frame) <= rows or frame[time].nunique() == 1 for frame in frames)
