"""Retried entries during a load: each is loaded only while it waits, and settled in the transaction that loads it.

So a crash neither loses nor doubles anything: if a retry never reaches the intake, its entries keep waiting; of two retries of one
entry the second finds it settled; an entry that is rejected again has waited all the time. An entry is found by journal, id and
digest of the rejected payload, which its batch carries beside the corrected values.
"""

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.acceptance import from_journal
from trading_data.archive.order import Accepted
from trading_data.archive.quarantine.rejects import Reject, digest, from_row, ledger_name, settle, storable_text
from trading_data.archive.sql import statement
from trading_data.datasets.declaration import Dataset
from trading_data.intake.batch import Batch
from trading_data.live.journal import EntryId

_FORGOTTEN = (
    "it was retried, but is not in quarantine in this archive (was an older backup restored?): retry it once more"
)


class Retries:
    """The entries of a batch of origin quarantine. `_journal` of a row is its position in the batch."""

    def __init__(self, cursor: Cursor, dataset: Dataset, batch: Batch) -> None:
        """Find and lock them."""
        self._cursor, self._dataset, self._batch = cursor, dataset, batch
        digests = [digest(text) for text in batch.table["_payload"].to_pylist()]
        names = [ledger_name(journal.journal) for journal in batch.journals]
        ids = [journal.first for journal in batch.journals]
        values = {"dataset": dataset.name, "journals": names, "entry_ids": ids, "digests": digests}
        cursor.execute(statement("quarantine_lock"), values)
        entries = cursor.fetchall()
        self._keys = list(zip(names, ids, digests, strict=True))
        self._waiting = {at - 1: (number, batch_id) for at, number, batch_id, settled in entries if settled is None}
        self._forgotten = sorted(set(range(len(names))) - {at - 1 for at, *_ in entries})

    def admit(self, rows: pa.Table, rejected: pa.Table) -> tuple[pa.Table, pa.Table, list[Reject]]:
        """The rows and rejects of the batch that still wait, and new rejects for rows that are not in quarantine."""
        forgotten = _of(rows, self._forgotten)
        refused = [
            from_row(self._batch, self._dataset, forgotten, at, "not in quarantine", _FORGOTTEN)
            for at in range(forgotten.num_rows)
        ]
        return _of(rows, list(self._waiting)), _of(rejected, [*self._waiting, *self._forgotten]), refused

    def accepted(self) -> dict[int, Accepted]:
        """When and where the waiting entries were accepted first, by position in the batch."""
        batches = sorted({batch_id for _, batch_id in self._waiting.values()})
        self._cursor.execute(statement("batches_accepted"), {"batches": batches})
        made = {batch_id: (first, last) for batch_id, first, last in self._cursor.fetchall()}
        names = sorted({self._keys[at][0] for at in self._waiting})
        self._cursor.execute(statement("batch_ranges"), {"batches": batches, "journals": names})
        journals = {(batch_id, journal): number for batch_id, journal, number, *_ in self._cursor.fetchall()}
        accepted = {}
        for at, (_, batch_id) in self._waiting.items():
            journal, entry, _ = self._keys[at]
            first, last = made.get(batch_id, (0, 0))
            incarnation = journals.get((batch_id, journal))
            accepted[at] = (
                Accepted(first, last)
                if incarnation is None
                else from_journal(journal, incarnation, EntryId.parse(entry), last)
            )
        return accepted

    def settle(self, rejects: list[Reject], batch_id: int) -> None:
        """Settle the entries that were not rejected again; the others keep waiting, with their new reasons."""
        again = {(ledger_name(reject.journal), reject.entry_id, reject.digest): reject for reject in rejects}
        waiting = {number: self._keys[at] for at, (number, _) in self._waiting.items()}
        done = [number for number, key in waiting.items() if key not in again]
        settle(self._cursor, done, "retried", f"; retried in batch {batch_id}")
        failed = {number: again[key] for number, key in waiting.items() if key in again}
        values = {
            "ids": list(failed),
            "kinds": [storable_text(reject.kind) for reject in failed.values()],
            "reasons": [storable_text(reject.reason) for reject in failed.values()],
        }
        self._cursor.execute(statement("quarantine_again"), values)


def _of(rows: pa.Table, positions: list[int]) -> pa.Table:
    return rows.filter(pa.array(np.isin(rows["_journal"].to_numpy(), positions)))
