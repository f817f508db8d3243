"""The three datasets that the code names, each declared once, and daily history. Another dataset needs a declaration in YAML
(`from_yaml`) and a file in `sql/incremental/`.

`declaration` explains each field. Bounds such as `ge=0` are applied by `rules`.

Belongs here: names, columns, bounds, keys, windows and ages. Does not: code that uses them.
"""

from dataclasses import replace
from datetime import timedelta

from trading_data.datasets.declaration import Aggregate, Column, Dataset, Measure, Rollup, Sources
from trading_data.datasets.from_yaml import declared_in
from trading_data.errors import BadInput

_BAR = (
    Measure("open", "first", "open"),
    Measure("high", "max", "high"),
    Measure("low", "min", "low"),
    Measure("close", "last", "close"),
    Measure("volume", "sum", "volume"),
)

PRICE = Dataset(
    name="price",
    title="bars",
    table="price_data",
    journal="journal:price:{symbol}",
    latest="stocks:price:{symbol}",
    columns=(
        Column("symbol", "text", "Instrument, as its exchange or vendor writes it", name_like=True),
        Column("timestamp", "time", "Start of the bar, UTC"),
        Column("open", "float", "First price, in the instrument's currency; may be below zero"),
        Column("high", "float", "Highest price"),
        Column("low", "float", "Lowest price"),
        Column("close", "float", "Last price"),
        Column("volume", "float", "Units traded", ge=0),
        Column("source", "text", "Who made the bar: a vendor or a feed", name_like=True),
    ),
    key=("symbol", "timestamp"),
    identity=None,
    ordered=(("low", "high"),),
    hot_window=timedelta(hours=1),
    segment_by="symbol",
    order_by="timestamp",
    compress_after=timedelta(days=7),
    drop_after=timedelta(days=5 * 366),
    aggregates=(
        Aggregate("price_5m", "5m", timedelta(minutes=5), "price_data", ("symbol",), _BAR),
        Aggregate("price_1h", "1h", timedelta(hours=1), "price_5m", ("symbol",), _BAR),
        Aggregate("price_1d", "1d", timedelta(days=1), "price_1h", ("symbol",), _BAR),
    ),
    freshness=timedelta(minutes=15),
    fresh_while_open=True,
    sources=Sources(
        order=("manual", "alpaca:sip", "alpaca:iex"), compared=("open", "high", "low", "close"), tolerance=1e-3
    ),
    export_before_drop=True,
    drop_needs_backup=True,
    odd_values=True,
    rollups=(
        Rollup("15m", timedelta(minutes=15), of="5m"),
        Rollup("30m", timedelta(minutes=30), of="5m"),
        Rollup("4h", timedelta(hours=4), of="1h"),
    ),
)

TRADE = Dataset(
    name="trade",
    title="fills",
    table="trade_data",
    journal="journal:trade",
    latest=None,
    columns=(
        Column("order_id", "text", "Order that was filled", name_like=True),
        Column("timestamp", "time", "Moment of the fill, UTC"),
        Column("execution_id", "text", "The fill's own name at the broker", name_like=True),
        Column("symbol", "text", "Instrument", name_like=True),
        Column("side", "text", "buy or sell", choices=("buy", "sell")),
        Column("quantity", "decimal", "Units", gt=0),
        Column("price", "decimal", "Price of one unit, in the instrument's currency; may be below zero"),
        Column("commission", "decimal", "Cost of the fill in the same currency; a rebate is negative"),
        Column("strategy", "text", "Who decided it"),
        Column("source", "text", "Who reported it: a broker or a feed", name_like=True),
    ),
    key=("order_id", "timestamp"),
    identity="execution_id",
    ordered=(),
    hot_window=timedelta(hours=1),
    segment_by="symbol",
    order_by="timestamp",
    compress_after=timedelta(days=30),
    drop_after=None,
    aggregates=(
        Aggregate(
            "trade_1d",
            "1d",
            timedelta(days=1),
            "trade_data",
            ("symbol", "side"),
            (
                Measure("fills", "count", "execution_id"),
                Measure("quantity", "sum", "quantity"),
                Measure("notional", "product_sum", "quantity", by="price"),
                Measure("vwap", "vwap", "price", by="quantity"),
                Measure("commission", "sum", "commission"),
            ),
        ),
    ),
    freshness=timedelta(days=1),
    fresh_while_open=True,
)

METRICS = Dataset(
    name="metrics",
    title="measurements",
    table="metrics_data",
    journal="journal:metrics",
    latest=None,
    columns=(
        Column("metric_name", "text", "What was measured", name_like=True),
        Column("timestamp", "time", "Moment of the measurement, UTC"),
        Column("value", "float", "The measured value, in `unit`"),
        Column("unit", "text", "Unit of the value; may be empty"),
    ),
    key=("metric_name", "timestamp"),
    identity=None,
    ordered=(),
    hot_window=timedelta(hours=1),
    segment_by="metric_name",
    order_by="timestamp",
    compress_after=timedelta(days=7),
    drop_after=timedelta(days=2 * 366),
    aggregates=(
        Aggregate(
            "metrics_1h",
            "1h",
            timedelta(hours=1),
            "metrics_data",
            ("metric_name",),
            (
                Measure("minimum", "min", "value"),
                Measure("maximum", "max", "value"),
                Measure("average", "mean", "value"),
                Measure("samples", "count", "value"),
            ),
        ),
    ),
    freshness=timedelta(minutes=15),
)

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in (PRICE, TRADE, METRICS)}
DATASETS |= {dataset.name: dataset for dataset in declared_in(taken=[*DATASETS, "daily"])}
PLURALS = tuple(dataset.plural for dataset in DATASETS.values())
"""The names of the datasets on the command line."""

DAILY = replace(
    PRICE,
    name="daily",
    title="daily bars",
    table="daily_data",
    journal="",
    latest=None,
    columns=tuple(
        replace(column, description="The day, as its midnight UTC") if column.name == "timestamp" else column
        for column in PRICE.columns
    ),
    compress_after=timedelta(days=2 * 366),
    drop_after=None,
    aggregates=(),
    freshness=timedelta.max,
    fresh_while_open=False,
    export_before_drop=False,
    drop_needs_backup=False,
    chunk=timedelta(days=365),
)
"""Daily bars, which come from files and have no feed. They are never added to minutes: `prices(…, "1d")` shows a daily bar for a
symbol's day without minutes."""
HISTORY: dict[str, Dataset] = {PRICE.name: DAILY}
"""The dataset of daily rows for each dataset that has one; loaded by the same asset."""
TABLES: dict[str, Dataset] = DATASETS | {dataset.name: dataset for dataset in HISTORY.values()}
"""All datasets with a table, which are loaded, read, verified, corrected and backed up. Those of `DATASETS` also have journals."""
EVERY_PLURAL = tuple(dataset.plural for dataset in TABLES.values())


def dataset_named(name: str) -> Dataset:
    """The dataset `name`, in the singular or as the commands write it (`prices`, `trades`, `metrics`, `daily`).

    Raises:
        BadInput: there is no dataset of that name.
    """
    for dataset in TABLES.values():
        if name in (dataset.name, dataset.plural):
            return dataset
    raise BadInput(f"there is no dataset {name!r}; there are {', '.join(TABLES)}")
