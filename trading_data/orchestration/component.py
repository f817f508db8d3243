"""A dataset as a component of Dagster: what `dg` shows, checks and scaffolds, and what the code location is composed of."""

from typing import Any

import dagster as dg
from pydantic import RootModel

from trading_data.archive.sql import folder
from trading_data.datasets.declaration import Dataset
from trading_data.orchestration.assets.datasets import dataset_assets
from trading_data.orchestration.assets.sources import source_specs
from trading_data.orchestration.checks import dataset_checks
from trading_data.orchestration.resources import Environment

_TEMPLATES = folder() / "templates"


class DatasetScaffolder(dg.Scaffolder[Any]):
    """Writes a declaration in YAML and the migration for its tables, both to be edited."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write `defs.yaml` in the requested folder, whose name is the dataset's, and the next file of `sql/incremental`."""
        name, migrations = request.target_path.name, folder() / "incremental"
        number = max(int(path.name[:3]) for path in migrations.glob("*.sql")) + 1
        for template, path in (
            ("dataset.yaml", request.target_path / "defs.yaml"),
            ("table.sql", migrations / f"{number:03}_{name}.sql"),
        ):
            path.write_text((_TEMPLATES / template).read_text(encoding="utf-8").replace("NAME", name), encoding="utf-8")


@dg.scaffold_with(DatasetScaffolder)
class DatasetComponent(dg.Component):
    """A dataset: its sources, snapshot, table and aggregates, with their checks. The attributes are those of `Dataset`."""

    def __init__(self, dataset: Dataset, environment: Environment | None = None) -> None:
        """The component of `dataset` for the system that `environment` describes (default: the process's)."""
        self.dataset, self._environment = dataset, environment or Environment(None)

    @classmethod
    def get_model_cls(cls) -> type[RootModel[Dataset]]:
        """The schema of the attributes."""
        return RootModel[Dataset]

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "DatasetComponent":  # noqa: ARG003 - the base has it
        """The component of a checked declaration."""
        return cls(attributes.root)

    def assets(self) -> list[dg.AssetSpec | dg.AssetsDefinition]:
        """The external assets in Redis, and the step from them to the aggregates."""
        return [*source_specs(self.dataset), dataset_assets(self.dataset, self._environment)]

    def checks(self) -> list[dg.AssetChecksDefinition]:
        """The checks of these assets."""
        return dataset_checks(self.dataset)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The dataset's assets and checks, without the resources that they need."""
        return dg.Definitions(assets=self.assets(), asset_checks=self.checks())
