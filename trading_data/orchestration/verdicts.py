"""The verdicts on a dataset's assets: what was found as the result of a check, with a sentence and its figures.

Belongs here: results. Does not: the checks that ask for them one at a time (`checks`), and when they are told (`reports`).
"""

from collections.abc import Mapping, Sequence
from datetime import date

import dagster as dg

from trading_data.archive.closed import Handled
from trading_data.archive.database import Archive
from trading_data.archive.ledger import quarantine_waiting
from trading_data.archive.verify.ledger import AuditResult
from trading_data.archive.verify.lost import Lost, acknowledge_command
from trading_data.archive.verify.odd_values import OddValues
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.live.type_mismatch import WrongType
from trading_data.orchestration.declared import BALANCE, DECLARED_KEYS, EQUAL, MISSING, PLAUSIBLE, QUARANTINED
from trading_data.orchestration.metadata import SHOWN
from trading_data.printable import counted, noun

ODD_DAYS = "days"
"""The metadata of `values_are_plausible` in which it keeps the UTC days that have rows that look wrong."""
_DIFFERENCES = 10


def nothing_quarantined(archive: Archive, dataset: Dataset) -> dg.AssetCheckResult:
    """Whether rejected entries wait for a decision."""
    kinds = quarantine_waiting(archive, dataset)
    total = sum(count for count, _ in kinds.values())
    said = ", ".join(f"{count} {kind} since {since:%Y-%m-%d %H:%M}Z" for kind, (count, since) in kinds.items())
    return dg.AssetCheckResult(
        asset_key=dataset.table,
        check_name=QUARANTINED,
        passed=total == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{counted(total, 'entry waits', 'entries wait')} in quarantine: {said}. Run `trading-data quarantine "
        f"list {dataset.name}`"
        if total
        else "No entry waits in quarantine.",
        metadata={"waiting": total, **{kind: count for kind, (count, _) in kinds.items()}},
    )


def nothing_missing(dataset: Dataset, lost: Lost) -> dg.AssetCheckResult:
    """Whether entries are lost that nobody has acknowledged."""
    said = ". ".join(said for _, said in lost.said())
    return dg.AssetCheckResult(
        asset_key=dataset.table,
        check_name=MISSING,
        passed=not lost,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{said}. It stays red until they are back, or until you run `{acknowledge_command(dataset)}`"
        if lost
        else "Every entry that was added to the journals is archived, in the intake or in its journal, or is acknowledged.",
        metadata={"missing": lost.least, "journals": len(lost.journals)},
    )


def accounts_balance(dataset: Dataset, finding: AuditResult) -> dg.AssetCheckResult:
    """Whether ledger, rows and books agree."""
    return dg.AssetCheckResult(
        asset_key=dataset.table,
        check_name=BALANCE,
        passed=finding.ok,
        severity=dg.AssetCheckSeverity.ERROR,
        description=finding.said if finding.ok else f"{finding.said}. Run `trading-data verify`",
    )


def values_are_plausible(
    dataset: Dataset, found: Sequence[OddValues], known: Sequence[date] = ()
) -> dg.AssetCheckResult:
    """Whether rows look wrong that break no rule; `known` are days, in order, of which that is known and unchanged."""
    parts = [one.said() for one in found]
    if known:
        parts.append(f"{len(known):,} more days with such rows, {known[0]} to {known[-1]}")
    said = "; ".join(parts)
    return dg.AssetCheckResult(
        asset_key=dataset.table,
        check_name=PLAUSIBLE,
        passed=not parts,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{said}. They are archived as they came: if they are wrong, import right ones, which take their place"
        if parts
        else "No row looks wrong.",
        metadata={
            **{one.kind: one.rows for one in found},
            ODD_DAYS: dg.MetadataValue.json(
                sorted({str(day) for day in known}.union(*(map(str, one.days) for one in found)))
            ),
        },
    )


def balance_of(dataset: Dataset, days: Mapping[date, Handled]) -> AuditResult:
    """The verdicts on some days as one finding."""
    faults = [f"{day}: {said}" for day, one in days.items() for said in one.faults]
    rows = sum(day.rows for day in days.values())
    said = "; ".join(faults[:SHOWN]) or f"{counted(rows, 'row')} on {counted(len(days), 'day')} accounted for"
    return AuditResult(dataset.name, None, not faults, "accounts", said)


def equals_raw(aggregate: Aggregate, wrong: list[str]) -> dg.AssetCheckResult:
    """Whether an aggregate is what the raw rows give; `wrong` has a line for each bucket that is not."""
    return dg.AssetCheckResult(
        asset_key=aggregate.name,
        check_name=EQUAL,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{counted(len(wrong), 'bucket differs', 'buckets differ')} from the raw rows: "
        f"{'; '.join(wrong[:_DIFFERENCES])}"
        if wrong
        else "The refreshed ranges equal the raw rows.",
        metadata={"differing buckets": len(wrong)},
    )


def keys_as_declared(dataset: Dataset, strange: list[WrongType]) -> dg.AssetCheckResult:
    """Whether keys bear a name of the dataset and are of another type."""
    said = "; ".join(one.said for one in strange[:SHOWN]) + ("; …" if len(strange) > SHOWN else "")
    return dg.AssetCheckResult(
        asset_key=dataset.snapshot,
        check_name=DECLARED_KEYS,
        passed=not strange,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{counted(len(strange), 'key has a name', 'keys have names')} of ours and "
        f"{noun(len(strange), 'is', 'are')} not archived: {said}. Somebody else writes them: find "
        "out who (`trading-data redis-cli MONITOR`, `ACL LOG`), then RENAME the keys or DEL them"
        if strange
        else "Every key with a name of ours is of its type.",
        metadata={"keys": len(strange)},
    )
