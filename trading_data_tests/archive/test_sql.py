"""Values that reach PostgreSQL as one array."""

from trading_data.archive.sql import array_of
from trading_data_tests.rig import MOMENT, Rig


def test_an_array_has_its_values(rig: Rig) -> None:
    texts = ["", "a,b", "{c}", 'd"e', "f\\g", "null", " h ", "日経", None]
    with rig.archive.transaction() as cursor:
        cursor.execute(
            "select %s::text[], %s::numeric[], %s::timestamptz[]",
            (array_of(texts), array_of([2**64 - 1, None]), array_of([MOMENT])),
        )
        assert cursor.fetchone() == (texts, [2**64 - 1, None], [MOMENT])
        cursor.execute("select %s::text[]", (array_of([]),))
        assert cursor.fetchone() == ([],)
