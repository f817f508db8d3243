"""Which source wins, what becomes of the loser, and that disagreement is counted."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trading_data import Bar
from trading_data.datasets import PRICE
from trading_data_tests.rig import MOMENT, Rig, bar

BEST, GOOD, NONE, OTHER = "manual", "alpaca:sip", "simulated", "replay"
END = MOMENT.replace(hour=23)
WRITES = st.lists(
    st.builds(
        bar,
        st.sampled_from(["A", "B"]),
        st.integers(0, 1),
        close=st.sampled_from([10.0, 10.5]),
        source=st.sampled_from([BEST, GOOD, NONE, OTHER]),
    ),
    max_size=8,
)


class Model:
    """The rule in a plain dict: the best source, then the newest; each version that gave way is kept once."""

    def __init__(self) -> None:
        self.rows: dict[Any, Bar] = {}
        self.kept: list[Bar] = []
        self.counts = {"inserted": 0, "replaced": 0, "unchanged": 0}

    def write(self, bar: Bar) -> None:
        assert PRICE.sources is not None
        key = bar.symbol, bar.timestamp
        held = self.rows.get(key)
        if held is None:
            what, self.rows[key] = "inserted", bar
        elif PRICE.sources.rank(bar.source) > PRICE.sources.rank(held.source):
            of_source = [old for old in self.kept if (old.symbol, old.timestamp, old.source) == (*key, bar.source)]
            what = "unchanged" if of_source and of_source[-1] == bar else "replaced"
            if what == "replaced":
                self.kept.append(bar)
        elif bar == held:
            what = "unchanged"
        else:
            what, self.rows[key] = "replaced", bar
            self.kept.append(held)
        self.counts[what] += 1


@example(blocks=[[bar(source=NONE), bar(source=OTHER)], [bar(source=BEST), bar(source=NONE)]])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(blocks=st.lists(WRITES, min_size=1, max_size=4))
def test_any_order_of_sources_ends_like_the_rule(rig: Rig, blocks: list[list[Bar]]) -> None:
    rig.clean()
    model = Model()
    for block in blocks:
        for written in block:
            rig.store.record_prices([written])
            model.write(written)
        assert _shown(rig) == model.rows
        rig.snapshot(PRICE)
        assert _shown(rig) == model.rows
        rig.load(PRICE)
        assert _shown(rig) == model.rows
    account = rig.account(PRICE)
    assert {name: getattr(account, name) for name in model.counts} == model.counts
    kept = rig.query("select subject, old->>'source', (old->>'close')::float8 from archive_revision")
    assert sorted(kept) == sorted((old.symbol, old.source, old.close) for old in model.kept)


def _shown(rig: Rig) -> dict[Any, Bar]:
    frame = rig.reader.prices(None, MOMENT, END).drop(columns="tier")
    rows = [Bar(**{**row, "timestamp": row["timestamp"].to_pydatetime()}) for row in frame.to_dict("records")]  # type: ignore[arg-type]
    shown = {(row.symbol, row.timestamp): row for row in rows}
    assert len(shown) == len(rows)
    return shown


def test_a_loser_is_kept_and_never_shown_by_as_of(rig: Rig) -> None:
    rig.store.record_prices([bar(close=11.0, source=GOOD)])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar(close=10.0, source=NONE), bar(close=10.0, source=NONE)])
    (loaded,) = rig.archive_all(PRICE)
    assert (loaded.replaced, loaded.unchanged) == (1, 1)
    assert not loaded.touched
    ((close, source, old_batch, by),) = rig.query(
        "select (old->>'close')::float8, old->>'source', old_batch, replaced_by from archive_revision"
    )
    assert (close, source, old_batch) == (10.0, NONE, loaded.batch_id)
    assert rig.query("select batch_id from price_data") == [(by,)]
    ((archived_at,),) = rig.query("select max(archived_at) from archive_ledger")
    assert rig.reader.prices(None, MOMENT, END, as_of=archived_at)["close"].tolist() == [11.0]


@pytest.mark.parametrize("better_first", [True, False])
def test_disagreement_is_counted_per_pair_and_day(rig: Rig, better_first: bool) -> None:
    ours = [bar("A", minute, close=11.0, source=GOOD) for minute in range(4)]
    theirs = [replace(bar, source=NONE, close=bar.close * (1 + 0.0006 * at)) for at, bar in enumerate(ours)]
    for block in [ours, theirs] if better_first else [theirs, ours]:
        rig.store.record_prices(block)
        rig.archive_all(PRICE)
    ((winner, loser, compared, beyond, largest),) = rig.query(
        "select winner, loser, compared, beyond, largest from archive_disagreement"
    )
    assert (winner, loser, compared, beyond) == (GOOD, NONE, 4, 2)
    assert largest == pytest.approx(0.0018 / 1.0018)


def test_one_source_alone_costs_no_comparison(rig: Rig) -> None:
    rig.store.record_prices([bar(close=11.0), bar(close=10.0)])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar(close=11.0)])
    rig.archive_all(PRICE)
    assert rig.query("select source from archive_source") == [("test",)]
    assert rig.query("select count(*) from archive_disagreement") == [(0,)]
