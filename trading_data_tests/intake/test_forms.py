"""Batches of other releases: those of an older one are read, those of a newer one are refused."""

import io
import json
from typing import Any

import pyarrow.parquet as pq
import pytest

from trading_data.errors import IntakeError
from trading_data.intake.batch import Batch, decode, decode_head, encode
from trading_data.live.ranges import FIRST_INCARNATION
from trading_data_tests.intake.test_store import batch

META = b"trading_data"


def written(batch: Batch, **changed: Any) -> bytes:
    """The batch's file with another head."""
    table = pq.read_table(io.BytesIO(encode(batch)))
    head = {**json.loads(table.schema.metadata[META]), **changed}
    out = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({META: json.dumps(head).encode()}), out)
    return out.getvalue()


@pytest.mark.parametrize("rewound", [False, True])
def test_a_batch_of_release_0_1_is_read(rewound: bool) -> None:
    """It knew no incarnations; of a journal that had gone back it said so."""
    one = batch()
    old = {"journal": "journal:metrics", "after": "0-0", "first": "0-0", "last": "0-0", "count": 1, "missing": 0}
    data = written(one, form="1", journals=[{**old, "rewound": rewound}])
    for read in (decode, decode_head):
        (found,) = read(data, "here").journals
        assert found.entries.incarnation == FIRST_INCARNATION + rewound
        assert (found.anchor, found.added) == ("", None)
    assert decode(data, "here").table == one.table


def test_a_batch_of_a_newer_release_is_refused() -> None:
    for read in (decode, decode_head):
        with pytest.raises(IntakeError, match="written by a newer release"):
            read(written(batch(), form="3"), "here")
