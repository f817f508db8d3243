"""The sources of a dataset's rows: which there are, and where two of them disagree on one key.

Belongs here: noting both. Does not: which source wins (`archive.plan`, by the order that the dataset declares).
"""

from typing import Any

import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Composable, Identifier, Literal

from trading_data.archive.sql import names_of, statement
from trading_data.datasets.declaration import Dataset, Sources


class SourceBooks:
    """What a load has to know and to note about sources, within the transaction of its cursor."""

    def __init__(self, cursor: Cursor, dataset: Dataset, rows: pa.Table) -> None:
        """`rows` are those that the batch brings; sources not seen before are noted."""
        self._cursor, self._dataset = cursor, dataset
        self._sources = dataset.sources
        self._several, self._before = False, 0
        if self._sources is None:
            return
        cursor.execute("select source from archive_source where dataset = %s", (dataset.name,))
        self._known = {source for (source,) in cursor.fetchall()}
        here = set(rows["source"].unique().to_pylist())
        for source in sorted(here - self._known):
            cursor.execute("insert into archive_source (dataset, source) values (%s, %s)", (dataset.name, source))
        self._several = len(self._known | here) > 1
        if self._several:
            cursor.execute("select coalesce(max(revision_id), 0) from archive_revision")
            self._before = (cursor.fetchone() or (0,))[0]

    def note_disagreement(self, bounds: dict[str, Any]) -> None:
        """Compare each version that gave way in this load with the row that stands, if another source's."""
        if self._sources is None or not self._several:
            return
        values = {
            "dataset": self._dataset.name,
            "before": self._before,
            "tolerance": self._sources.tolerance,
            **bounds,
        }
        names = {**names_of(self._dataset), "difference": _difference(self._sources)}
        self._cursor.execute(statement("note_disagreement", **names), values)


def _difference(sources: Sources) -> Composable:
    """The largest relative difference of the compared columns, of the larger value."""
    one = "abs({known} - {old}) / nullif(greatest(abs({known}), abs({old})), 0)"
    parts = []
    for name in sources.compared:
        old = SQL("(revision.old->>{})::double precision").format(Literal(name))
        parts.append(SQL(one).format(known=Identifier("known", name), old=old))
    return SQL("coalesce(greatest({}), 0)").format(SQL(", ").join(parts))
