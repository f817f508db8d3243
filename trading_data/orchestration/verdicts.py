"""The verdicts on a dataset's assets: findings as check results, each with a sentence and figures."""

from collections.abc import Mapping, Sequence
from datetime import date

import dagster as dg

from trading_data.archive.database import Archive
from trading_data.archive.days import Handled
from trading_data.archive.ledger import quarantine_waiting
from trading_data.archive.verify.ledger import AuditResult, balance, rows_on_days
from trading_data.archive.verify.lost import Losses, acknowledge_command
from trading_data.archive.verify.odd_values import OddValues
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.live.reads import WrongType
from trading_data.orchestration.declared import BALANCE, DECLARED_KEYS, EQUAL, MISSING, PLAUSIBLE, QUARANTINED
from trading_data.orchestration.metadata import SHOWN
from trading_data.printable import counted, noun

ODD_DAYS = "days"
"""The metadata of `values_are_plausible` that lists the UTC days with rows that look wrong."""
_DIFFERENCES = 10


def nothing_quarantined(archive: Archive, dataset: Dataset) -> dg.AssetCheckResult:
    """Whether rejected entries wait for a decision."""
    kinds = quarantine_waiting(archive, dataset)
    total = sum(count for count, _ in kinds.values())
    reasons = ", ".join(f"{count} {kind} since {since:%Y-%m-%d %H:%M}Z" for kind, (count, since) in kinds.items())
    return dg.AssetCheckResult(
        asset_key=dataset.table,
        check_name=QUARANTINED,
        passed=total == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{counted(total, 'entry waits', 'entries wait')} in quarantine: {reasons}. Run `trading-data quarantine "
        f"list {dataset.name}`"
        if total
        else "No entry waits in quarantine.",
        metadata={"waiting": total, **{kind: count for kind, (count, _) in kinds.items()}},
    )


def nothing_missing(dataset: Dataset, lost: Losses) -> dg.AssetCheckResult:
    """Whether entries are lost and not acknowledged."""
    losses = ". ".join(sentence for _, sentence in lost.messages())
    return dg.AssetCheckResult(
        asset_key=dataset.table,
        check_name=MISSING,
        passed=not lost,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{losses}. It stays red until they are back, or until you run `{acknowledge_command(dataset)}`"
        if lost
        else "Every entry that was added to the journals is archived, in the intake or in its journal, or is acknowledged.",
        metadata={"missing": lost.least, "journals": len(lost.journals)},
    )


def accounts_balance(dataset: Dataset, finding: AuditResult) -> dg.AssetCheckResult:
    """Whether ledger, rows and archived ranges agree."""
    return dg.AssetCheckResult(
        asset_key=dataset.table,
        check_name=BALANCE,
        passed=finding.ok,
        severity=dg.AssetCheckSeverity.ERROR,
        description=finding.message if finding.ok else f"{finding.message}. Run `trading-data verify`",
    )


def values_are_plausible(dataset: Dataset, odd: Sequence[OddValues], known: Sequence[date] = ()) -> dg.AssetCheckResult:
    """Whether any rows look wrong although they break no rule; `known` are further such days, in order, examined earlier."""
    parts = [values.sentence() for values in odd]
    if known:
        parts.append(f"{len(known):,} more days with such rows, {known[0]} to {known[-1]}")
    description = "; ".join(parts)
    return dg.AssetCheckResult(
        asset_key=dataset.table,
        check_name=PLAUSIBLE,
        passed=not parts,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{description}. They are archived as they came. If they are wrong, import correct rows, which replace them"
        if parts
        else "No row looks wrong.",
        metadata={
            **{values.kind: values.rows for values in odd},
            ODD_DAYS: dg.MetadataValue.json(
                sorted({str(day) for day in known}.union(*(map(str, values.days) for values in odd)))
            ),
        },
    )


def balance_of(dataset: Dataset, days: Mapping[date, Handled]) -> AuditResult:
    """The verdicts on some days as one finding."""
    faults = [(day, fault) for day, handled in days.items() for fault in handled.faults]
    return balance(dataset, rows_on_days(sum(day.rows for day in days.values()), len(days)), faults)


def equals_raw(aggregate: Aggregate, wrong: list[str]) -> dg.AssetCheckResult:
    """Whether an aggregate equals the raw rows; `wrong` has a line for each bucket that differs."""
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


def keys_as_declared(dataset: Dataset, wrong: list[WrongType]) -> dg.AssetCheckResult:
    """Whether every key named like one of the dataset has the declared type; `wrong` are those that have not."""
    keys = "; ".join(key.message for key in wrong[:SHOWN]) + ("; …" if len(wrong) > SHOWN else "")
    return dg.AssetCheckResult(
        asset_key=dataset.snapshot,
        check_name=DECLARED_KEYS,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{counted(len(wrong), 'key has a name', 'keys have names')} of ours but another type, and "
        f"{noun(len(wrong), 'is', 'are')} not archived: {keys}. Another program writes them: find it "
        "(`trading-data redis-cli MONITOR`, `ACL LOG`), then RENAME the keys or DEL them"
        if wrong
        else "Every key with a name of ours is of its type.",
        metadata={"keys": len(wrong)},
    )
