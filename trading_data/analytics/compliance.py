"""Every fill of a period with its origin: evidence that none is missing.

Belongs here: the report on fills. Does not: the lookup of origins (`origins`), the history of a single row (`provenance`).
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.analytics.frames import AMOUNT, NUMBER, TEXT, TIME, frame
from trading_data.analytics.origins import EntryOrigin, LedgerBatches, key_of, parse_rejected, row_versions
from trading_data.archive.database import Archive
from trading_data.archive.sql import statement
from trading_data.datasets import TRADE
from trading_data.errors import BadInput
from trading_data.times import utc

_BATCH = ("origin", "snapshot_run", "load_run", "drained_at", "archived_at", "content_hash")
_SOURCE = ("journal", "first_entry", "last_entry", "entries", "entry_id")
_EXACT = tuple(column.name for column in TRADE.columns if column.type == "decimal")
_COLUMNS = {
    "state": TEXT,
    **{column.name: {"decimal": AMOUNT, "time": TIME}.get(column.type, TEXT) for column in TRADE.columns},
    "batch_id": NUMBER,
    **dict.fromkeys(_BATCH, TEXT),
    **dict.fromkeys(("drained_at", "archived_at"), TIME),
    **dict.fromkeys(_SOURCE, TEXT),
    "entries": NUMBER,
    "replaced_by": NUMBER,
    "replaced_at": TIME,
    "quarantine_id": NUMBER,
    **dict.fromkeys(("kind", "reason", "payload"), TEXT),
}
_REJECTED_AT = "rejected at"
"""The key under which a rejected row carries its origin until the frame is built."""
_ROWS = ("current", "replaced")
_LAST = datetime.max.replace(tzinfo=UTC)


def compliance(archive: Archive, start: datetime | str, end: datetime | str) -> pd.DataFrame:
    """Every fill with a timestamp in [start, end) that ever reached the archive, with the batch and the run it came from.

    A fill appears in its present version (`current`) and in every replaced version (`replaced`). A rejected fill appears while it
    is in quarantine (`quarantined`) or after it was given up (`discarded`); once corrected and retried it appears as a row.
    Rejected fills with an unreadable timestamp belong to every period, so that none is hidden. A repeated report of an equal fill
    adds nothing. Fills that have not reached the archive yet are not included.

    Args:
        archive: the archive tier.
        start: aware, or text with a zone.
        end: likewise.

    Returns:
        By timestamp, order and version (replaced ones first; those without a timestamp last): `state`; the columns of
        `trade_data` (`quantity`, `price`, `commission`: `decimal.Decimal`; None for unreadable values of rejected fills);
        `batch_id`; from that batch's ledger row `origin` (journal, file, vendor, quarantine), `snapshot_run`, `load_run`,
        `drained_at`, `archived_at`, `content_hash`; `journal` (or file), `first_entry` and `last_entry` of it in the batch,
        `entries` (their number), and `entry_id` if the entry itself is known; `replaced_by` (batch), `replaced_at`;
        `quarantine_id`, `kind`, `reason`, and `payload`, the complete rejected entry as JSON text. Times are
        datetime64[us, UTC], ids and counts Int64, missing values NA, NaT or None.

    Raises:
        BadInput: start is after end, or a time has no zone.
        ArchiveTierError: the archive is unavailable.
    """
    first, last = utc(start, "start"), utc(end, "end")
    if first > last:
        raise BadInput(f"start {first.isoformat()} is after end {last.isoformat()}")
    with archive.transaction(snapshot=True) as cursor:
        rows = [*_accepted(cursor, first, last), *_rejected(cursor, first, last)]
        batches = LedgerBatches(cursor, TRADE, (row["batch_id"] for row in rows))
    for row in rows:
        batch = batches.batch(row["batch_id"])
        source = row.pop(_REJECTED_AT, None) or batches.source(row["batch_id"], key_of(TRADE, row))
        row.update({name: getattr(batch, name, None) for name in _BATCH})
        row.update({name: getattr(source, name) for name in _SOURCE})
    rows.sort(key=lambda row: (row["timestamp"] or _LAST, row["order_id"] or "", row["state"] not in _ROWS))
    return frame([[row.get(name) for name in _COLUMNS] for row in rows], _COLUMNS)


def _accepted(cursor: Cursor, start: datetime, end: datetime) -> list[dict[str, Any]]:
    return [
        {
            **version.values,
            "state": "current" if version.replaced_by is None else "replaced",
            "batch_id": version.batch_id,
            "replaced_by": version.replaced_by,
            "replaced_at": version.replaced_at,
        }
        for versions in row_versions(cursor, TRADE, start, end).values()
        for version in versions
    ]


def _rejected(cursor: Cursor, start: datetime, end: datetime) -> list[dict[str, Any]]:
    cursor.execute(statement("quarantine_not_retried"), {"dataset": TRADE.name})
    entries = cursor.fetchall()
    rows = []
    for values, entry in zip(parse_rejected(TRADE, [row[5] for row in entries]).to_pylist(), entries, strict=True):
        number, journal, entry_id, kind, reason, payload, batch_id, settled = entry
        moment = values["timestamp"]
        if moment is not None and not start <= moment < end:
            continue
        exact = {name: None if values[name] is None else Decimal(values[name]) for name in _EXACT}
        rows.append(
            {
                **values,
                **exact,
                "state": settled or "quarantined",
                "batch_id": batch_id,
                _REJECTED_AT: EntryOrigin(journal, entry_id, entry_id, 1, entry_id),
                "quarantine_id": number,
                "kind": kind,
                "reason": reason,
                "payload": payload,
            }
        )
    return rows
