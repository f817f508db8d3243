"""Text that came from anybody, made fit for a terminal, a log or a web page.

Numbers of things, with the noun that goes with the number.

Belongs here: `printable`, `counted`. Does not: tables and formats.
"""


def printable(text: str) -> str:
    """`text` with control characters, and bytes that were not UTF-8, shown escaped."""
    known = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in known)


def counted(number: int, one: str, many: str = "") -> str:
    """A number of things, `1 row` or `2,000 rows`: `one` are the words for one of them, `many` for another number.

    Without `many` it is `one` with an s.
    """
    return f"{number:,} {noun(number, one, many)}"


def noun(number: float, one: str, many: str = "") -> str:
    """The same without the number."""
    return one if number == 1 else many or f"{one}s"
