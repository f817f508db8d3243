"""Results of the nightly ops as metadata: figures for plots, tables for the run's page."""

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from trading_data.archive.chunks import Chunk, compression_ratio
from trading_data.operations.maintenance.cleanup import Leftover
from trading_data.operations.maintenance.compression import Compressed
from trading_data.operations.maintenance.retention import DropVerdict
from trading_data.orchestration.metadata import bars

_SHOWN = 200


def chunk_figures(done: Compressed) -> dict[str, Any]:
    """The numbers of one compressed chunk, which Dagster plots by partition."""
    return {
        "chunk bytes before": done.before,
        "chunk bytes after": done.after,
        "chunk compression ratio": round(done.ratio or 0.0, 2),
        "chunk compression seconds": round(done.seconds, 3),
    }


def compressed_line(done: Compressed) -> str:
    """The outcome for one chunk, for the log."""
    return f"{done.chunk.day} {done.outcome}: {done.before:,} to {done.after:,} bytes in {done.seconds:.2f} s {done.reason}"


def table_figures(chunks: Sequence[Chunk]) -> dict[str, Any]:
    """The numbers of a whole table."""
    return {
        "chunks": len(chunks),
        "compressed chunks": sum(chunk.compressed for chunk in chunks),
        "bytes on disk": sum(chunk.bytes_on_disk for chunk in chunks),
        "bytes uncompressed": sum(chunk.bytes_before for chunk in chunks),
        "compression ratio": round(compression_ratio(list(chunks)) or 0.0, 2),
    }


def dropped_figures(drop_verdict: DropVerdict) -> dict[str, Any]:
    """The numbers of one dropped chunk; empty if it stayed."""
    dropped = drop_verdict.dropped
    if dropped is None:
        return {}
    return {
        "dropped rows": dropped.rows,
        "dropped bytes": dropped.bytes,
        "cold file": dropped.cold or "none",
        **dropped.buckets,
    }


def compression_metadata(done: Sequence[Compressed], chunks: Sequence[Chunk]) -> dict[str, Any]:
    """Each chunk with its sizes, and the compression ratio of each day as bars."""
    rows = [
        {
            "day": str(result.chunk.day),
            "outcome": result.outcome,
            "bytes before": result.before,
            "bytes after": result.after,
            "ratio": round(result.ratio or 0.0, 2),
            "seconds": round(result.seconds, 3),
            "reason": result.reason,
        }
        for result in done
    ]
    packed = [chunk for chunk in chunks if chunk.compressed]
    drawn = bars([compression_ratio([chunk]) or 0.0 for chunk in packed])
    days = f"{packed[0].day} to {packed[-1].day}" if packed else "no compressed chunk"
    return {"done": _table(rows), "ratio by day": dg.MetadataValue.md(f"`{drawn}`\n\n{days}")}


def retention_metadata(verdicts: Sequence[DropVerdict], dry_run: bool) -> dict[str, Any]:
    """Each chunk with its verdict, first the chunks that go."""
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
    dropped = [verdict.dropped for verdict in verdicts if verdict.dropped]
    return {
        "dry run": dry_run,
        "go": sum(verdict.goes for verdict in verdicts),
        "stay": sum(not verdict.goes for verdict in verdicts),
        "dropped rows": sum(chunk.rows for chunk in dropped),
        "dropped bytes": sum(chunk.bytes for chunk in dropped),
        "verdicts": _table(rows),
    }


def leftover_metadata(leftovers: Sequence[Leftover], dry_run: bool) -> dict[str, Any]:
    """The other leftovers that were deleted, or with `dry_run` would be."""
    going = [leftover for leftover in leftovers if leftover.goes]
    rows = [{"kind": leftover.kind, "name": leftover.name, "reason": leftover.reason} for leftover in going]
    return {"dry run": dry_run, "go": len(going), "stay": len(leftovers) - len(going), "leftovers": _table(rows)}


def _table(rows: Iterable[dict[str, Any]]) -> dg.MetadataValue[Any] | str:
    shown = [dg.TableRecord(row) for row in list(rows)[:_SHOWN]]
    return dg.MetadataValue.table(shown) if shown else "nothing"
