"""Entries from quarantine on their way in: each is loaded only while it waits, and settled in the transaction that does.

So nothing is lost or doubled whatever dies: a retry that never reaches the intake leaves its entries waiting; of two
retries of one entry the second finds it settled; one that is rejected again has waited all the time. An entry is
found by what it is (journal, id, digest of the payload as it was rejected), which its batch carries beside the corrected
values.

Belongs here: what a load asks and writes about retried entries. Does not: making the batch (`archive.quarantine`).
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import Identifier

from trading_data.archive.copy import copy_rows
from trading_data.archive.rejects import Reject, digest, from_row, ledger_name, sayable
from trading_data.archive.sql import identifiers, names_of, statement
from trading_data.archive.versions import microseconds
from trading_data.datasets.declaration import Dataset
from trading_data.intake.batch import Batch

_FORGOTTEN = (
    "it was retried, but this archive did not hold it in quarantine (an older backup was restored?): retry it once more"
)


class Retries:
    """The entries of a batch of origin quarantine. `_journal` of a row is its position in the batch."""

    def __init__(self, cursor: Cursor, dataset: Dataset, batch: Batch) -> None:
        """Find and lock them."""
        self._cursor, self._dataset, self._batch = cursor, dataset, batch
        digests = [digest(text) for text in batch.table["_payload"].to_pylist()]
        names = [ledger_name(found.journal) for found in batch.journals]
        ids = [found.first for found in batch.journals]
        values = {"dataset": dataset.name, "journals": names, "entry_ids": ids, "digests": digests}
        cursor.execute(statement("quarantine_lock"), values)
        found = cursor.fetchall()
        self._keys = list(zip(names, ids, digests, strict=True))
        self._waiting = {at - 1: (number, batch_id) for at, number, batch_id, settled in found if settled is None}
        self._forgotten = sorted(set(range(len(names))) - {at - 1 for at, *_ in found})

    def admit(self, rows: pa.Table, rejected: pa.Table) -> tuple[pa.Table, pa.Table, list[Reject]]:
        """Of a batch's rows and rejects those that still wait, and the rejects that rows have become here."""
        forgotten = _of(rows, self._forgotten)
        refused = [
            from_row(self._batch, self._dataset, forgotten, at, "not in quarantine", _FORGOTTEN)
            for at in range(forgotten.num_rows)
        ]
        rows = _of(rows, list(self._waiting))
        newer = self._newer(rows) if rows.num_rows else {}
        for at, batch_id in newer.items():
            reason = (
                f"the archive holds other values for this key, from batch {batch_id}, which may be newer than this entry; "
                "discard it, or import the row from a file if it is to replace them"
            )
            refused.append(from_row(self._batch, self._dataset, rows, at, "newer row", reason))
        kept = rows.filter(pa.array(~np.isin(np.arange(rows.num_rows), list(newer))))
        return kept, _of(rejected, [*self._waiting, *self._forgotten]), refused

    def settle(self, rejects: list[Reject], batch_id: int) -> None:
        """Settle what waited and was not rejected again; the others go on waiting, with their new reasons."""
        again = {(ledger_name(one.journal), one.entry_id, one.digest): one for one in rejects}
        waiting = {number: self._keys[at] for at, (number, _) in self._waiting.items()}
        done = [number for number, key in waiting.items() if key not in again]
        self._cursor.execute(statement("quarantine_settle"), {"ids": done, "note": f"; retried in batch {batch_id}"})
        failed = {number: again[key] for number, key in waiting.items() if key in again}
        values = {
            "ids": list(failed),
            "kinds": [sayable(one.kind) for one in failed.values()],
            "reasons": [sayable(one.reason) for one in failed.values()],
        }
        self._cursor.execute(statement("quarantine_again"), values)

    def _newer(self, rows: pa.Table) -> dict[int, int]:
        """Position of a row → batch of the archive's other row of its key, if that came with or after this entry.

        The entry accepted last is what the archive shows; one that has waited meanwhile must not undo a newer one.
        """
        dataset, cursor = self._dataset, self._cursor
        cursor.execute("drop table if exists stage")
        cursor.execute(statement("stage", **names_of(dataset)))
        copy_rows(cursor, dataset, "stage", rows, 0)
        times, subjects = pc.min_max(rows[dataset.key[1]]).as_py(), pc.min_max(rows[dataset.subject]).as_py()
        bounds = {"low": times["min"], "high": times["max"], "first": subjects["min"], "last": subjects["max"]}
        values = [name for name in dataset.names if name not in dataset.key]
        names: dict[str, Any] = {
            **names_of(dataset),
            "identity": Identifier(dataset.identity or dataset.subject),
            "known_values": identifiers(values, "known"),
            "stage_values": identifiers(values, "stage"),
        }
        cursor.execute(statement("differing_rows", **names), bounds)
        differing = {(subject, int(moment)): batch_id for subject, moment, batch_id in cursor.fetchall()}
        keys = zip(rows[dataset.subject].to_pylist(), microseconds(dataset, rows).tolist(), strict=True)
        found = {at: differing[key] for at, key in enumerate(keys) if key in differing}
        came = [self._waiting[code][1] for code in rows["_journal"].to_pylist()]
        return {at: batch_id for at, batch_id in found.items() if batch_id >= came[at]}


def _of(rows: pa.Table, positions: list[int]) -> pa.Table:
    return rows.filter(pa.array(np.isin(rows["_journal"].to_numpy(), positions)))
