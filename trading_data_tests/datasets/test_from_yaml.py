"""Declarations in YAML: the template is a dataset, and a wrong file is named with its fault."""

from datetime import timedelta
from pathlib import Path

import pytest

from trading_data.archive.sql import folder
from trading_data.datasets.from_yaml import declared_in
from trading_data.errors import SettingError

TEMPLATE = (folder() / "templates" / "dataset.yaml").read_text(encoding="utf-8").replace("NAME", "quote")


def declare(home: Path, text: str, name: str = "quote") -> None:
    (home / name).mkdir()
    (home / name / "defs.yaml").write_text(text, encoding="utf-8")


def test_the_template_declares_a_dataset(tmp_path: Path) -> None:
    declare(tmp_path, TEMPLATE)
    (dataset,) = declared_in(folder=tmp_path)
    assert (dataset.name, dataset.key, dataset.hot_window) == ("quote", ("symbol", "timestamp"), timedelta(minutes=10))
    assert dataset.column["symbol"].name_like
    assert dataset.fields == ("timestamp", "value")


def test_another_component_is_no_dataset(tmp_path: Path) -> None:
    declare(tmp_path, "type: dagster.DefsFolderComponent\nattributes: {}\n")
    assert list(declared_in(folder=tmp_path)) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("hot_window: PT10M", "", r"hot_window: Field required"),
        ("ordered: []", "order: []", r"order: Unexpected keyword argument"),
        ("type: float", "type: number", r"columns\.2\.type: Input should be 'text', 'float', 'decimal' or 'time'"),
        ("compress_after: P7D", "compress_after: a week", r"compress_after: Input should be a valid timedelta"),
        ("key: [symbol, timestamp]", "key: [", r"cannot be read as YAML"),
        ("type: trading", "- type: trading", r"cannot be read as YAML"),
    ],
)
def test_a_wrong_declaration_is_named_with_its_fault(tmp_path: Path, old: str, new: str, fault: str) -> None:
    declare(tmp_path, TEMPLATE.replace(old, new, 1))
    with pytest.raises(SettingError, match=rf"quote/defs\.yaml .*{fault}"):
        list(declared_in(folder=tmp_path))


def test_a_name_is_declared_once(tmp_path: Path) -> None:
    declare(tmp_path, TEMPLATE)
    declare(tmp_path, TEMPLATE, "second")
    with pytest.raises(SettingError, match=r"second/defs\.yaml declares 'quote', which is declared elsewhere"):
        list(declared_in(folder=tmp_path))
    with pytest.raises(SettingError, match="declares 'quote'"):
        list(declared_in(["quote"], tmp_path))
