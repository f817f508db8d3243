"""Rows of a batch beside the hypertable, and what the archive holds in their place.

Every statement is bounded in time and subject by values, so that no other chunk and no other subject is looked at. Belongs
here: staging rows, and the statements that compare them. Does not: what becomes of them (`archive.plan`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Composable, Identifier

from trading_data.archive.copy import copy_rows
from trading_data.archive.sql import identifiers, names_of, statement
from trading_data.archive.versions import Indices, Mask, encoded, microseconds
from trading_data.datasets.declaration import Dataset

_LOCAL = """
    set local timescaledb.max_tuples_decompressed_per_dml_transaction = 0;
    set local enable_nestloop = {}
"""
_NESTED_LOOP_ROWS = 5_000
_ROWS_A_SUBJECT = 20
"""From so many rows a subject on, in the mean, it pays to ask for each subject whether the archive holds anything of it."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Stage:
    """Rows of one batch (not empty, the dataset's columns) within the transaction of a cursor."""

    def __init__(self, cursor: Cursor, dataset: Dataset, rows: pa.Table, batch_id: int) -> None:
        """Nothing is staged yet."""
        self.cursor, self.dataset, self.rows, self.batch_id = cursor, dataset, rows, batch_id
        self._names = names_of(dataset)
        self._values = [name for name in dataset.names if name not in dataset.key]
        times, subjects = pc.min_max(rows[dataset.key[1]]).as_py(), pc.min_max(rows[dataset.subject]).as_py()
        self.bounds = {"low": times["min"], "high": times["max"], "first": subjects["min"], "last": subjects["max"]}
        self._staged = np.zeros(rows.num_rows, dtype=bool)
        switch = "off" if rows.num_rows > _NESTED_LOOP_ROWS else "on"
        cursor.execute(SQL(_LOCAL).format(SQL(switch)))

    def free(self) -> Mask:
        """The rows whose key the archive cannot hold, because it holds nothing in their window.

        The window is the batch's; where there is something in it and the batch has many rows a subject, as when a journal was
        cut between two batches, each subject's own.
        """
        rows = self.rows.num_rows
        self.execute("window_is_empty", self.bounds)
        if (self.cursor.fetchone() or (False,))[0]:
            return np.ones(rows, dtype=bool)
        subjects = encoded(self.rows[self.dataset.subject])
        names, of_row = subjects.dictionary.to_pylist(), subjects.indices.to_numpy()
        if rows < _ROWS_A_SUBJECT * len(names):
            return np.zeros(rows, dtype=bool)
        times = microseconds(self.dataset, self.rows)
        order = np.argsort(of_row, kind="stable")
        starts = np.searchsorted(of_row[order], np.arange(len(names)))
        values = {
            "subjects": names,
            "lows": [_moment(one) for one in np.minimum.reduceat(times[order], starts).tolist()],
            "highs": [_moment(one) for one in np.maximum.reduceat(times[order], starts).tolist()],
            **self.bounds,
        }
        self.execute("subjects_held", values)
        held = {subject for (subject,) in self.cursor.fetchall()}
        found: Mask = ~np.isin(of_row, [at for at, subject in enumerate(names) if subject in held])
        return found

    def add(self, positions: Indices) -> None:
        """Stage rows that are not staged yet."""
        new = positions[~self._staged[positions]]
        if not self._staged.any():
            self.cursor.execute("drop table if exists stage")
            self.execute("stage", {})
        if len(new):
            self._staged[new] = True
            entry = pa.array(new.astype(np.int32))
            copy_rows(self.cursor, self.dataset, "stage", self.rows.take(pa.array(new)), self.batch_id, entry)

    def missing(self) -> Indices:
        """The staged rows whose key the archive does not hold."""
        self.execute("staged_missing", self.bounds)
        return np.array((self.cursor.fetchone() or ([],))[0], dtype=np.int64)

    def held(self, equal: Sequence[int] | None = None) -> list[tuple[Any, ...]]:
        """The staged rows whose key it holds with other values: (position, batch, source, identity, origin, first, last µs).

        Or `equal`, positions of staged rows whose key it holds with the same values.
        """
        nothing = SQL("''")
        dataset = self.dataset
        self.execute(
            "staged_held",
            {**self.bounds, "equal": equal},
            known_source=Identifier("known", "source") if dataset.sources else nothing,
            known_identity=Identifier("known", dataset.identity) if dataset.identity else nothing,
            **self._compared(),
        )
        return self.cursor.fetchall()

    def kept(self, positions: Sequence[int]) -> set[int]:
        """Which of these staged rows say what the newest revision of their source says."""
        return self._among("staged_kept", positions)

    def revised(self, positions: Sequence[int]) -> set[int]:
        """Which of these staged rows say what any revision of their key says."""
        return self._among("staged_revised", positions)

    def replace(self, positions: Sequence[int]) -> None:
        """Have these staged rows replace the archive's, which are kept as revisions."""
        self.cursor.execute("drop table if exists changed")
        self.execute("changed", {"entries": list(positions)})
        self.execute("keep_revision", {"dataset": self.dataset.name, "batch_id": self.batch_id, **self.bounds})
        self.execute("changed_bounds", {})
        subjects, low, high = self.cursor.fetchone() or (None, None, None)
        self.execute("replace_changed", {"subjects": subjects, "low": low, "high": high}, assignments=self._assigned())

    def keep(self, replaced_by: dict[int, int]) -> None:
        """Keep rows (by position) as revisions, each replaced by a batch."""
        at = sorted(replaced_by)
        self.add(np.array(at, dtype=np.int64))
        values = {"entries": at, "replaced_by": [replaced_by[one] for one in at], "dataset": self.dataset.name}
        self.execute("keep_staged", values)

    def insert(self, positions: Indices) -> None:
        """Add rows whose key the archive lacks."""
        copy_rows(self.cursor, self.dataset, self.dataset.table, self.rows.take(pa.array(positions)), self.batch_id)

    def execute(self, name: str, values: dict[str, Any], **names: Composable) -> None:
        """Run a statement on the dataset's table."""
        self.cursor.execute(statement(name, **{**self._names, **names}), values)

    def _among(self, name: str, positions: Sequence[int]) -> set[int]:
        if not positions:
            return set()
        self.execute(name, {"dataset": self.dataset.name, "entries": list(positions)})
        return {at for (at,) in self.cursor.fetchall()}

    def _compared(self) -> dict[str, Composable]:
        return {
            "known_values": identifiers(self._values, "known"),
            "stage_values": identifiers(self._values, "stage"),
        }

    def _assigned(self) -> Composable:
        pairs = [
            SQL("{} = changed.{}").format(Identifier(name), Identifier(name)) for name in [*self._values, "batch_id"]
        ]
        return SQL(", ").join(pairs)


def _moment(microsecond: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microsecond)
