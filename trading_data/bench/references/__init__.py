"""What the benches are measured against, each as a competent user would write it with the best library.

No file here imports anything of this package but its neighbours, so a reference cannot become faster or slower with the product.
`settled.toml` has each file as it was settled, by the id that Git gives to its content, with the reason; a test holds that a file
that was changed has a new entry there. `git log --find-object=<blob>` names the commit.
"""

import hashlib
import tomllib
from pathlib import Path

_FOLDER = Path(__file__).parent


def blob(file: str) -> str:
    """The id that Git gives to the content of a file of this folder."""
    content = (_FOLDER / file).read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def settled() -> list[dict[str, str]]:
    """The entries of `settled.toml`, the newest of a file last: file, blob, commit (its first line), reason."""
    entries: list[dict[str, str]] = tomllib.loads((_FOLDER / "settled.toml").read_text(encoding="utf-8"))["settled"]
    return entries
