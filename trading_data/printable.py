"""Text for people: untrusted text made safe for a terminal, a log or a web page; counts with their noun; durations.

Belongs here: `printable`, `counted`, `span`. Does not: tables and formats.
"""


def printable(text: str) -> str:
    """`text` with control characters, and bytes that were not UTF-8, escaped."""
    known = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in known)


def counted(number: int, singular: str, plural: str = "") -> str:
    """A count with its noun, `1 row` or `2,000 rows`; without `plural` it is `singular` with an s."""
    return f"{number:,} {noun(number, singular, plural)}"


def noun(number: float, singular: str, plural: str = "") -> str:
    """The noun for a count, as `counted` has it."""
    return singular if number == 1 else plural or f"{singular}s"


def span(seconds: float) -> str:
    """A duration in its two largest units: `42 min`, `3 h 5 min`, `2 d 4 h`."""
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
