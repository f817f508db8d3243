"""Rows of one batch into the hypertable: straight in where the archive holds nothing, else past what it holds.

Belongs here: the statements on rows, each bounded in time and subject by values. Does not: counts and books
(`archive.load`), and what the entries of one key become (`archive.versions`).
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Identifier

from trading_data.archive.copy import copy_rows
from trading_data.archive.coverage import Covered, add, covered_by
from trading_data.archive.sql import identifiers, names_of, statement
from trading_data.archive.versions import Indices, Mask, Versions, microseconds, per_day, versions
from trading_data.datasets.declaration import Dataset

_LOCAL = """
    set local timescaledb.max_tuples_decompressed_per_dml_transaction = 0;
    set local enable_nestloop = {}
"""
_NESTED_LOOP_ROWS = 5_000
_ROWS_A_SUBJECT = 20
"""From so many rows a subject on, in the mean, it pays to ask for each subject whether the archive holds anything of it."""


@dataclass(frozen=True)
class Touched:
    """The first and last moment (UTC) of the rows of a day that changed."""

    low: datetime
    high: datetime


@dataclass
class Written:
    """Counts by day (days since 1970), the range of changed rows by day (µs), and positions that were left alone.

    `covered` has the inserted rows by the column that coverage is kept by, and day.
    """

    inserted: dict[int, int] = field(default_factory=dict)
    replaced: dict[int, int] = field(default_factory=dict)
    unchanged: dict[int, int] = field(default_factory=dict)
    touched: dict[int, tuple[int, int]] = field(default_factory=dict)
    covered: Covered = field(default_factory=dict)
    differing: list[int] = field(default_factory=list)

    def touch(self, day: int, low: int, high: int) -> None:
        """Widen the changed range of a day."""
        known = self.touched.get(day, (low, high))
        self.touched[day] = (min(known[0], low), max(known[1], high))


class RowWriter:
    """Writes rows of one batch within the transaction of its cursor."""

    def __init__(self, cursor: Cursor, dataset: Dataset, rows: pa.Table, batch_id: int) -> None:
        """`rows` have the dataset's columns and are not empty."""
        self._cursor, self._dataset, self._rows, self._batch_id = cursor, dataset, rows, batch_id
        self._names = names_of(dataset)
        self._values = [name for name in dataset.names if name not in dataset.key]
        times, subjects = pc.min_max(rows[dataset.key[1]]).as_py(), pc.min_max(rows[dataset.subject]).as_py()
        self.bounds = {"low": times["min"], "high": times["max"], "first": subjects["min"], "last": subjects["max"]}
        switch = "off" if rows.num_rows > _NESTED_LOOP_ROWS else "on"
        cursor.execute(SQL(_LOCAL).format(SQL(switch)))

    def owners(self) -> dict[tuple[str, int], str]:
        """For a dataset with an identity: who has the keys of these rows already."""
        dataset = self._dataset
        if dataset.identity is None:
            return {}
        values = {
            "subjects": self._rows[dataset.subject].to_pylist(),
            "times": self._rows[dataset.key[1]].to_pylist(),
            **self.bounds,
        }
        self._execute("owners", values, identity=Identifier(dataset.identity))
        return {(subject, int(moment)): owner for subject, moment, owner in self._cursor.fetchall()}

    def write(self, found: Versions) -> Written:
        """Write the versions; counts are those of the first version of each key against what the archive held."""
        written = Written()
        free = self._free()
        straight, past = found.last[free[found.last]], found.first[~free[found.first]]
        if len(straight):
            copy_rows(self._cursor, self._dataset, self._dataset.table, self._at(straight), self._batch_id)
            self._note_all(written, straight)
        if len(past):
            self._stage(past)
            self._write_past(written, past)
        if len(found.superseded):
            self._stage(found.superseded)
            self._execute("keep_superseded", {"dataset": self._dataset.name, **self.bounds}, **self._compared())
        later = found.later[~free[found.later]]
        if len(later):
            self._settle(written, later)
        return written

    def add_only(self) -> Written:
        """Insert rows whose key is missing; name those (`differing`) that the archive holds with other values."""
        written = Written()
        everything = np.arange(self._rows.num_rows, dtype=np.int64)
        self._stage(everything)
        self._insert(written)
        self._find_changed()
        self._execute("changed_keys", {})
        keys = {(subject, int(moment)) for subject, moment in self._cursor.fetchall()}
        subjects = self._rows[self._dataset.subject].to_pylist()
        times = microseconds(self._dataset, self._rows).tolist()
        written.differing = [at for at, key in enumerate(zip(subjects, times, strict=True)) if key in keys]
        return written

    def keep_outranked(self) -> dict[int, int]:
        """Keep rows that better sources outrank as revisions; returns how many new ones by day.

        To be called after the winners are written. One that repeats what was kept of its source is not kept again.
        """
        found = versions(self._dataset, self._rows, "source")
        kept: dict[int, int] = {}
        for positions, checked in ((found.first, True), (np.sort(found.replacing), False)):
            if len(positions):
                self._stage(positions)
                self._execute("keep_outranked", {"dataset": self._dataset.name, "checked": checked, **self.bounds})
                for day, count in self._cursor.fetchall():
                    number = (day - _EPOCH_DAY).days
                    kept[number] = kept.get(number, 0) + count
        return kept

    def _free(self) -> Mask:
        """The rows whose key the archive cannot hold, because it holds nothing in their window.

        The window is the batch's; where there is something in it and the batch has many rows a subject, as when a journal was
        cut between two batches, each subject's own.
        """
        rows = self._rows.num_rows
        self._execute("window_is_empty", self.bounds)
        if (self._cursor.fetchone() or (False,))[0]:
            return np.ones(rows, dtype=bool)
        free = np.zeros(rows, dtype=bool)
        encoded = self._rows[self._dataset.subject].combine_chunks().dictionary_encode()
        subjects, of_row = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
        if rows < _ROWS_A_SUBJECT * len(subjects):
            return free
        times = microseconds(self._dataset, self._rows)
        order = np.argsort(of_row, kind="stable")
        starts = np.searchsorted(of_row[order], np.arange(len(subjects)))
        values = {
            "subjects": subjects,
            "lows": [_moment(one) for one in np.minimum.reduceat(times[order], starts).tolist()],
            "highs": [_moment(one) for one in np.maximum.reduceat(times[order], starts).tolist()],
            **self.bounds,
        }
        self._execute("subjects_held", values)
        held = {subject for (subject,) in self._cursor.fetchall()}
        return ~np.isin(of_row, [at for at, subject in enumerate(subjects) if subject in held])

    def _write_past(self, written: Written, positions: Indices) -> None:
        inserted = self._insert(written)
        if sum(inserted.values()) < len(positions):
            self._find_changed()
            if self._cursor.rowcount:
                self._execute(
                    "keep_revision", {"dataset": self._dataset.name, "batch_id": self._batch_id, **self.bounds}
                )
                self._replace_changed()
                for day, count, low, high in self._days():
                    written.replaced[day] = count
                    written.touch(day, low, high)
        for day, (count, _, _) in per_day(self._dataset, self._rows, positions).items():
            written.unchanged[day] = count - inserted.get(day, 0) - written.replaced.get(day, 0)

    def _settle(self, written: Written, positions: Indices) -> None:
        self._stage(positions)
        self._find_changed()
        if self._cursor.rowcount:
            self._replace_changed()
            for day, (_, low, high) in per_day(self._dataset, self._rows, positions).items():
                written.touch(day, low, high)

    def _insert(self, written: Written) -> dict[int, int]:
        """Rows whose key is missing; returns how many by day."""
        inserted: dict[int, int] = {}
        self._execute("insert_missing", self.bounds, about=Identifier(self._dataset.about))
        found = self._cursor.fetchall()
        for subject, day, count, low, high in found:
            number = (day - _EPOCH_DAY).days
            low, high = _microsecond(low), _microsecond(high)
            inserted[number] = inserted.get(number, 0) + count
            written.inserted[number] = written.inserted.get(number, 0) + count
            written.touch(number, low, high)
            add(written.covered, {(subject, number): (count, low, high)})
        return inserted

    def _note_all(self, written: Written, positions: Indices) -> None:
        for day, (count, low, high) in per_day(self._dataset, self._rows, positions).items():
            written.inserted[day] = written.inserted.get(day, 0) + count
            written.touch(day, low, high)
        add(written.covered, covered_by(self._dataset, self._rows, positions))

    def _stage(self, positions: Indices) -> None:
        self._cursor.execute("drop table if exists stage")
        self._execute("stage", {})
        copy_rows(self._cursor, self._dataset, "stage", self._at(positions), self._batch_id)

    def _find_changed(self) -> None:
        self._cursor.execute("drop table if exists changed")
        self._execute("changed", self.bounds, **self._compared())

    def _compared(self) -> dict[str, Any]:
        return {
            "known_values": identifiers(self._values, "known"),
            "stage_values": identifiers(self._values, "stage"),
        }

    def _replace_changed(self) -> None:
        self._execute("changed_bounds", {})
        subjects, low, high = self._cursor.fetchone() or (None, None, None)
        bounds = {"subjects": subjects, "low": low, "high": high}
        self._execute("replace_changed", bounds, assignments=self._assignments())

    def _assignments(self) -> Any:
        pairs = [
            SQL("{} = changed.{}").format(Identifier(name), Identifier(name)) for name in [*self._values, "batch_id"]
        ]
        return SQL(", ").join(pairs)

    def _at(self, positions: Indices) -> pa.Table:
        return self._rows.take(pa.array(positions))

    def _days(self) -> list[tuple[int, int, int, int]]:
        found = []
        for day, count, low, high in self._cursor.fetchall():
            number = (day - _EPOCH_DAY).days
            found.append((number, count, _microsecond(low), _microsecond(high)))
        return found

    def _execute(self, name: str, values: dict[str, Any], **names: Any) -> None:
        self._cursor.execute(statement(name, **{**self._names, **names}), values)


_EPOCH_DAY = date(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(microseconds_: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds_)


def _microsecond(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond
