"""Datasets declared in YAML: `trading_data/datasets/NAME/defs.yaml`, the file that `dg` knows as an instance of a component."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from trading_data.datasets.declaration import Dataset
from trading_data.errors import SettingError

COMPONENT = "trading_data.orchestration.component.DatasetComponent"
FOLDER = Path(__file__).resolve().parent


def declared_in(taken: Iterable[str] = (), folder: Path = FOLDER) -> Iterator[Dataset]:
    """The datasets of the files below `folder`, by path: their `attributes` are the fields of `Dataset`. Names in `taken`
    are declared elsewhere.

    Durations are as in ISO 8601 (`PT10M`, `P7D`). Nothing else is imported if there is no file, for the sake of each start.

    Raises:
        SettingError: a file cannot be read as a declaration; the message names the file, the field and the fault.
    """
    names = set(taken)
    for file in sorted(folder.glob("*/defs.yaml")):
        import yaml
        from pydantic import TypeAdapter, ValidationError

        try:
            documents: list[Any] = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
            for document in documents:
                if document.get("type") == COMPONENT:
                    dataset = TypeAdapter(Dataset).validate_python(document.get("attributes"))
                    if dataset.name in names:
                        raise SettingError(f"{file} declares {dataset.name!r}, which is declared elsewhere: rename one")
                    names.add(dataset.name)
                    yield dataset
        except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError) as error:
            raise SettingError(f"{file} cannot be read as YAML ({error}): correct it") from error
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            raise SettingError(f"{file} does not declare a dataset ({faults}): correct it") from None
