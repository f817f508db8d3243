"""What a materialization shows: figures of snapshots and loads as Dagster metadata, under the same names everywhere."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import dagster as dg

from trading_data.archive.ledger import COUNTS, Loaded
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.intake.snapshot import DrainedBatch
from trading_data.printable import span

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 90


def bars(values: Sequence[float]) -> str:
    """A bar chart in one line of text, from zero to the largest value; the last ninety values."""
    shown = values[-_WIDTH:]
    largest = max(shown, default=0.0)
    if largest <= 0:
        return _BARS[0] * len(shown)
    return "".join(_BARS[min(len(_BARS) - 1, int(max(value, 0.0) / largest * len(_BARS)))] for value in shown)


_NAME = re.compile(r"`(\w+)`")

Assets = Sequence[dg.AssetSpec | dg.AssetsDefinition]


def linked(assets: Assets) -> list[dg.AssetSpec | dg.AssetsDefinition]:
    """The same assets, with links in their descriptions to the other assets that these name."""
    keys = {spec.key.path[-1]: spec.key for asset in assets for spec in _specs(asset)}

    def with_links(spec: dg.AssetSpec) -> dg.AssetSpec:
        def link(name: re.Match[str]) -> str:
            key = keys.get(name[1], spec.key)
            return name[0] if key == spec.key else f"[{name[0]}](/assets/{'/'.join(key.path)})"

        return spec.replace_attributes(description=_NAME.sub(link, spec.description or ""))

    return [
        asset.map_asset_specs(with_links) if isinstance(asset, dg.AssetsDefinition) else with_links(asset)
        for asset in assets
    ]


def _specs(asset: dg.AssetSpec | dg.AssetsDefinition) -> list[dg.AssetSpec]:
    return list(asset.specs) if isinstance(asset, dg.AssetsDefinition) else [asset]


SHOWN = 20
"""The most rows, files or keys that a page shows."""
_SQL_TYPES = {"text": "text", "float": "double precision", "decimal": "numeric", "time": "timestamptz"}


def table_metadata(dataset: Dataset) -> dict[str, Any]:
    """Name, columns and declared ages of the hypertable."""
    columns = [
        dg.TableColumn(
            column.name, _SQL_TYPES[column.type], column.description, dg.TableColumnConstraints(nullable=False)
        )
        for column in dataset.columns
    ]
    columns.append(dg.TableColumn("batch_id", "bigint", "The batch in archive_ledger that brought the row"))
    return {
        "dagster/table_name": dataset.table,
        "dagster/column_schema": dg.TableSchema(columns),
        "hot window": span(dataset.hot_window.total_seconds()),
        "compressed after": span(dataset.compress_after.total_seconds()),
        "dropped after": "never" if dataset.drop_after is None else span(dataset.drop_after.total_seconds()),
    }


def aggregate_metadata(dataset: Dataset, aggregate: Aggregate) -> dict[str, Any]:
    """Name, columns and column lineage of a continuous aggregate."""
    source = dg.AssetKey(aggregate.source)
    raw = aggregate.source == dataset.table
    types = {column.name: _SQL_TYPES[column.type] for column in dataset.columns}
    columns = [dg.TableColumn(name, types[name], dataset.column[name].description) for name in aggregate.group_by]
    columns.append(dg.TableColumn("bucket", "timestamptz", f"Start of the {aggregate.interval} bucket, UTC"))
    columns += [
        dg.TableColumn(
            measure.name, "bigint" if measure.how == "count" else types[measure.of], f"{measure.how} of {measure.of}"
        )
        for measure in aggregate.measures
    ]
    deps = {
        measure.name: [
            dg.TableColumnDep(asset_key=source, column_name=name)
            for name in ([measure.of, *([measure.by] if measure.by else [])] if raw else [measure.name])
        ]
        for measure in aggregate.measures
    }
    deps["bucket"] = [dg.TableColumnDep(asset_key=source, column_name=dataset.key[1] if raw else "bucket")]
    deps |= {name: [dg.TableColumnDep(asset_key=source, column_name=name)] for name in aggregate.group_by}
    return {
        "dagster/table_name": aggregate.name,
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/column_lineage": dg.TableColumnLineage(deps),
    }


def snapshot_figures(drained: Sequence[DrainedBatch], day: date) -> dict[str, Any]:
    """What a snapshot wrote into the intake for one day."""
    of_day = [batch for batch in drained if day in batch.days]
    ranges = [journal for batch in of_day for journal in batch.journals]
    return {
        "offered": sum(batch.days[day] for batch in of_day),
        "batches": len(of_day),
        "journals": journal_table([vars(range_) for range_ in ranges]),
        "files": dg.MetadataValue.md("\n".join(f"- `{batch.file.name}`" for batch in of_day[:SHOWN]) or "none"),
    }


def load_figures(loaded: Sequence[Loaded], day: date) -> dict[str, Any]:
    """What loads did to the rows of one day."""
    new = [batch for batch in loaded if not batch.already]
    figures = {name: sum(batch.days.get(day, {}).get(name, 0) for batch in new) for name in COUNTS}
    return {"offered": sum(figures.values()), **figures}


def load_page(loaded: Sequence[Loaded], day: date) -> dict[str, Any]:
    """The batches that brought rows of one day, and the ranges of journals in them."""
    new = [batch for batch in loaded if not batch.already and day in batch.days]
    return {
        "batches": ", ".join(str(batch.batch_id) for batch in new[:SHOWN]) or "none",
        "journals": journal_table([journal for batch in new for journal in batch.journals]),
    }


def journal_table(ranges: Sequence[dict[str, Any]]) -> dg.TableMetadataValue:
    """Ranges of journals as a table; the first twenty."""
    columns = ("journal", "after", "first", "last", "count", "missing")
    records = [dg.TableRecord({name: range_[name] for name in columns}) for range_ in ranges[:SHOWN]]
    schema = dg.TableSchema(
        [dg.TableColumn(name, "int" if name in ("count", "missing") else "string") for name in columns]
    )
    return dg.MetadataValue.table(records, schema)


def time_metadata(moments: Sequence[datetime | None], choose: Any) -> Any:
    """The moment that `choose` (min or max) picks, as metadata; `none` if no moment is known."""
    known = [moment for moment in moments if moment is not None]
    return dg.MetadataValue.timestamp(choose(known)) if known else "none"
