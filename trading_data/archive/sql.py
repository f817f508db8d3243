"""Statements from `sql/`: identifiers are quoted and values are bound; no value is formatted into the text."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from psycopg2.sql import SQL, Composable, Composed, Identifier, Literal

from trading_data.datasets.declaration import Dataset

REPORTED = "reported"
"""The column with the reported time of rows that are kept at another moment (tables whose rows have an identity)."""


@cache
def folder() -> Path:
    """The `sql/` folder: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "sql"
    return inside if inside.is_dir() else package.parent / "sql"


@cache
def statements() -> dict[str, str]:
    """The text of each statement in `sql/statements/`, by the name after `-- name:`; no two files have the same name."""
    texts: dict[str, str] = {}
    for file in sorted((folder() / "statements").glob("*.sql")):
        for block in re.split(r"^-- name: ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            name, _, text = block.partition("\n")
            if name in texts:
                raise ValueError(f"{file} repeats the name {name!r} of another statement")
            texts[name] = _without_comments(text)
    return texts


def statement(name: str, **names: Composable) -> Composed:
    """The statement of that name with its `{names}` filled in."""
    return SQL(statements()[name]).format(**names)


def script(name: str, **names: Composable) -> Composed:
    """As `statement`, for a whole file under `sql/`, such as `roles/cluster`."""
    return SQL(_without_comments((folder() / f"{name}.sql").read_text(encoding="utf-8"))).format(**names)


def _without_comments(text: str) -> str:
    return re.sub(r"^--.*\n", "", text, flags=re.MULTILINE).strip()


def identifiers(names: Sequence[str], of: str | None = None) -> Composed:
    """A comma-separated list of quoted names, each as a column of the relation `of` if given."""
    return SQL(", ").join(Identifier(of, name) if of else Identifier(name) for name in names)


def array_of(values: Iterable[object]) -> str:
    """Values as one text that PostgreSQL reads as an array: thousands of them many times faster than as a list's expressions."""
    texts = (
        '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"' if value is not None else "null"
        for value in values
    )
    return f"{{{','.join(texts)}}}"


def names_of(dataset: Dataset) -> dict[str, Composable]:
    """The identifiers that most statements on a dataset's table need."""
    return {
        "table": Identifier(dataset.table),
        "subject": Identifier(dataset.key[0]),
        "time": Identifier(dataset.key[1]),
        "named": Identifier(dataset.named_by[1]),
        "columns": SQL(", ").join(
            [*(reported_column(dataset, name) for name in dataset.names), Identifier("batch_id")]
        ),
    }


def reported_column(dataset: Dataset, name: str, of: str | None = None) -> Composable:
    """A column of a dataset's table as it was reported; a row may be kept at another moment than its reported time."""
    column = Identifier(of, name) if of else Identifier(name)
    if dataset.identity is None or name != dataset.key[1]:
        return column
    return SQL("coalesce({}, {})").format(Identifier(of, REPORTED) if of else Identifier(REPORTED), column)


def name_in_revision(dataset: Dataset) -> Composable:
    """What names, beside its subject, the row of which a revision is an old version."""
    if dataset.identity is None:
        return SQL('revision."timestamp"')
    return SQL("(revision.old->>{})").format(Literal(dataset.identity))


def same_row(dataset: Dataset, first: str, second: str) -> Composable:
    """The condition that two relations (by name) have the same row."""
    pairs = [SQL("{} = {}").format(Identifier(first, name), Identifier(second, name)) for name in dataset.named_by]
    return SQL(" and ").join(pairs)
