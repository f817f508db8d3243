"""Text that came from anybody, made fit for a terminal, a log or a web page.

Numbers of things, with the noun that goes with the number, and lengths of time.

Belongs here: `printable`, `counted`, `span`. Does not: tables and formats.
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


def span(seconds: float) -> str:
    """A length of time in its two largest fitting words: `42 min`, `3 h 5 min`, `2 d 4 h`."""
    if seconds < 0:
        return f"-{span(-seconds)}"
    if 0 < seconds < 0.1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
