"""The one lock that loads of a dataset take in turn, and whoever else must not meet one half-way.

Belongs here: taking it. Does not: how long to wait, which the transaction says.
"""

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.datasets.declaration import Dataset


def lock_loads(cursor: Cursor, dataset: Dataset) -> None:
    """Wait until no load of this dataset is in its transaction, and keep others out until this one ends."""
    cursor.execute("select pg_advisory_xact_lock(hashtext(%s))", (f"trading_data load {dataset.name}",))
