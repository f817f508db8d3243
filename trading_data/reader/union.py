"""One row a key out of several tables in order of acceptance: what the archive will show once all of it is loaded.

Belongs here: this rule, the same as the load's. Does not: reading.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from trading_data.archive.sources import outranked
from trading_data.archive.versions import identity_conflicts, key_order
from trading_data.datasets.declaration import Dataset


def union(dataset: Dataset, archived: pa.Table, waiting: Sequence[pa.Table]) -> pa.Table:
    """The newest accepted row of each key, sorted by key, with the column `tier` (`live` or `archive`).

    Where a dataset has an identity, a key belongs to the identity that came first; rows of another are in quarantine or
    on their way there, and are not shown. Nor are rows that come after one of a better source.
    """
    tables = [archived, *waiting]
    whole = pa.concat_tables(tables)
    tier = np.repeat(np.array([False] + [True] * len(waiting)), [table.num_rows for table in tables])
    keep = ~outranked(dataset, whole, {})
    keep[[at for at, _ in identity_conflicts(dataset, whole, {})]] = False
    if not keep.all():
        whole, tier = whole.filter(pa.array(keep)), tier[keep]
    if whole.num_rows:
        order, same_key = key_order(dataset, whole)
        newest = order[np.append(~same_key[1:], True)]
        whole, tier = whole.take(pa.array(newest)), tier[newest]
    return whole.append_column("tier", pa.array(np.where(tier, "live", "archive"), pa.string()))
