"""Which source wins where two disagree on one key: the order that the dataset declares, then the newest.

A row that a better source outranks is kept as a revision and never becomes the row. The rule is one function, for the
load and for the reader. Belongs here: the rule, its losers, and counting disagreement. Does not: versions of one source
(`versions`) and the winners' way in (`write`).
"""

from typing import Any

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Composable, Identifier, Literal

from trading_data.archive.sql import names_of, statement
from trading_data.archive.versions import Mask, key_order, microseconds
from trading_data.datasets.declaration import Dataset, Sources

Holders = dict[tuple[str, int], int]
"""(subject, microsecond) → rank of the source whose row the archive holds; only where it is better than the batch's worst."""


def outranked(dataset: Dataset, rows: pa.Table, holders: Holders) -> Mask:
    """Which rows, in the order of their acceptance, come after a row of the same key from a better source."""
    import pandas as pd

    none = np.zeros(rows.num_rows, dtype=bool)
    if dataset.sources is None or not rows.num_rows:
        return none
    ranks = _ranks(dataset.sources, rows)
    if not holders and (ranks == ranks[0]).all():
        return none
    order, same_key = key_order(dataset, rows)
    best = pd.Series(ranks[order]).groupby(np.cumsum(~same_key)).cummin().to_numpy()
    found = none.copy()
    found[order] = ranks[order] > best
    if holders:
        keys = zip(rows[dataset.subject].to_pylist(), microseconds(dataset, rows).tolist(), strict=True)
        held = np.fromiter((holders.get(key, len(dataset.sources.order)) for key in keys), dtype=np.int64)
        found |= ranks > held
    return found


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

    def holders(self, rows: pa.Table, bounds: dict[str, Any]) -> Holders:
        """Keys of these rows that the archive holds from a source better than the worst of these."""
        if self._sources is None or not self._several:
            return {}
        worst = int(_ranks(self._sources, rows).max())
        better = [source for source in self._known if self._sources.rank(source) < worst]
        if not better:
            return {}
        values = {"sources": better, **bounds}
        self._cursor.execute(statement("source_holders", **names_of(self._dataset)), values)
        return {(subject, int(at)): self._sources.rank(source) for subject, at, source in self._cursor.fetchall()}

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


def _ranks(sources: Sources, rows: pa.Table) -> np.ndarray[Any, np.dtype[np.int64]]:
    encoded = rows["source"].combine_chunks().dictionary_encode()
    ranks = np.array([sources.rank(source) for source in encoded.dictionary.to_pylist()], dtype=np.int64)
    found: np.ndarray[Any, np.dtype[np.int64]] = ranks[encoded.indices.to_numpy()]
    return found


def _difference(sources: Sources) -> Composable:
    """The largest relative difference of the compared columns, of the larger value."""
    one = "abs({known} - {old}) / nullif(greatest(abs({known}), abs({old})), 0)"
    parts = []
    for name in sources.compared:
        old = SQL("(revision.old->>{})::double precision").format(Literal(name))
        parts.append(SQL(one).format(known=Identifier("known", name), old=old))
    return SQL("coalesce(greatest({}), 0)").format(SQL(", ").join(parts))
