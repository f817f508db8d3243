"""`docs/adding_a_dataset.md`, followed block by block: a YAML file and a SQL file, and everything knows the dataset."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "adding_a_dataset.md"
SCAFFOLD = """
from pathlib import Path
from dagster.components.component_scaffolding import scaffold_object
scaffold_object(
    Path("trading_data/datasets/quote"), "trading_data.orchestration.component.DatasetComponent", None, "yaml", Path.cwd()
)
"""
CHECK = """
import dagster as dg
import yaml
from trading_data.orchestration.component import DatasetComponent
declared = yaml.safe_load(Path("trading_data/datasets/quote/defs.yaml").read_text())
component = DatasetComponent.from_attributes_dict(attributes=declared["attributes"])
*_, step = dg.build_defs_for_component(component).assets
assert {key.path[-1] for key in step.keys} == {"quote_snapshot", "quote_data"}
"""
RUN_ARCHIVE = """
import dagster as dg
from trading_data.orchestration.build import build_defs
job = build_defs().resolve_job_def("archive_job")
with dg.DagsterInstance.ephemeral() as instance:
    result = job.execute_in_process(instance=instance, partition_key=f"{datetime.now(UTC):%Y-%m-%d}")
found = {check.check_name: check.passed for check in result.get_asset_check_evaluations() if check.asset_key.path == ["quote_data"]}
assert found and all(found.values()), found
assert {"quote_snapshot", "quote_data", "quote_1h"} <= {
    event.asset_key.path[-1] for event in result.get_asset_materialization_events()
}
"""
COMMANDS = """
from click.testing import CliRunner
from trading_data.cli.main import group
for line, wanted in {
    "query quotes --start 2026-01-01 --end 2100-01-01 --interval 1h": "10.03",
    "verify": "quote",
    "status --json": '"quote"',
    "quarantine list quotes": "",
    "retention --dry-run quotes": "quote_data",
}.items():
    done = CliRunner().invoke(group, line.split())
    assert done.exit_code == 0 and wanted in done.output, (line, done.output)
"""


class Tree:
    """A copy of the project in which the page is followed, with servers of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("trading_data", "sql"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("TRADING_DATA_", "DAGSTER_"))}
        self.env = keep | {"PYTHONPATH": str(folder), "TRADING_DATA_HOME": str(folder / "home")}

    def python(self, code: str) -> str:
        return self._run(sys.executable, "-c", code)

    def command(self, *arguments: str) -> str:
        return self._run(sys.executable, "-c", "from trading_data.cli.main import main; main()", *arguments)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(arguments, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (arguments[-3:], done.stdout[-2000:], done.stderr[-3000:])
        return done.stdout


@pytest.fixture
def tree() -> Iterator[Tree]:
    with tempfile.TemporaryDirectory(prefix="trading_data_tests_") as folder:
        made = Tree(Path(folder))
        try:
            yield made
        finally:
            made.command("services", "stop")


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_page_makes_a_fourth_dataset_that_everything_knows(tree: Tree) -> None:
    newest = max(path.name for path in (tree.folder / "sql" / "incremental").iterdir())
    tree.python(SCAFFOLD + CHECK)
    declaration = tree.folder / "trading_data" / "datasets" / "quote" / "defs.yaml"
    migration = max((tree.folder / "sql" / "incremental").iterdir())
    assert migration.name == f"{int(newest[:3]) + 1:03}_quote.sql"
    declaration.write_text(block("yaml"), encoding="utf-8")
    migration.write_text(block("sql"), encoding="utf-8")

    tree.command("services", "start")
    for name, value in re.findall(r"export (\w+)='?([^'\n]+)", tree.command("services", "env")):
        tree.env[name] = value
    assert migration.name in tree.command("migrate")
    tree.python(block("python use") + RUN_ARCHIVE + COMMANDS)
