"""Entries that look like Redis' own protocol, for any place of a page.

Belongs here: such values, entries and journals, and writing them. Does not: what becomes of them (`test_drain`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from trading_data.datasets import PRICE
from trading_data.live.connection import Client
from trading_data_tests.intake.drains import Entry

FIRST_MS = 1_763_908_800_000
FIELDS = [name.encode() for name in PRICE.fields]
GOOD = [b"2026-11-20T15:00:00+00:00", b"1.5", b"2.5", b"1.25", b"2", b"100", b"test"]


def bulk(value: bytes) -> bytes:
    """A value as the protocol has it."""
    return b"$%d\r\n%s\r\n" % (len(value), value)


def as_reply(entry_id: bytes, fields: Sequence[bytes]) -> bytes:
    """An entry as the protocol has it."""
    return b"*2\r\n%s*%d\r\n%s" % (bulk(entry_id), len(fields), b"".join(map(bulk, fields)))


def id_at(place: int) -> bytes:
    """The id of a journal's entry at `place`; there are ids between two of them that no entry has."""
    return b"%d-%d" % (FIRST_MS + place // 3, 10 * (place % 3))


def good(**changed: bytes) -> list[bytes]:
    """The fields of an entry that becomes a row, with some values changed."""
    values = dict(zip(PRICE.fields, GOOD, strict=True)) | changed
    return [part for name, value in values.items() for part in (name.encode(), value)]


NUMBERS = [b"*99999999999999", b"*" + b"9" * 5000, b"*2147483648", b"*1", b"*0", b"*-1", b"$-1", b"$99999999"]
"""Lines that say how much follows, if they are taken for such."""
FAKE_IDS = [
    b"9-9",
    b"0-0",
    b"18446744073709551615-18446744073709551615",
    b"99999999999999999999-0",
    b" 1-1",
    b"1",
    b"-",
]
TAILS = [
    b"*2\r\n$",
    b"x\r\n*2\r\n$",
    b"x\r\n*2\r\n$3",
    b"x\r\n*2\r\n$3\r",
    b"x\r\n*2\r\n$3\r\n",
    *(b"x\r\n*2\r\n" + bulk(fake_id_) for fake_id_ in FAKE_IDS),
    b"x\r\n*2\r\n" + bulk(id_at(4)),
    b"x\r\n*2\r\n" + bulk(b"%d-5" % (FIRST_MS + 1)),
    as_reply(id_at(5), good()),
    as_reply(b"%d-5" % (FIRST_MS + 2), good())[:-2],
    *(b"x\r\n" + line for line in NUMBERS),
    *(b"x\r\n" + line + b"\r\n" for line in NUMBERS[:3]),
    b"x\r\n*1\r\n" + as_reply(id_at(6), good()),
    b"\r\n-ERR no such key\r\n",
    b"\r\n*0",
    b"$16\r\n0123456789abcdef",
]
"""Ends of values that may be taken for something else."""
NAMES = [b"", b"\xff\xfe", b"a\0b", b"a\r\nb", b"*2\r\n$", b"{x}", b"A", b"B" * 300]
"""What journals may be called, after their prefix."""

_plain = st.sampled_from(
    [b"", b"1", b"\r\n", b"\n", b"\r", b"\xff", b"\xed\xa0\x80", b"\0", b"x" * 99, b"y" * 100, b"z" * 5000]
)
_values = st.one_of(
    st.sampled_from(TAILS),
    st.lists(st.one_of(_plain, st.sampled_from(TAILS)), max_size=3).map(b"".join),
    st.binary(max_size=9),
)
_names = st.one_of(st.sampled_from([*FIELDS, b"*2\r\n$", id_at(4), b"9-9"]), _values)
_changed = st.dictionaries(st.sampled_from(PRICE.fields), _values, min_size=1, max_size=3)
_odd = st.lists(st.tuples(_names, _values), min_size=1, max_size=8).map(
    lambda pairs: [part for pair in pairs for part in pair]
)
_fields = st.one_of(
    st.just(good()),
    _changed.map(lambda changed: good(**changed)),
    st.permutations(range(len(FIELDS))).map(lambda order: [p for at in order for p in (FIELDS[at], GOOD[at])]),
    st.sampled_from([good()[:-2], good()[2:], [*good(), b"open", b"1"], [*good(), b"x", b"y"], [b"open", b"1"] * 2]),
    _odd,
)


def journals() -> st.SearchStrategy[dict[bytes, list[list[bytes]]]]:
    """Some journals with hostile entries among good ones."""
    return st.dictionaries(st.sampled_from(NAMES), st.lists(_fields, min_size=1, max_size=9), min_size=1, max_size=4)


def write(client: Client, journals: Mapping[bytes, Sequence[Sequence[bytes]]]) -> dict[str, list[Entry]]:
    """Write the entries, each with its place's id; returns what has to be drained."""
    pipeline: Any = client.pipeline(transaction=False)
    wanted: dict[str, list[Entry]] = {}
    for name, entries in journals.items():
        key = b"journal:price:" + name
        for place, fields in enumerate(entries, 1):
            pipeline.execute_command("XADD", key, id_at(place), *fields)
        wanted[key.decode("utf-8", "surrogateescape")] = [
            (id_at(place), list(fields)) for place, fields in enumerate(entries, 1)
        ]
    pipeline.execute()
    return wanted
