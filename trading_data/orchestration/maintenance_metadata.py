"""What the nightly ops say of chunks: figures for plots, tables for the run's page.

Belongs here: turning results into metadata. Does not: getting them (`ops`).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from trading_data.archive.chunks import Chunk, ratio
from trading_data.operations.maintenance.cleanup import Leftover
from trading_data.operations.maintenance.compression import Compressed
from trading_data.operations.maintenance.retention import DropVerdict
from trading_data.orchestration.metadata import bars

_SHOWN = 200


def chunk_figures(done: Compressed) -> dict[str, Any]:
    """Of one chunk that was compressed; numbers, which Dagster plots by partition."""
    return {
        "chunk bytes before": done.before,
        "chunk bytes after": done.after,
        "chunk compression ratio": round(done.ratio or 0.0, 2),
        "chunk compression seconds": round(done.seconds, 3),
    }


def compressed_line(done: Compressed) -> str:
    """What became of one chunk, for the log."""
    return (
        f"{done.chunk.day} {done.outcome}: {done.before:,} to {done.after:,} bytes in {done.seconds:.2f} s {done.said}"
    )


def table_figures(every: Sequence[Chunk]) -> dict[str, Any]:
    """Of a whole table, numbers again."""
    return {
        "chunks": len(every),
        "compressed chunks": sum(one.compressed for one in every),
        "bytes on disk": sum(one.bytes_on_disk for one in every),
        "bytes uncompressed": sum(one.bytes_before for one in every),
        "compression ratio": round(ratio(list(every)) or 0.0, 2),
    }


def dropped_figures(drop_verdict: DropVerdict) -> dict[str, Any]:
    """Of one chunk that was dropped."""
    gone = drop_verdict.dropped
    if gone is None:
        return {}
    return {"dropped rows": gone.rows, "dropped bytes": gone.bytes, "cold file": gone.cold or "none", **gone.buckets}


def compression_metadata(done: Sequence[Compressed], every: Sequence[Chunk]) -> dict[str, Any]:
    """Each chunk with its sizes, and the ratio of every day as bars."""
    rows = [
        {
            "day": str(one.chunk.day),
            "outcome": one.outcome,
            "bytes before": one.before,
            "bytes after": one.after,
            "ratio": round(one.ratio or 0.0, 2),
            "seconds": round(one.seconds, 3),
            "said": one.said,
        }
        for one in done
    ]
    packed = [one for one in every if one.compressed]
    drawn = bars([ratio([one]) or 0.0 for one in packed])
    days = f"{packed[0].day} to {packed[-1].day}" if packed else "no compressed chunk"
    return {"done": _table(rows), "ratio by day": dg.MetadataValue.md(f"`{drawn}`\n\n{days}")}


def retention_metadata(verdicts: Sequence[DropVerdict], dry_run: bool) -> dict[str, Any]:
    """Each chunk with its verdict, those that go first."""
    rows = [
        {
            "day": str(verdict.chunk.day),
            "chunk": verdict.chunk.name,
            "verdict": "dropped" if verdict.dropped else "goes" if verdict.goes else "stays",
            "reason": verdict.reason,
            "rows": verdict.dropped.rows if verdict.dropped else 0,
            "bytes": verdict.chunk.bytes_on_disk,
            "cold file": (verdict.dropped.cold if verdict.dropped else None) or "",
        }
        for verdict in sorted(verdicts, key=lambda verdict: not verdict.goes)
    ]
    gone = [verdict.dropped for verdict in verdicts if verdict.dropped]
    return {
        "dry run": dry_run,
        "go": sum(verdict.goes for verdict in verdicts),
        "stay": sum(not verdict.goes for verdict in verdicts),
        "dropped rows": sum(one.rows for one in gone),
        "dropped bytes": sum(one.bytes for one in gone),
        "verdicts": _table(rows),
    }


def leftover_metadata(found: Sequence[Leftover], dry_run: bool) -> dict[str, Any]:
    """What went, or would go, of everything else."""
    going = [one for one in found if one.goes]
    rows = [{"kind": one.kind, "name": one.name, "reason": one.reason} for one in going]
    return {"dry run": dry_run, "go": len(going), "stay": len(found) - len(going), "leftovers": _table(rows)}


def _table(rows: Iterable[dict[str, Any]]) -> dg.MetadataValue[Any] | str:
    shown = [dg.TableRecord(row) for row in list(rows)[:_SHOWN]]
    return dg.MetadataValue.table(shown) if shown else "nothing"
