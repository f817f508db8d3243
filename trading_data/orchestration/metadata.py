"""What a materialization shows: figures of snapshots and loads as Dagster metadata, the same names everywhere.

Belongs here: turning results into metadata. Does not: getting them.
"""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import dagster as dg

from trading_data.archive.ledger import COUNTS, Loaded
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.intake.snapshot import Drained

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 90


def bars(values: Sequence[float]) -> str:
    """A bar a value, from zero to the largest; the last ninety."""
    shown = values[-_WIDTH:]
    largest = max(shown, default=0.0)
    if largest <= 0:
        return _BARS[0] * len(shown)
    return "".join(_BARS[min(len(_BARS) - 1, int(max(value, 0.0) / largest * len(_BARS)))] for value in shown)


_NAME = re.compile(r"`(\w+)`")

Assets = Sequence[dg.AssetSpec | dg.AssetsDefinition]


def linked(assets: Assets) -> list[dg.AssetSpec | dg.AssetsDefinition]:
    """The same assets with links in their descriptions; an asset has none to itself."""
    keys = {spec.key.path[-1]: spec.key for asset in assets for spec in _specs(asset)}

    def with_links(spec: dg.AssetSpec) -> dg.AssetSpec:
        def link(found: re.Match[str]) -> str:
            key = keys.get(found[1], spec.key)
            return found[0] if key == spec.key else f"[{found[0]}](/assets/{'/'.join(key.path)})"

        return spec.replace_attributes(description=_NAME.sub(link, spec.description or ""))

    return [
        asset.map_asset_specs(with_links) if isinstance(asset, dg.AssetsDefinition) else with_links(asset)
        for asset in assets
    ]


def _specs(one: dg.AssetSpec | dg.AssetsDefinition) -> list[dg.AssetSpec]:
    return list(one.specs) if isinstance(one, dg.AssetsDefinition) else [one]


SHOWN = 20
"""Rows, files and keys shown at most."""
_SQL_TYPES = {"text": "text", "float": "double precision", "decimal": "numeric", "time": "timestamptz"}


def table_metadata(dataset: Dataset) -> dict[str, Any]:
    """Name and columns of the hypertable."""
    columns = [
        dg.TableColumn(
            column.name, _SQL_TYPES[column.type], column.description, dg.TableColumnConstraints(nullable=False)
        )
        for column in dataset.columns
    ]
    columns.append(dg.TableColumn("batch_id", "bigint", "The batch in archive_ledger that brought the row"))
    return {"dagster/table_name": dataset.table, "dagster/column_schema": dg.TableSchema(columns)}


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


def snapshot_figures(drained: Sequence[Drained], day: date) -> dict[str, Any]:
    """What a snapshot wrote into the intake of one day."""
    of_day = [one for one in drained if day in one.days]
    ranges = [journal for one in of_day for journal in one.journals]
    return {
        "offered": sum(one.days[day] for one in of_day),
        "batches": len(of_day),
        "journals": journal_table([vars(range_) for range_ in ranges]),
        "files": dg.MetadataValue.md("\n".join(f"- `{one.file.name}`" for one in of_day[:SHOWN]) or "none"),
    }


def load_figures(loaded: Sequence[Loaded], day: date) -> dict[str, Any]:
    """What loads did to the rows of one day."""
    fresh = [one for one in loaded if not one.already]
    figures = {name: sum(one.days.get(day, {}).get(name, 0) for one in fresh) for name in COUNTS}
    return {"offered": sum(figures.values()), **figures}


def load_page(loaded: Sequence[Loaded], day: date) -> dict[str, Any]:
    """Which batches brought rows of one day, and which ranges of which journals these were."""
    fresh = [one for one in loaded if not one.already and day in one.days]
    return {
        "batches": ", ".join(str(one.batch_id) for one in fresh[:SHOWN]) or "none",
        "journals": journal_table([journal for one in fresh for journal in one.journals]),
    }


def journal_table(ranges: Sequence[dict[str, Any]]) -> dg.TableMetadataValue:
    """Ranges of journals as a table; the first twenty."""
    columns = ("journal", "after", "first", "last", "count", "missing")
    records = [dg.TableRecord({name: range_[name] for name in columns}) for range_ in ranges[:SHOWN]]
    schema = dg.TableSchema(
        [dg.TableColumn(name, "int" if name in ("count", "missing") else "string") for name in columns]
    )
    return dg.MetadataValue.table(records, schema)


def when(moments: Sequence[datetime | None], choose: Any) -> Any:
    """The earliest or latest of some moments as metadata, whichever `choose` (min or max) takes; `none` if there is none."""
    known = [moment for moment in moments if moment is not None]
    return dg.MetadataValue.timestamp(choose(known)) if known else "none"
