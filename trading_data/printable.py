"""Text that came from anybody, made fit for a terminal, a log or a web page.

Belongs here: `printable`. Does not: tables and formats.
"""


def printable(text: str) -> str:
    """`text` with control characters, and bytes that were not UTF-8, shown escaped."""
    known = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in known)
