"""The rows of a batch in a staging table, the archive's rows in their place, and the statements that write.

Each statement is bounded in time and subject by values, so that it reads no other chunk and no other subject.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Composable, Identifier, Literal

from trading_data.archive.copy import copy_rows
from trading_data.archive.places import SubjectDays, pairs_of
from trading_data.archive.sql import REPORTED, identifiers, names_of, reported_column, same_row, statement
from trading_data.archive.versions import Indices, Mask, dictionary_of, microseconds, moment_of
from trading_data.datasets.declaration import Dataset
from trading_data.times import floor

_LOCAL = """
    set local timescaledb.max_tuples_decompressed_per_dml_transaction = 0;
    set local enable_nestloop = {}
"""
_NESTED_LOOP_ROWS = 5_000
_ROWS_A_SUBJECT = 20
"""From this mean number of rows per subject, each subject's own window is checked. A window with fewer archived rows than this is
checked moment by moment."""
_MOVED_AT_ONCE = 10_000
_MINUTE = timedelta(minutes=1)


class Stage:
    """The good rows of one batch (at least one, with the dataset's columns) in a cursor's transaction."""

    def __init__(self, cursor: Cursor, dataset: Dataset, rows: pa.Table, batch_id: int) -> None:
        """Nothing is staged yet."""
        self.cursor, self.dataset, self.rows, self.batch_id = cursor, dataset, rows, batch_id
        self._names = names_of(dataset) | _names_of_rows(dataset)
        self._values = [name for name in dataset.names if name not in dataset.named_by]
        times, subjects = pc.min_max(rows[dataset.key[1]]).as_py(), pc.min_max(rows[dataset.subject]).as_py()
        self.bounds = {"low": times["min"], "high": times["max"], "first": subjects["min"], "last": subjects["max"]}
        self._windows = [self.bounds]
        self._days: SubjectDays | None = None
        self._subjects = np.zeros(0, dtype=np.int64)
        self._staged = np.zeros(rows.num_rows, dtype=bool)
        switch = "off" if rows.num_rows > _NESTED_LOOP_ROWS else "on"
        cursor.execute(SQL(_LOCAL).format(SQL(switch)))

    def free(self) -> Mask:
        """The rows of which the archive can hold no version, because their window in the archive is empty.

        The window is first that of the whole batch. If it is not empty and the batch has many rows per subject, as when a journal
        was cut between two batches, each subject's own window is checked; if that holds only a few archived rows, only entries at
        their moments may have a version. If rows have an identity, a subject's window is all of time.
        """
        if self.dataset.identity is not None:
            return self._of_new_subjects()
        rows = self.rows.num_rows
        self.execute("window_is_empty", self.bounds)
        if (self.cursor.fetchone() or (False,))[0]:
            return np.ones(rows, dtype=bool)
        subjects = dictionary_of(self.rows[self.dataset.subject])
        names, of_row = subjects.dictionary.to_pylist(), subjects.indices.to_numpy()
        if rows < _ROWS_A_SUBJECT * len(names):
            return np.zeros(rows, dtype=bool)
        times = microseconds(self.dataset, self.rows)
        order = np.argsort(of_row, kind="stable")
        starts = np.searchsorted(of_row[order], np.arange(len(names)))
        values = {
            "subjects": names,
            "lows": [moment_of(low) for low in np.minimum.reduceat(times[order], starts).tolist()],
            "highs": [moment_of(high) for high in np.maximum.reduceat(times[order], starts).tolist()],
            "most": _ROWS_A_SUBJECT,
            **self.bounds,
        }
        self.execute("moments_held", values)
        held = dict(self.cursor.fetchall())
        free = np.ones(rows, dtype=bool)
        for subject, own in zip(names, np.split(order, starts[1:]), strict=True):
            moments = held[subject]
            free[own if len(moments) == _ROWS_A_SUBJECT else own[np.isin(times[own], moments)]] = False
        return free

    def _of_new_subjects(self) -> Mask:
        subjects = dictionary_of(self.rows[self.dataset.subject])
        self._subjects = subjects.indices.to_numpy()
        self._days = SubjectDays(self.cursor, self.dataset, subjects.dictionary.to_pylist())
        self._windows = [{**self.bounds, "low": low, "high": high} for low, high in self._days.spans]
        new: Mask = ~self._days.known[self._subjects]
        return new

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

    def held(self, equal: Sequence[int] | None = None) -> tuple[Indices, list[tuple[Any, ...]]]:
        """The positions of staged rows of which the archive holds no version; and the archive's versions of the others.

        Only versions with other values than the staged row are returned; or, if positions `equal` are given, only those with the
        same values at these. Each is (position, batch, origin, first and last µs of acceptance, source, reported µs).
        """
        source = Identifier("known", "source") if self.dataset.sources else SQL("''")
        missing, rows = self._staged.copy(), list[tuple[Any, ...]]()
        for window in self._windows:
            self.execute("staged_held", {**window, "equal": equal}, known_source=source, **self._compared())
            for entries, batch_id, *origin in self.cursor.fetchall():
                if batch_id is None:
                    absent = np.zeros(len(missing), dtype=bool)
                    absent[entries] = True
                    missing &= absent
                else:
                    rows.append((entries[0], batch_id, *origin))
        return np.flatnonzero(missing), rows

    def taken(self, positions: Sequence[int]) -> dict[str, set[int]]:
        """By subject, the moments (µs since 1970) in the minutes of these staged rows at which the archive keeps rows."""
        taken: dict[str, set[int]] = {}
        for window in self._windows:
            self.execute("moments_taken", {**window, "entries": list(positions)})
            for subject, moments in self.cursor.fetchall():
                taken.setdefault(subject, set()).update(moments)
        return taken

    def kept(self, positions: Sequence[int]) -> set[int]:
        """Which of these staged rows have the values of the newest revision of their source."""
        return self._among("staged_kept", positions)

    def revised(self, positions: Sequence[int]) -> set[int]:
        """Which of these staged rows have the values of any revision of their key."""
        return self._among("staged_revised", positions)

    def replace(self, positions: Sequence[int]) -> None:
        """Replace the archive's rows by these staged ones of the same reported time, and keep the old ones as revisions."""
        self.cursor.execute("drop table if exists changed")
        self.execute("changed", {"entries": list(positions)})
        for window in self._windows:
            self.execute("keep_revision", {"dataset": self.dataset.name, "batch_id": self.batch_id, **window})
        self.execute("changed_bounds", {})
        subjects, low, high = self.cursor.fetchone() or (None, None, None)
        values = {"subjects": subjects, "low": low, "high": high}
        if self.dataset.identity is not None:  # the row may be anywhere in the reported minute
            values |= {"low": floor(low, _MINUTE), "high": floor(high, _MINUTE) + _MINUTE}
        self.execute("replace_changed", values, assignments=self._assigned())

    def move(self, moved: Mapping[int, int], places: Mapping[int, int]) -> None:
        """Replace the archive's rows by staged ones of another reported time, and keep the old ones as revisions.

        Args:
            moved: by position, the time that the archive's row reports (µs since 1970).
            places: by position, the moment at which a row is kept if not at the time it reports (µs since 1970).
        """
        name, time = f"move_{self.dataset.table}", self.dataset.key[1]
        names = {"move": Identifier("public", name), "time_name": Literal(time)}
        for start in range(0, len(moved), _MOVED_AT_ONCE):
            positions = sorted(moved)[start : start + _MOVED_AT_ONCE]
            stored = [moment_of(places[at]) if at in places else None for at in positions]
            values = {"entries": positions, "was": [moment_of(moved[at]) for at in positions], "stored": stored}
            self.execute("move_rows", values, **names)
        self._note_days(np.array(sorted(moved), dtype=np.int64))

    def keep(self, replaced_by: dict[int, int]) -> None:
        """Keep rows of the batch as revisions: by position, the batch that replaced each."""
        at = sorted(replaced_by)
        self.add(np.array(at, dtype=np.int64))
        values = {
            "entries": at,
            "replaced_by": [replaced_by[position] for position in at],
            "dataset": self.dataset.name,
        }
        self.execute("keep_staged", values)

    def insert(self, positions: Indices, places: Mapping[int, int]) -> None:
        """Add rows that the archive lacks; those in `places` at another moment (µs since 1970) than they report."""
        moved = np.isin(positions, list(places)) if places else np.zeros(len(positions), dtype=bool)
        table = self.dataset.table
        copy_rows(self.cursor, self.dataset, table, self.rows.take(pa.array(positions[~moved])), self.batch_id)
        if moved.any():
            rows = self.rows.take(pa.array(positions[moved]))
            stored = pa.array([places[at] for at in positions[moved].tolist()], pa.int64())
            copy_rows(self.cursor, self.dataset, table, rows, self.batch_id, stored=stored)
        self._note_days(positions)

    def execute(self, name: str, values: dict[str, Any], **names: Composable) -> None:
        """Run a statement on the dataset's table."""
        self.cursor.execute(statement(name, **{**self._names, **names}), values)

    def _note_days(self, positions: Indices) -> None:
        if self._days is not None:
            times = microseconds(self.dataset, self.rows)[positions]
            self._days.keep(*pairs_of(self._subjects[positions], times))

    def _among(self, name: str, positions: Sequence[int]) -> set[int]:
        if not positions:
            return set()
        self.execute(name, {"dataset": self.dataset.name, "entries": list(positions)})
        return {at for (at,) in self.cursor.fetchall()}

    def _compared(self) -> dict[str, Composable]:
        return {
            "known_values": SQL(", ").join(reported_column(self.dataset, name, "known") for name in self._values),
            "stage_values": identifiers(self._values, "stage"),
        }

    def _assigned(self) -> Composable:
        names = [name for name in self.dataset.names if name not in self.dataset.key]
        pairs = [SQL("{} = changed.{}").format(Identifier(name), Identifier(name)) for name in [*names, "batch_id"]]
        return SQL(", ").join(pairs)


def _names_of_rows(dataset: Dataset) -> dict[str, Composable]:
    """The names in statements on the stage, for rows known by key or by identity, with the times that they report."""
    time, stage = dataset.key[1], SQL("(to_jsonb(stage) - '{{batch_id,entry,{}}}'::text[])").format(SQL(REPORTED))
    names: dict[str, Composable] = {
        "same_row": same_row(dataset, "known", "stage"),
        "changed_row": same_row(dataset, "known", "changed"),
        "stage_row": stage,
        "known_time": reported_column(dataset, time, "known"),
    }
    of_row = SQL("revision.dataset = %(dataset)s and revision.subject = {}").format(
        Identifier("stage", dataset.subject)
    )
    if dataset.identity is None:
        of_time = SQL('{} and revision."timestamp" = {}')
        return names | {
            "of_row": of_time.format(of_row, Identifier("stage", time)),
            "known_row": SQL("to_jsonb(known) - 'batch_id'"),
            "known_reported": SQL("0"),
        }
    micro = SQL("(extract(epoch from {}) * 1000000)::bigint")
    of_identity = SQL("{} and revision.old->>{} = {}")
    as_reported = SQL("(to_jsonb(known) - '{{batch_id,{}}}'::text[]) || jsonb_build_object({}, {})")
    return names | {
        "of_row": of_identity.format(of_row, Literal(dataset.identity), Identifier("stage", dataset.identity)),
        "known_row": as_reported.format(SQL(REPORTED), Literal(time), reported_column(dataset, time, "known")),
        "known_reported": micro.format(reported_column(dataset, time, "known")),
    }
